"""What every exercise does with an answer: take it, try it, say how it is wrong."""

from __future__ import annotations

import numpy as np
import torch


class Wrong(Exception):
    """An answer is wrong; the message says how."""


class Untouched(Exception):
    """A function still returns ``...``."""


def call(answer: object, *values: object) -> object:
    """Return what an answer, a function, gives for these values."""
    if not callable(answer):
        raise Wrong(f"A function is asked for, but this is a {type(answer).__name__}.")
    found = answer(*values)
    if found is ...:
        raise Untouched
    if found is None:
        raise Wrong("Your function returns nothing: end it with `return`.")
    return found


def number(answer: object) -> float:
    """Return an answer that should be one number."""
    if isinstance(answer, bool) or not np.isscalar(np.asarray(answer).item()):
        raise Wrong("One number is asked for.")
    return float(np.asarray(answer).item())


def array(value: object) -> np.ndarray:
    """Return numbers as an array."""
    return np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, float)


def close(found: object, wanted: object) -> bool:
    """Whether two answers have one shape and nearly the same numbers."""
    found, wanted = array(found), array(wanted)
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, atol=1e-4))
