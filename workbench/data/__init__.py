"""Episodes as values: recorded, cut into segments, normalised, kept in files.

Nothing here learns but a behaviour policy, which only collects. Files in other people's formats
are read by ``workbench.exchange``; what ships is found by ``workbench.shipped``.
Begin with ``trajectory``, the values that all later rooms pass around, then ``rollout``, how an
episode comes about. ``behaviour`` and its ``qualities`` say who collects, ``trajectory_files``
and ``own_sets`` where it is kept (by ``atomic_files``), ``coverage`` what a set covers, ``films``
what an episode looked like.
"""
