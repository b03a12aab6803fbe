"""How the rows of one column of a table rank: scores, improvements and profiles, run by run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.paper import scores
from workbench.paper.listed import ALL
from workbench.paper.measured import Runs, normalised_scores
from workbench.paper.tables import Cells, pooled
from workbench.tuning.spec import RunSpec


def columns_of(cells: Cells) -> list[str]:
    """Return a table's columns, and all families together where they can be; see ``pooled``."""
    columns = list(dict.fromkeys(column for _, column in cells))
    return [*columns, ALL] if pooled(cells) else columns


def returns_of(cell: list[RunSpec], runs: Runs) -> pd.DataFrame:
    """Return the mean returns of a cell, a row per seed that has run all tasks, one per task.

    The columns are (family, task): empty where no seed has.
    """
    found = runs.find(cell)
    tasks = list(dict.fromkeys(spec.task for spec in cell))
    if not len(found):
        return pd.DataFrame()
    table = scores.matrix(found, tasks)
    return table.set_axis([(cell[0].family, task) for task in table], axis="columns")


def scores_of(cells: Cells, runs: Runs, column: str) -> dict[str, pd.DataFrame]:
    """Return the normalised scores of every row of a column that has any.

    Args:
        cells: Of the table.
        runs: What there is.
        column: One of ``columns_of``; of all families together, only rows that each of them has.

    Returns:
        Row → (S, M), seeds by tasks: 0 is the random behaviour policy, 1 the expert.
    """
    families = pooled(cells) if column == ALL else [column]
    found = {}
    for row in dict.fromkeys(row for row, _ in cells):
        parts = []
        for part in families:
            cell = cells.get((row, part))
            table = returns_of(cell, runs) if cell else pd.DataFrame()
            if len(table):
                plain = table.set_axis([task for _, task in table], axis="columns")
                parts.append(normalised_scores(plain, cell[0].family))
        if len(parts) == len(families):
            table = pd.concat(parts, axis=1).dropna()
            if len(table):
                found[row] = table
    return found


def improvements_over(found: dict[str, pd.DataFrame], against: str) -> dict[str, scores.Estimate]:
    """Return for every other row the probability that its run beats one of ``against``.

    Args:
        found: Of ``scores_of``.
        against: One of its rows.
    """
    other = found[against]
    return {
        row: scores.improvement(table.to_numpy(), other[table.columns].to_numpy())
        for row, table in found.items()
        if row != against and set(table.columns) <= set(other.columns)
    }


def bands_of(
    found: dict[str, pd.DataFrame], levels: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the 95 % band of the performance profile of every row of several seeds.

    Args:
        found: Of ``scores_of``.
        levels: Where, (L,).
    """
    return {
        row: scores.profile_band(table.to_numpy(), levels)
        for row, table in found.items()
        if len(table) > 1
    }
