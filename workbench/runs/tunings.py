"""The tunings of a store, each beside the untuned prompt in the same episodes: without torch."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.runs.index import Index

COLUMNS = (
    "run", "family", "task", "quality", "method", "lam", "projection", "updates", "seed",
    "untuned", "start", "tuned", "conflict_share",
)  # fmt: skip


def tunings(found: Index) -> pd.DataFrame:
    """Return one row per complete tuning of a store, newest first.

    Each row has the spec's names and ``untuned``, ``start`` (update 0), ``tuned`` (last update):
    mean returns over the same episodes; and ``conflict_share``, of updates. What a method does not
    have, such as ``lam``, is None, and so is ``untuned`` where the store lacks that run.
    """
    runs = found.runs
    if not len(runs):
        return pd.DataFrame(columns=list(COLUMNS))
    table = runs[runs["method"] != "prompt-dt"]
    table = table.assign(
        lam=[_of(settings, "lam") for settings in table["settings"]],
        projection=[_of(settings, "projection") for settings in table["settings"]],
        untuned=table["untuned"].map(runs["return_mean"]),
        start=table["start_mean"],
        tuned=table["return_mean"],
    )
    return table[list(COLUMNS)].reset_index(drop=True)


def _of(settings: Any, name: str) -> Any:
    return settings.get(name) if isinstance(settings, dict) else None


def summary_by_quality(runs: pd.DataFrame) -> pd.DataFrame:
    """Average ``tunings`` over tasks and seeds, one row per quality.

    ``difference`` is tuned minus untuned, ``half_width`` half its 95 % interval over runs.
    """
    from workbench.data.rollout import half_width  # with the simulator, for this alone

    runs = runs.assign(difference=runs.tuned - runs.untuned)
    columns = ["untuned", "start", "tuned", "difference", "conflict_share"]
    groups = runs.groupby("quality", sort=True)
    table = groups[columns].mean()
    table["half_width"] = groups["difference"].apply(lambda d: half_width(d.dropna().to_numpy()))
    table["tuned_sd"] = groups["tuned"].std()
    table.insert(0, "runs", groups.size())
    return table.reset_index()
