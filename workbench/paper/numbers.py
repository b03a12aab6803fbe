"""Numbers as people read them: a true minus, and a dash where there is none."""

from __future__ import annotations

import pandas as pd


def number(value: float, digits: int = 1) -> str:
    """Return a number as people read it."""
    return "–" if pd.isna(value) else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float) -> str:
    """Return a difference as people read it."""
    return "–" if pd.isna(value) else f"{value:+,.1f}".replace("-", "−")


def interval(value: float, low: float, high: float, digits: int = 1) -> str:
    """Return a number with its interval; alone where it has none."""
    if pd.isna(low):
        return number(value, digits)
    return f"{number(value, digits)} {ends(low, high, digits)}"


def ends(low: float, high: float, digits: int = 1) -> str:
    """Return an interval alone."""
    return "–" if pd.isna(low) else f"[{number(low, digits)}, {number(high, digits)}]"


def ends_of(row: pd.Series, name: str) -> str:
    """Return the interval of a row's number ``name``, which is ``name_low`` to ``name_high``."""
    return ends(row[f"{name}_low"], row[f"{name}_high"])
