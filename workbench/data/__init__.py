"""Episodes as values: trajectories, how they are recorded, by whom, and their files."""
