"""The player: one clock over denoising chains and replays.

This side packs values; the scripts in ``js`` draw them, and their names say what.
Begin with ``contents``, the values, then ``from_runs``, how runs become such values, and
``component``, which mounts the scripts in a page. ``realism`` measures how far a prompt is from
what was recorded, ``reading`` what the transformer reads of it; ``method_strip`` is the picture of
the method over the panels.
"""
