"""How things look: robots, the player in the browser, figures.

Values go in, drawings come out; no page and no file of runs is known here. The figures of the
lessons are in ``workbench.teaching``, the pages in ``workbench.app``.
``scene`` turns recorded states into what a browser or a film shows, ``player`` is the animated
view of denoising and replays, ``figures`` are Plotly's.
"""
