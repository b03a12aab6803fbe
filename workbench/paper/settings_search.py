"""What the settings of the tables were chosen from: candidates, their runs, and their ranking.

What was chosen stands in ``tuning/presets.py``. Test tasks are never used: candidates run on
training tasks that nothing was pretrained on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import RunSpec

VALIDATION = {
    "family": "cheetah-vel",
    "split": "validation",
    "tasks": (5, 19, 35),
    "seeds": (0,),
    "episodes": 10,
}
"""Where settings are chosen: the validation split of Cheetah-vel, from data of each quality."""
_GENERATORS: tuple[tuple[Mapping[str, Any], int], ...] = (
    ({}, 400),
    ({}, 100),
    ({"lr": 3e-4}, 400),
    ({"lr": 3e-3}, 400),
    ({"temperature": 0.0}, 400),
    ({"temperature": 1.0}, 400),
    ({"lam": 0.3}, 400),
    ({"lam": 3.0}, 400),
    ({"n_candidates": 8}, 400),
)  # one grid for the diffuser and for what stands in its place
CANDIDATES: dict[str, tuple[tuple[Mapping[str, Any], int], ...]] = {
    "soft-prompt": (
        ({"lr": 1e-3}, 100),
        ({"lr": 3e-3}, 100),
        ({"lr": 1e-2}, 100),
        ({"lr": 3e-2}, 100),
    ),
    "adapter": (({"lr": 3e-4}, 100), ({"lr": 1e-3}, 100), ({"lr": 3e-3}, 100)),
    "prompt-tuning-dt": (
        ({"batch_size": 8, "mu": 0.1, "lr": 0.1}, 10),
        ({"batch_size": 8, "mu": 0.1, "lr": 0.3}, 10),
        ({"batch_size": 8, "mu": 0.3, "lr": 0.3}, 10),
        ({"batch_size": 8, "mu": 1.0, "lr": 1.0}, 10),
    ),
    "prompt-diffuser": _GENERATORS,
    "prompt-diffuser/q-regularised": tuple(
        ({"guidance": "q-regularised", "eta": eta}, 400) for eta in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
    ),
    "hdt": (({"lr": 1e-4}, 100), ({"lr": 3e-4}, 100), ({"lr": 1e-3}, 100)),
    "prompt-tuning-dt/online": tuple(
        ({"scorer": "online", "n_candidates": 8, "mu": mu, "lr": lr}, 5)
        for mu, lr in ((0.1, 0.1), (0.3, 0.3), (1.0, 1.0))
    ),
    "prompt-vae": _GENERATORS,
    "prompt-gan": _GENERATORS,
    "informed-diffuser": (
        ({}, 0),
        ({"temperature": 0.0}, 0),
        ({"temperature": 1.0}, 0),
        ({"n_candidates": 8}, 0),
        ({}, 100),
        ({}, 400),
    ),
}
"""What may be chosen of each method, settings and updates; the others have nothing to choose.

A part after ``/`` tells two searches of a method apart. Equal budget: 100 updates of 32 contexts,
and for generators and the weight of QT's critic the 400 that Prompt Diffuser takes in the tables.
What was run of it ships: ``table search``.
Fine-tuning keeps its published 10 of 256; full fine-tuning takes as many as its loss on held-out
trajectories falls, and then some: 400 of 32. Ten rounds of Prompt-Tuning DT, forward passes alone,
are 6,000 contexts."""


def search(keys: Iterable[str] = tuple(CANDIDATES)) -> list[RunSpec]:
    """Return the runs that settings are chosen from, of some keys of ``CANDIDATES``.

    Raises:
        ValueError: if there is nothing to choose of a key.
    """
    keys = tuple(keys)
    if unknown := [key for key in keys if key not in CANDIDATES]:
        raise ValueError(
            f"Nothing was searched of {unknown[0]!r}. Choose from {', '.join(CANDIDATES)}."
        )
    fixed = {k: VALIDATION[k] for k in ("family", "split", "episodes")}
    return [
        RunSpec(
            task=task,
            quality=quality,
            method=key.partition("/")[0],
            settings=settings,
            updates=updates,
            seed=seed,
            eval_every=0,
            **fixed,
        )
        for key in keys
        for settings, updates in CANDIDATES[key]
        for task in VALIDATION["tasks"]
        for quality in QUALITIES
        for seed in VALIDATION["seeds"]
    ]


def ranking(table: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates of every family and method, best first.

    Args:
        table: Of ``run_table.rows``.

    Returns:
        Columns ``family``, ``method``, ``settings`` that differ from the method's defaults,
        ``updates``; the mean return over tasks and seeds from few-shot data of each quality, and
        over all of them, ``mean``; ``normalised``, the mean over qualities of how many standard
        deviations over the method's candidates it is ahead of their mean, so that no quality
        decides alone; ``runs``; ``chosen``, whether the tables run it. The best ``normalised`` is
        first; what has no quality of more than one candidate has 0.
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
    found["normalised"] = _normalised(found[list(QUALITIES)])
    found["runs"] = table.groupby(place, sort=False).size()
    found = found.sort_values("normalised", ascending=False, kind="stable").reset_index()
    found = found.sort_values(place[:2], kind="stable", ignore_index=True)
    chosen = {
        (key.partition("/")[0], differing(key.partition("/")[0], settings), updates)
        for key, (settings, updates) in CHOSEN.items()
    }
    triples = zip(found["method"], found["settings"], found["updates"], strict=True)
    found["chosen"] = [triple in chosen for triple in triples]
    return found.rename_axis(columns=None)


def _normalised(returns: pd.DataFrame) -> pd.Series:
    """Return ``normalised`` of ``ranking``, from one column per quality."""
    by_method = returns.groupby(level=["family", "method"], sort=False)
    spread = by_method.transform("std", ddof=0)
    standard = (returns - by_method.transform("mean")) / spread.where(spread > 0)
    return standard.mean(axis=1).fillna(0.0)


def merged(before: pd.DataFrame, made: pd.DataFrame) -> pd.DataFrame:
    """Return runs of a search, and of those ``before`` what was not made again.

    A run is made again under the same settings, task, data and seed: the networks of the validation
    split do not ship, so its id may be another. Of a method that was searched again, what is no
    longer a candidate goes.
    """
    same = ["family", "method", "settings", "updates", "task", "quality", "seed"]
    again = pd.MultiIndex.from_frame(before[same]).isin(pd.MultiIndex.from_frame(made[same]))
    again |= before["method"].isin(made["method"]) & ~_candidates(before)
    parts = [part for part in (before[~again], made) if len(part)] or [made]
    return pd.concat(parts, ignore_index=True)


def _candidates(table: pd.DataFrame) -> pd.Series:
    """Return which runs are of ``CANDIDATES``."""
    known = {
        (method := key.partition("/")[0], differing(method, dict(settings)), updates)
        for key, tried in CANDIDATES.items()
        for settings, updates in tried
    }
    runs = zip(table["method"], table["settings"], table["updates"], strict=True)
    here = [(m, differing(m, json.loads(text)), updates) in known for m, text, updates in runs]
    return pd.Series(here, index=table.index, dtype=bool)


def differing(method: str, settings: dict[str, object]) -> str:
    """Return ``name value`` of the settings that differ from the method's defaults."""
    defaults = {f.name: f.default for f in dataclasses.fields(METHODS[method])}
    pairs = sorted((n, v) for n, v in settings.items() if defaults.get(n) != v)
    return ", ".join(f"{n} {v}" for n, v in pairs) or "defaults"
