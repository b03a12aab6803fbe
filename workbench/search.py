"""What the settings of the tables were chosen from: runs on the validation split."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd

from workbench.behaviour import QUALITIES
from workbench.methods import METHODS
from workbench.presets import CHOSEN


def ranking(table: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates of every family and method, best first.

    Args:
        table: Of ``results.rows``.

    Returns:
        Columns ``family``, ``method``, ``settings`` that differ from the method's defaults,
        ``updates``; the mean return over tasks and seeds from few-shot data of each quality, and
        over all of them, ``mean``; ``runs``; ``chosen``, whether the tables run it.
    """
    table = table.assign(
        settings=[
            differing(method, json.loads(text))
            for method, text in zip(table["method"], table["settings"], strict=True)
        ]
    )
    place = ["family", "method", "settings", "updates"]
    found = table.pivot_table("return_mean", place, "quality", sort=False)
    found = found.reindex(columns=list(QUALITIES))
    found["mean"] = table.groupby(place, sort=False)["return_mean"].mean()
    found["runs"] = table.groupby(place, sort=False).size()
    found = found.sort_values("mean", ascending=False, kind="stable").reset_index()
    found = found.sort_values(place[:2], kind="stable", ignore_index=True)
    chosen = {
        (key.partition("/")[0], differing(key.partition("/")[0], settings), updates)
        for key, (settings, updates) in CHOSEN.items()
    }
    triples = zip(found["method"], found["settings"], found["updates"], strict=True)
    found["chosen"] = [triple in chosen for triple in triples]
    return found.rename_axis(columns=None)


def merged(before: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return runs of a search, and of those ``before`` what was not made again.

    A run is made again under the same settings, task, data and seed: the networks of the validation
    split do not ship, so its id may be another.
    """
    same = ["family", "method", "settings", "updates", "task", "quality", "seed"]
    again = pd.MultiIndex.from_frame(before[same]).isin(pd.MultiIndex.from_frame(made[same]))
    parts = [part for part in (before[~again], made) if len(part)] or [made]
    return pd.concat(parts, ignore_index=True)


def differing(method: str, settings: dict[str, object]) -> str:
    """Return ``name value`` of the settings that differ from the method's defaults."""
    defaults = {f.name: f.default for f in dataclasses.fields(METHODS[method])}
    pairs = sorted((n, v) for n, v in settings.items() if defaults.get(n) != v)
    return ", ".join(f"{n} {v}" for n, v in pairs) or "defaults"
