"""The one tuning loop, the specification of a run, and specifications with a name."""
