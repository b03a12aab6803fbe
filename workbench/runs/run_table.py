"""Many runs as one table, one row each, and that table on disk: Parquet, as anybody reads it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.data.atomic_files import whole_file
from workbench.methods import METHODS
from workbench.runs.store import MADE, RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tuning.spec import RunSpec

FIELDS = tuple(f.name for f in dataclasses.fields(RunSpec))
COLUMNS = (
    "run", *FIELDS, "label", "returns", "return_mean", "n_trainable", "n_model",
    "update_seconds", "seconds", "conflict_share", "cosine_mean", "loss_dm_last", "loss_dt_last",
    "env_steps", "spec", "machine", "commit",
)  # fmt: skip
"""``run`` is the id. ``settings``: all of them, JSON. ``returns``: of the last evaluation, one per
episode. ``n_model``: parameters of the Prompt-DT. ``update_seconds``: of all updates;
``seconds``: wall time of the run with its loading and evaluation. ``*_last``: mean over the last
tenth of the updates. ``env_steps``: that tuning took in the task. ``spec``: JSON with the hashes
of the files that the run read. What was not measured is missing."""


def rows(store: RunStore, ids: Iterable[str]) -> pd.DataFrame:
    """Return one row per run of ``store``, with ``COLUMNS``.

    Args:
        store: Where the runs are.
        ids: Complete runs of it.

    Raises:
        ValueError: if the store lacks one of them.
    """
    return pd.DataFrame([_row(store, run_id) for run_id in ids], columns=list(COLUMNS))


def _row(store: RunStore, run_id: str) -> dict[str, Any]:
    spec, result, folder = store.spec(run_id), store.result(run_id), store.folder(run_id)
    canonical = json.loads((folder / "spec.json").read_text())
    made = json.loads((folder / MADE).read_text()) if (folder / MADE).exists() else {}
    lines = store.lines(run_id)
    series = {n: np.array([line[n] for line in lines if n in line]) for n in _METRICS}
    told = [line["gradients"] for line in lines if "gradients" in line]
    returns = next(line["returns"] for line in reversed(lines) if "returns" in line)
    return {
        "run": run_id,
        **{name: getattr(spec, name) for name in FIELDS},
        "settings": json.dumps(canonical["settings"], sort_keys=True),
        "label": METHODS[spec.method].label,
        "returns": [float(r) for r in returns],
        "return_mean": float(np.mean(returns)),
        "n_trainable": result.get("n_trainable", np.nan),
        "n_model": load_model(spec.family, spec.split, spec.variant).n_parameters,
        "update_seconds": float(result.get("update_seconds", np.nan)),
        "seconds": made.get("seconds", np.nan),
        "conflict_share": _mean([g["conflict"] for g in told]),
        "cosine_mean": _mean([g["cosine"] for g in told]),
        "loss_dm_last": _mean(series["loss_dm"][_last_tenth(series["loss_dm"])]),
        "loss_dt_last": _mean(series["loss_dt"][_last_tenth(series["loss_dt"])]),
        "env_steps": float(series["env_steps"][-1]) if len(series["env_steps"]) else np.nan,
        "spec": json.dumps(canonical, sort_keys=True),
        "machine": made.get("machine", "unknown"),
        "commit": made.get("commit", "unknown"),
    }


_METRICS = ("loss_dm", "loss_dt", "env_steps")


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _last_tenth(values: np.ndarray) -> slice:
    return slice(-max(1, len(values) // 10), None)


def key(canonical: Mapping[str, Any]) -> str:
    """Return what a run asks for as text, without the hashes of what it reads."""
    hashes = ("assets", "code")
    return json.dumps({n: v for n, v in canonical.items() if n not in hashes}, sort_keys=True)


def keys(table: pd.DataFrame) -> pd.Series:
    """Return the ``key`` of every row of a table."""
    return table["spec"].map(lambda text: key(json.loads(text)))


def made(store: RunStore, specs: Iterable[RunSpec], ships: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of those ``specs`` that ``store`` or, else, ``ships`` has, each once."""
    ids = list(dict.fromkeys(spec.id for spec in specs))
    own = rows(store, [run_id for run_id in ids if run_id in store])
    other = ships[ships["run"].isin(ids) & ~ships["run"].isin(own["run"])]
    parts = [part for part in (own, other) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else own


def shipped(ids: Iterable[str] | None = None) -> pd.DataFrame:
    """Return the rows of every table that ships, each run once; of some ids alone, if given."""
    tables = [load_results(path) for path in sorted(results_path("*").parent.glob("*.parquet"))]
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    table = pd.concat(tables, ignore_index=True).drop_duplicates("run")
    return table if ids is None else table[table["run"].isin(set(ids))]


def results_path(name: str) -> Path:
    """Where the runs of a table ship."""
    return assets.ROOT / "results" / f"{name}.parquet"


def save_results(path: Path, table: pd.DataFrame) -> None:
    """Write a table so that a reader sees all of it or nothing."""
    with whole_file(path) as partial:
        table.to_parquet(partial, engine="pyarrow", compression="zstd", index=False)


def load_results(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        ValueError: if it is not there or is no table of runs.
    """
    if not path.exists():
        raise ValueError(f"There are no results at {path}.")
    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no readable table of results: {error}.") from error
    if "variant" not in table:  # written before there was one
        table = table.assign(variant="")
    if lacking := set(COLUMNS) - set(table):
        raise ValueError(f"{path} is no table of results: it lacks {', '.join(sorted(lacking))}.")
    return table.assign(returns=table["returns"].map(list))
