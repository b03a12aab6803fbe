"""Measured numbers as the tables of the documentation have them: Markdown, intervals unbroken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from workbench.paper.listed import NEEDS_GRADIENT
from workbench.paper.measured import Runs
from workbench.paper.numbers import ends, interval
from workbench.runs.run_table import load_shipped


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def runs_of(name: str) -> Runs:
    """Return the runs that ship under a name."""
    return Runs.of(load_shipped(name))


def between(value: float, low: float, high: float, digits: int = 1) -> str:
    """Return a number and its interval, with no line break inside the interval."""
    return interval(value, low, high, digits).replace(", ", ",\u00a0")


def measured(r: pd.Series, name: str) -> str:
    """Return a column ``name`` of a row with the interval that stands beside it."""
    return between(r[name], r[f"{name}_low"], r[f"{name}_high"])


def limits(low: float, high: float) -> str:
    """Return an interval alone, with no line break inside it."""
    return ends(low, high, 1).replace(", ", ",\u00a0")


def cell(r: pd.Series) -> str:
    """Return IQM and interval of a row of one of the assembled tables."""
    if not r["of"]:
        return NEEDS_GRADIENT
    return measured(r, "iqm")
