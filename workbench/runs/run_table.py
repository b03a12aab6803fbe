"""Many runs as one table, one row each, and that table on disk: Parquet, as anybody reads it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.data.atomic_files import whole_file
from workbench.methods import METHODS
from workbench.networks.models import PROMPT_DT
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tuning.spec import RunSpec

FIELDS = tuple(f.name for f in dataclasses.fields(RunSpec))
COLUMNS = (
    "run", *FIELDS, "label", "returns", "return_mean", "n_trainable", "n_model",
    "update_seconds", "seconds", "conflict_share", "cosine_mean", "loss_dm_last", "loss_dt_last",
    "env_steps", "curve", "spec", "machine", "commit",
)  # fmt: skip
"""``run`` is the id. ``settings``: all of them, JSON. ``returns``: of the last evaluation, one per
episode. ``n_model``: parameters of the frozen model. ``update_seconds``: of all updates;
``seconds``: wall time of the run with its loading and evaluation. ``*_last``: mean over the last
tenth of the updates. ``curve``: update, seconds of all updates so far and mean return of every
evaluation, JSON. ``env_steps``: that tuning took in the task. ``spec``: JSON with the hashes
of the files that the run read. What was not measured is missing."""


def rows(store: RunStore, ids: Iterable[str]) -> pd.DataFrame:
    """Return one row per run of ``store``, with ``COLUMNS``.

    Args:
        store: Where the runs are.
        ids: Complete runs of it.

    Raises:
        ValueError: if the store lacks one of them.
    """
    found, ids = store.index(), list(ids)
    for run_id in ids:
        if run_id in found.damaged:
            raise ValueError(found.damaged[run_id])
        if run_id not in found.runs.index:
            store.result(run_id)  # says what is wrong with it
    table, unknown = table_of(found.runs.loc[ids])
    if unknown:
        raise ValueError(next(iter(unknown.values())))
    return table.drop(columns="when")


def table_of(runs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return one row per run of an index, with ``COLUMNS``, and why others are left out.

    Args:
        runs: Rows of ``Index.runs``.

    Returns:
        The rows, with ``when`` besides: the time that each run was completed; and, by id, why a
        run is of something that this workbench does not know.
    """
    specs: list[RunSpec] = []
    unknown: dict[str, str] = {}
    for run_id, text in zip(runs["run"], runs["spec"], strict=True):
        try:
            specs.append(spec_of(text))
        except (ValueError, TypeError) as error:
            unknown[run_id] = f"Run {run_id!r} cannot be shown here: {error}"
    runs = runs[~runs["run"].isin(unknown)]
    sizes = {place: _n_model(*place) for place in {_place(spec) for spec in specs}}
    table = runs.assign(
        **{n: [getattr(spec, n) for spec in specs] for n in FIELDS if n != "settings"},
        settings=[json.dumps(json.loads(t)["settings"], sort_keys=True) for t in runs["spec"]],
        returns=[json.loads(text) for text in runs["returns"]],
        label=[METHODS[spec.method].label for spec in specs],
        n_model=[sizes[_place(spec)] for spec in specs],
        when=pd.to_datetime(runs["changed"], unit="ns", utc=True),
    )
    return table.reindex(columns=[*COLUMNS, "when"]).reset_index(drop=True), unknown


def spec_of(text: str) -> RunSpec:
    """Return what a row ran, from its ``spec``.

    Raises:
        ValueError: if it is of a method, a task or a network that this workbench does not know.
    """
    return RunSpec.stored(json.loads(text))


def _place(spec: RunSpec) -> tuple[str, str, str, str]:
    return spec.family, spec.split, spec.variant, spec.model


def _n_model(family: str, split: str, variant: str, model: str) -> float:
    """Return the parameters of a model; nan where it is not here, as beside a copied store."""
    try:
        return load_model(family, split, variant, model).n_parameters
    except ValueError:
        return np.nan


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
    for name, before in (("variant", ""), ("curve", ""), ("model", PROMPT_DT)):
        if name not in table:  # written before there was one
            table = table.assign(**{name: before})
    if lacking := set(COLUMNS) - set(table):
        raise ValueError(f"{path} is no table of results: it lacks {', '.join(sorted(lacking))}.")
    return table.assign(returns=table["returns"].map(list))


def load_shipped(name: str) -> pd.DataFrame:
    """Return the runs that ship of a table; none if it does not ship."""
    path = results_path(name)
    return load_results(path) if path.exists() else pd.DataFrame(columns=list(COLUMNS))
