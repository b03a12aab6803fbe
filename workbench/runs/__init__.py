"""Runs on disk, and many of them: kept, compared, swept, queued, put into one table.

One run's own course is in ``workbench.tuning``; what the paper says of it in ``workbench.paper``.
Begin with ``store``, then ``compare``, a tuning beside the untuned prompt. ``grid``, ``sweep``
and ``ray_cluster`` make many, ``watched_sweep`` and ``duration`` say how far and how long;
``jobs`` runs them behind a page. What is there: ``run_folder`` reads one (``step_columns``: in
little room), ``index`` all of them, for ``run_table`` and ``tunings``; ``library`` names and
deletes. ``remote``, ``locks``, ``asset_delivery``: for what several machines share.
"""
