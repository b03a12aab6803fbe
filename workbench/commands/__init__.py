"""The verbs of the command line: read flags, call other rooms, print.

The long work is in those rooms; ``workbench.__main__`` lists the verbs and imports one at a time.
Begin with ``evaluate``, which has the verb tune; its flags come from ``settings``, what it prints
from ``output``, as with all. Then ``sweep`` with ``sweep_progress``, ``table`` with ``table_runs``.
Of one verb's subject each: ``tasks``, ``methods``, ``runs``, ``replay``, ``data``, ``make``,
``record``, ``critic``, ``upkeep``, ``check``, ``sampler``, ``app``, ``notebooks``, ``lessons``,
``results`` (with ``measured_ablations`` and ``markdown``). ``environment``: Ctrl-C, pipes, home.
"""
