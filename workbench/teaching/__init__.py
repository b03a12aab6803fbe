"""What the notebooks use: toy diffusion, panels, exercises, and lessons as printed pages."""
