"""Runs on disk and many of them: store, sweep, cluster, queue, and all of them as one table."""
