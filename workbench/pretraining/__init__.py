"""Training every network over the training tasks, with checkpoints that resume bit for bit."""
