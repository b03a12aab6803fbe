"""A table of the paper assembled from runs: what they say beside what was published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.paper import scores
from workbench.paper.listed import ALL
from workbench.paper.tables import Cells, TableName, baseline, pooled, published
from workbench.runs.run_table import key, keys
from workbench.tuning.spec import RunSpec

CAUTION = (
    "All of this is of Algorithm 1 as published, on a sampler that works, with a transformer of "
    "the released code's size. The paper counts its parameters against one some twenty times as "
    "large: of that size there are three rows, one robot's and of one pretraining seed (Compare, "
    "beneath table 1). A dash: not yet run."
)
"""What a reader must know of the runs that ship, wherever their numbers are shown."""


@dataclass(frozen=True)
class Runs:
    """Rows of ``run_table.rows``, found by what they ran.

    Attributes:
        table: The rows.
        keys: What each row ran, without the hashes of the files that it read.
    """

    table: pd.DataFrame
    keys: pd.Series

    @classmethod
    def of(cls, table: pd.DataFrame) -> Runs:
        """Index a table of runs."""
        what = keys(table)
        first = ~what.duplicated()
        return cls(table[first], what[first])

    def find(self, specs: Iterable[RunSpec]) -> pd.DataFrame:
        """Return the rows of ``specs`` that are there."""
        return self.table[self.keys.isin({key(spec.asked) for spec in specs})]

    def summed_up(self, specs: Sequence[RunSpec]) -> tuple[dict[str, float], pd.DataFrame]:
        """Return what the rows of a cell's ``specs`` say: columns of its line, and its matrix.

        Returns:
            ``seeds`` that ran all ``tasks``; ``runs`` found ``of`` those wanted; with a seed,
            ``iqm`` with its interval, and ``seconds`` of wall time a run. And ``scores.matrix``,
            empty without a seed.
        """
        tasks, found = list(dict.fromkeys(spec.task for spec in specs)), self.find(specs)
        matrix = scores.matrix(found, tasks) if len(found) else pd.DataFrame()
        record: dict[str, float] = {"seeds": len(matrix), "tasks": len(tasks)}
        record |= {"runs": len(found), "of": len(specs)}
        if len(matrix):
            record |= scores.iqm(matrix.to_numpy()).named("iqm")
            record["seconds"] = found["seconds"].mean()
        return record, matrix

    def outdated(self, specs: Iterable[RunSpec]) -> int:
        """Return how many rows of ``specs`` read other files than those that are there now."""
        ids = {key(spec.asked): spec.id for spec in specs}
        current = self.keys.map(ids)
        return int((current.notna() & (current != self.table["run"])).sum())


def assemble(name: TableName, cells: Cells, runs: Runs) -> pd.DataFrame:
    """Return one row per cell: what ``runs`` say of it, and what was published.

    A cell counts the seeds that have run all of its tasks; with none of them it stays empty.

    Args:
        name: Which table.
        cells: Its cells, or some of them.
        runs: What there is.

    Returns:
        Columns ``column``, ``row``; ``iqm``, ``iqm_low``, ``iqm_high``; ``mean``, ``sd`` over
        seeds; ``published``, ``published_sd``; ``improvement``, ``improvement_low``,
        ``improvement_high``, over Prompt-DT with expert prompts; ``trainable``, ``share`` of the
        model's parameters; ``seconds`` of wall time per run; ``env_steps`` that tuning took per
        run; ``seeds``, ``tasks``, ``episodes``; ``runs`` were found ``of`` those wanted,
        none of which are where a method does not apply to a model.
    """
    records, matrices = [], {}
    for (row, column), cell in sorted_by_column(cells):
        found, tasks = runs.find(cell), list(dict.fromkeys(spec.task for spec in cell))
        table = scores.matrix(found, tasks) if len(found) else pd.DataFrame()
        mean, sd = published(name, (row, column), cell)
        record = {"column": column, "row": row, "published": mean, "published_sd": sd}
        record |= {"seeds": len(table), "tasks": len(tasks), "runs": len(found), "of": len(cell)}
        if len(table):
            matrices[row, column] = table
            record |= _measured(table, found)
            reference = baseline(cell)
            other = runs.find(reference)
            if len(other) and key(reference[0].asked) != key(cell[0].asked):
                against = scores.matrix(other, tasks)
                if len(against):
                    record |= _improvement(table, against)
        records.append(record)
    if families := pooled(cells):
        records += _over_families(matrices, families)
    return pd.DataFrame(records, columns=list(_COLUMNS)).astype(_FLOATS)


_FLOATS = dict.fromkeys(
    (
        "iqm", "iqm_low", "iqm_high", "mean", "sd", "published", "published_sd", "improvement",
        "improvement_low", "improvement_high", "trainable", "share", "seconds", "env_steps",
        "episodes",
    ),
    float,
)  # fmt: skip
_COLUMNS = ("column", "row", *_FLOATS, "seeds", "tasks", "runs", "of")


def sorted_by_column(cells: Cells) -> list[tuple[tuple[str, str], list[RunSpec]]]:
    """Return the cells column by column, both in the table's order."""
    columns = list(dict.fromkeys(column for _, column in cells))
    return sorted(cells.items(), key=lambda item: columns.index(item[0][1]))


def _measured(table: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    mean, sd = scores.over_seeds(table.to_numpy())
    return {
        **_estimate("iqm", scores.iqm(table.to_numpy())),
        "mean": mean,
        "sd": sd,
        "trainable": found["n_trainable"].mean(),
        "share": (found["n_trainable"] / found["n_model"]).mean(),
        "seconds": found["seconds"].mean(),
        "env_steps": found["env_steps"].mean(),
        "episodes": found["returns"].map(len).min(),
    }


def _improvement(table: pd.DataFrame, against: pd.DataFrame) -> dict[str, float]:
    found = scores.improvement(table.to_numpy(), against.to_numpy())
    return _estimate("improvement", found)


def _estimate(name: str, found: scores.Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def normalised_scores(table: pd.DataFrame, family: str) -> pd.DataFrame:
    """Return a matrix of ``scores.matrix`` normalised task by task, columns (family, task)."""
    columns = {(family, t): scores.normalised(family, t, table[t]) for t in table}
    return pd.DataFrame(columns, index=table.index)


def _over_families(matrices: dict, families: list[str]) -> list[dict]:
    """Return a record for each row that all families have, of its normalised scores."""
    records = []
    for row in dict.fromkeys(row for row, _ in matrices):
        parts = [normalised_scores(matrices[row, f], f) for f in families if (row, f) in matrices]
        if len(parts) < len(families):
            continue
        table = pd.concat(parts, axis=1).dropna()
        if len(table):
            mean, sd = scores.over_seeds(table.to_numpy())
            record = {"column": ALL, "row": row, "mean": mean, "sd": sd}
            record |= _estimate("iqm", scores.iqm(table.to_numpy()))
            record |= {"seeds": len(table), "tasks": table.shape[1]}
            records.append({**record, "runs": table.size, "of": table.size})
    return records


def beside_shipped(quick: Cells, fresh: Runs, cells: Cells, shipped: Runs) -> pd.DataFrame:
    """Compare fresh runs of a few seeds and tasks with the shipped ones, cell by cell.

    Args:
        quick: The cells of the fresh runs.
        fresh: Those runs.
        cells: The same cells of the whole table.
        shipped: Its runs.

    Returns:
        Columns ``column``, ``row``, ``runs``; ``fresh``, mean return; ``same``, that of the same
        seeds and tasks as shipped, ``same_low`` and ``same_high``, where one more seed of these
        tasks lies in 95 %, by all that ship; ``within_same``; ``iqm``, ``iqm_low``, ``iqm_high``
        of the whole cell as shipped; ``within_iqm``. Missing where there is nothing to compare.
    """
    records = []
    for (row, column), cell in sorted_by_column(quick):
        now, before = fresh.find(cell), shipped.find(cell)
        record = {"column": column, "row": row, "runs": len(now)}
        value = now["return_mean"].mean()
        if len(now) == len(cell) > 0:
            record["fresh"] = value
            if len(before) == len(cell):
                record["same"] = before["return_mean"].mean()
                few = list(dict.fromkeys(spec.task for spec in cell))
                more = scores.another_seed(shipped.find(cells[row, column]), few)
                if np.isfinite(more.low):
                    record |= {"same_low": more.low, "same_high": more.high}
                    record["within_same"] = bool(more.low <= value <= more.high)
            whole = shipped.find(cells[row, column])
            tasks = list(dict.fromkeys(spec.task for spec in cells[row, column]))
            table = scores.matrix(whole, tasks).to_numpy() if len(whole) else np.empty((0, 0))
            if len(table):
                found = scores.iqm(table)
                record |= _estimate("iqm", found)
                if np.isfinite(found.low):
                    record["within_iqm"] = bool(found.low <= value <= found.high)
        records.append(record)
    names = ("column", "row", "runs", "fresh", "same", "same_low", "same_high", "within_same")
    return pd.DataFrame(records, columns=[*names, "iqm", "iqm_low", "iqm_high", "within_iqm"])
