"""Runs on disk, and many of them: kept, compared, swept, queued, put into one table.

One run's own course is in ``workbench.tuning``; what the paper says of it in ``workbench.paper``.
Begin with ``store``, then ``compare``, a tuning beside the untuned prompt. ``grid``, ``sweep``
and ``ray_cluster`` make many, ``watched_sweep`` and ``duration`` say how far and how long;
``jobs`` runs them behind a page. ``run_table`` and ``library`` look at what is there; ``remote``
and ``locks`` are for stores that several machines share.
"""
