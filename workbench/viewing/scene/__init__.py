"""Recorded states as a scene for the browser, or as a film."""
