"""The one tuning loop, and the specification that determines a run.

Nothing here knows how a method works, or where a run is kept: see ``workbench.methods`` and
``workbench.runs``.
Begin with ``spec``, everything that determines a result, by name (``identity``: its hash); then
``loop``, which runs it as a stream of steps. ``presets`` are specifications with a name,
``prompt_kinds`` measures what right, wrong and no prompts do.
"""
