"""Making the shipped files again, and finding out what is wrong with an installation.

A user who only adapts and compares needs none of this but the doctor.
Begin with ``making``, one function per command that makes a file; ``recipes`` says in which
order and by which words, ``reproduce`` does what is due and compares, ``watched_making`` for a
page. ``doctor`` looks at versions, graphics and every shipped file, ``sampler`` at the chains of
the diffusers. Of the user's own: ``own_data`` takes trajectories, ``family_rules`` and
``method_rules`` hold a plug-in to rules.
"""
