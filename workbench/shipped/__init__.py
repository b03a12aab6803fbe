"""What ships: where each file is, the manifest of what made it, and pretrained networks by name."""
