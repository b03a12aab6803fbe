"""Training every network over the training tasks, resumable bit for bit.

Only training tasks are seen here; adapting to a test task is ``workbench.tuning``.
Begin with ``prompt_dt``: the pool of data, the batches, the loop. ``generators``, ``critic`` and
``hyper_network`` train the others in the same way. ``resumable`` is the training as a value that
can be kept and continued, ``parallel`` shares its batches between processes, ``grown`` begins a
larger model as a smaller one.
"""
