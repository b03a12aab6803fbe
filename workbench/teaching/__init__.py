"""What the notebooks use: toy diffusion, panels, exercises, and what a run of them takes."""
