"""Optimised doubles of the plain networks: the same numbers in less time.

Skip this folder on a first reading: the plain networks beside it say what is computed, and the
tests hold these to them.
``inference`` acts with a frozen transformer, ``prompt_gradient`` gives the gradient of its
prompt, ``chain_gradient`` that of a whole denoising chain; ``memory`` keeps freed blocks.
"""
