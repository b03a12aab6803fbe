"""The verbs of the command line; the long work is elsewhere."""
