"""What ships, by name: where each file is, what made it, and networks loaded once.

Later rooms ask for a family's network or few-shot set here, and never build a path themselves.
What makes the files is in ``workbench.upkeep``.
Begin with ``assets``: paths, few-shot sets and the manifest. ``networks`` loads what was
pretrained, ``full_data`` collects all data of one task, ``checkout`` knows the clone that holds
the files.
"""
