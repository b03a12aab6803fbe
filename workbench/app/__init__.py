"""The Streamlit pages: widgets in, figures out.

Nothing is computed or drawn here that a notebook could not have: see ``workbench.viewing``.
A page is a file, and its parts bear its name: ``explore``, ``ablate``, ``compare``, ``runs``,
``data``, ``report``, ``glossary``; begin with ``explore``. ``navigation`` leads to them,
``serving`` and ``start`` answer the browser, in which ``manners`` sits, ``sharing`` says whose.
For all: ``page``, ``controls``, ``families``, ``charts``, ``columns``, ``known_runs``, ``links``,
and what runs in the background, ``jobs`` and ``sweeps``.
"""
