"""How long runs will take, from what runs like them took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.runs.run_table import shipped, table_of
from workbench.runs.store import RunStore
from workbench.tuning.spec import RunSpec

_CLOSE: tuple[list[str], ...] = (
    ["family", "method", "variant", "settings"],
    ["family", "method", "variant"],
    ["family", "method", "settings"],
    ["family", "method"],
    ["method"],
    [],
)
"""What a run must share with another to be like it, closest first."""


@dataclass(frozen=True)
class Expected:
    """What a set of runs will take.

    Attributes:
        seconds: Of one core, all runs one after the other; nan where nothing is known.
        alike: Runs that share family and method with a known one.
        runs: Of them all.
        known: Runs that the estimate was made from.
    """

    seconds: float
    alike: int
    runs: int
    known: int


def known_runs(store: RunStore) -> pd.DataFrame:
    """Return what is known of finished runs: those that ship, and those of ``store``."""
    own, _ = table_of(store.index().runs)
    tables = [table for table in (shipped(), own.drop(columns="when")) if len(table)]
    if not tables:
        return pd.DataFrame()
    table = pd.concat(tables, ignore_index=True).drop_duplicates("run")
    return table[table["seconds"].notna()]


def expected(specs: Sequence[RunSpec], known: pd.DataFrame) -> Expected:
    """Return how long ``specs`` will take.

    Seconds an update and seconds an episode are the medians over the runs that are most alike.

    Args:
        specs: What to run.
        known: Of ``known_runs``.
    """
    if not len(known):
        return Expected(float("nan"), 0, len(specs), 0)
    counts = [_evaluations(*row) for row in zip(known["updates"], known["eval_every"], strict=True)]
    episodes = np.array(counts) * known["episodes"]
    paces = known.assign(
        update=(known["update_seconds"] / known["updates"]).where(known["updates"] > 0, 0.0),
        episode=(known["seconds"] - known["update_seconds"]).clip(lower=0.0) / episodes,
    )
    total, alike, seen = 0.0, 0, {}
    for spec in specs:
        place = (spec.family, spec.method, spec.variant, _settings(spec))
        if place not in seen:
            seen[place] = _pace(paces, place)
        closeness, update, episode = seen[place]
        evaluations = _evaluations(spec.updates, spec.eval_every)
        total += update * spec.updates + episode * evaluations * spec.episodes
        alike += closeness <= _CLOSE.index(["family", "method"])
    return Expected(total, alike, len(specs), len(known))


def _pace(paces: pd.DataFrame, place: tuple[str, str, str, str]) -> tuple[int, float, float]:
    """Return how alike the nearest runs are, and their seconds an update and an episode."""
    wanted = dict(zip(("family", "method", "variant", "settings"), place, strict=True))
    for closeness, names in enumerate(_CLOSE):
        like = np.ones(len(paces), bool)
        for name in names:
            like &= (paces[name] == wanted[name]).to_numpy()
        if like.any():
            near = paces[like]
            updated = near["update"][near["updates"] > 0]
            update = float(updated.median()) if len(updated) else 0.0
            return closeness, update, float(near["episode"].median())
    raise AssertionError("the last place of _CLOSE asks for nothing")


def _settings(spec: RunSpec) -> str:
    return json.dumps(spec.asked["settings"], sort_keys=True)


def _evaluations(updates: int, every: int) -> int:
    """Return how often a run is evaluated."""
    if not every:
        return 1
    return updates // every + 1 + (updates % every > 0)
