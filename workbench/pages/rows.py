"""All runs that pages count: those that ship as tables, those that ship whole, and the reader's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from workbench.assembled import Runs
from workbench.pages import shown
from workbench.results import COLUMNS, keys, load_results, results_path, rows
from workbench.store import RunStore
from workbench.tune import RunSpec

YOURS, RECORDED, TABLES = "yours", "recorded", "tables"
"""Where a run comes from: the reader's own store; shipped whole; shipped as a row of a table."""


@dataclass(frozen=True, eq=False)
class Known:
    """What there is.

    Attributes:
        table: Rows of ``results.rows`` with ``where``; the reader's own last.
        keys: What each of them ran; see ``results.key``.
        runs: The same runs by what they ran, each once: a shipped one goes before the reader's.
        key: Another one when there is another run.
    """

    table: pd.DataFrame
    keys: pd.Series
    runs: Runs
    key: tuple


def known_runs() -> Known:
    """Return every run that there is now."""
    tables = tuple(_stamp(path) for path in sorted(results_path("*").parent.glob("*.parquet")))
    return _known(tables, _complete(shown.SHIPPED), _complete(shown.OWN))


def _stamp(path: Path) -> tuple[str, int]:
    return str(path), path.stat().st_mtime_ns


def _complete(store: RunStore) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return a store's folder, and its complete runs with the time that each was completed."""
    found = []
    for path in store.root.glob("*/result.json"):
        try:
            found.append((path.parent.name, path.stat().st_mtime_ns))
        except FileNotFoundError:  # deleted just now
            continue
    return str(store.root.resolve()), tuple(sorted(found, key=lambda item: item[1]))


@st.cache_resource(max_entries=4, show_spinner=False)
def _known(tables: tuple, shipped: tuple, own: tuple) -> Known:
    parts = [_table(path, changed).assign(where=TABLES) for path, changed in tables]
    if parts:  # tables share runs
        parts = [pd.concat(parts, ignore_index=True).drop_duplicates("run")]
    parts += [_stored(*shipped).assign(where=RECORDED), _stored(*own).assign(where=YOURS)]
    # an empty part has no types of its own
    table = pd.concat([p for p in parts if len(p)] or parts[-1:], ignore_index=True)
    what = keys(table)
    first = ~what.duplicated()
    return Known(table, what, Runs(table[first], what[first]), (tables, shipped, own))


@st.cache_resource(max_entries=16, show_spinner=False)
def _table(path: str, changed: int) -> pd.DataFrame:
    return load_results(Path(path))


def _stored(root: str, complete: Iterable[tuple[str, int]]) -> pd.DataFrame:
    """Return one row per run, with the time of its end; damaged runs are left out."""
    made = [_row(root, run_id, changed) for run_id, changed in complete]
    return pd.DataFrame([row for row in made if row], columns=[*COLUMNS, "when"])


@st.cache_resource(max_entries=4_000, show_spinner=False)
def _row(root: str, run_id: str, changed: int) -> dict | None:
    try:
        (row,) = rows(RunStore(root), [run_id]).to_dict("records")
    except (ValueError, OSError, KeyError, StopIteration):
        return None  # a damaged run is no run: making it again repairs it
    return {**row, "when": pd.Timestamp(changed, unit="ns", tz="UTC")}


def spec_of(row: pd.Series | dict) -> RunSpec:
    """Return what a row of ``Known.table`` ran."""
    plain = json.loads(row["spec"])
    plain.pop("assets", None)
    return RunSpec(**plain)
