"""Recorded states as a scene for the browser, or as a film.

No policy acts here, and nothing is simulated: only what was recorded is drawn.
Begin with ``appearance``, how each family is looked at, then ``geometry``: scene and poses,
``render``: video, and ``outcome``: what came of it, in words.
``film`` draws in a process of its own, by the renderer that ``graphics`` keeps for it; ``raycast``
where there is none. ``marks`` and ``meshes`` are what is drawn, ``clips`` puts films together.
"""
