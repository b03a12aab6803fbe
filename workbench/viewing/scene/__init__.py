"""Recorded states as a scene for the browser, or as a film.

No policy acts here, and nothing is simulated: only what was recorded is drawn.
Begin with ``appearance``, how each family is looked at, then ``geometry``: scene and poses,
``render``: video, and ``outcome``: what came of it, in words.
``film`` draws in a process of its own, ``raycast`` where there is no graphics library; ``marks``
and ``meshes`` are what is drawn, ``clips`` puts finished films together.
"""
