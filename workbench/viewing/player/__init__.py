"""The player: one clock over denoising chains and replays. Drawn by js/."""
