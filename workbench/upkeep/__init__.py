"""Making the shipped files again, and finding out what is wrong with an installation.

A user who only adapts and compares needs none of this but the doctor.
Begin with ``making``, one function per command that makes a file; ``recipes`` says in which order
and by which words, ``reproduce`` does what is due and compares, ``watched_making`` for a page.
``doctor`` looks at versions, graphics and files, ``sampler`` at chains, ``values`` at critics.
``own_data`` takes a user's trajectories, ``family_rules`` (by ``trial_episodes`` and
``goal_leaks``) and ``method_rules`` hold a plug-in to rules.
"""
