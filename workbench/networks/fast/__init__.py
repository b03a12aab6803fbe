"""Optimised doubles of the plain networks: the same numbers in less time.

Skip this folder on a first reading: the plain networks beside it say what is computed.
``checked`` tries a double before it is used, ``remembered`` keeps what was seen. ``inference``
acts with a frozen transformer, ``ring`` with one of banded attention; ``prompt_gradient`` gives the
gradient of its prompt, ``chain_gradient`` that of a whole denoising chain; ``linear`` are their
products, ``processor`` says what this machine multiplies, ``memory`` keeps freed blocks.
"""
