"""Rows of the table of models over pretraining seeds, which are the unit: not the tuning's seeds.

Everything was pretrained anew with each: the transformer and the diffusers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.paper.tables import OTHER_SEEDS, Cells

FAMILY = "cheetah-vel"
COLUMNS = (FAMILY, *(name for name, which in OTHER_SEEDS.items() if which["family"] == FAMILY))
"""Columns of the table of models, a pretraining seed each: 0, 1, 2."""
REFERENCE = "expert prompt"
"""The row that the others of a model are compared with, seed by seed."""


def assemble(cells: Cells, runs: Runs) -> pd.DataFrame:
    """Return the rows of the table of models that every pretraining seed has run whole.

    Args:
        cells: Of the table of models.
        runs: What there is.

    Returns:
        Columns ``model``, ``row``; ``seeds``, mean returns over tuning seeds and tasks, one per
        pretraining seed; ``mean``, ``mean_low``, ``mean_high``, over pretraining seeds with
        Student's 95 % interval; ``more``, ``more_low``, ``more_high``: by how much it is above
        ``REFERENCE`` under the same model, paired by pretraining seed, missing for that one itself;
        ``corrected_low``, ``corrected_high``: the same corrected by Holm's rule for all rows, which
        decides.
    """
    found = {}
    for name in dict.fromkeys(row for row, _ in cells):
        matrix = _matrix(name, cells, runs)
        if len(matrix):
            found[name] = matrix
    records, pairs = [], []
    for name, matrix in found.items():
        model, _, row = name.partition(": ")
        record = {"model": model, "row": row, "seeds": matrix.mean(1).tolist()}
        record |= scores.mean(matrix).named("mean")
        reference = found.get(f"{model}: {REFERENCE}")
        if row != REFERENCE and reference is not None:
            record |= scores.difference(matrix, reference).named("more")
            pairs.append((record, (matrix, reference)))
        records.append(record)
    _, levels = scores.holm(np.array([scores.p_value(*pair) for _, pair in pairs]))
    for (record, pair), level in zip(pairs, levels, strict=True):
        corrected = scores.difference(*pair, level)
        record |= {"corrected_low": corrected.low, "corrected_high": corrected.high}
    table = pd.DataFrame(records, columns=list(_COLUMNS))
    return table.astype(dict.fromkeys(_COLUMNS[3:], float))


_COLUMNS = (
    "model", "row", "seeds", "mean", "mean_low", "mean_high", "more", "more_low", "more_high",
    "corrected_low", "corrected_high",
)  # fmt: skip


def _matrix(row: str, cells: Cells, runs: Runs) -> np.ndarray:
    """Return mean returns over tuning seeds, pretraining seed by task; none, were one not whole."""
    means = []
    for column in COLUMNS:
        cell = cells.get((row, column), [])
        tasks = list(dict.fromkeys(spec.task for spec in cell))
        found = runs.find(cell)
        if len(found) == len(cell) > 0:
            means.append(scores.matrix(found, tasks).mean(axis=0).to_numpy())
    return np.stack(means) if len(means) == len(COLUMNS) else np.empty((0, 0))
