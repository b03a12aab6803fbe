"""An index of a store: what its runs say, in a SQLite file beside them. The folders are the truth.

Whoever lists a store looks at every folder's result, which takes microseconds, and reads those
folders alone whose result is another one than the index knows. So an index that is lost, old,
damaged or copied from elsewhere costs time and nothing else. Nobody waits for it: where it cannot
be written, because others write it or the folder is read-only, it is done without.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.runs.run_folder import RESULT, summary

FILE = "index.sqlite"
"""In the store's folder."""
FEWEST = 50
"""Runs of a store that has an index; fewer are read as fast from their folders."""
_NUMBERS = (
    "return_mean", "start_mean", "n_trainable", "update_seconds", "seconds", "conflict_share",
    "cosine_mean", "loss_dm_last", "loss_dt_last", "env_steps",
)  # fmt: skip
_WORDS = ("returns", "curve", "spec", "machine", "commit", "untuned")
COLUMNS = ("run", "changed", *_NUMBERS, *_WORDS)
"""``changed``: when the result was written, nanoseconds. ``start_mean``, ``return_mean``: of the
first and the last evaluation; ``returns``: of the last one, JSON. ``untuned``: the id of the
untuned prompt's run over the same files. The rest as in ``run_table.COLUMNS``."""
_NAMES = ", ".join(f'"{name}"' for name in COLUMNS)
_VERSION = 2  # of the table below and of ``summary``: another one is made anew
_TABLE = f"""CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, changed INTEGER,
{", ".join(f"{name} REAL" for name in _NUMBERS)},
{", ".join(f'"{name}" TEXT' for name in _WORDS)}) WITHOUT ROWID"""
_PATIENCE = 2.0  # seconds that another writer has


@dataclass(frozen=True, eq=False)
class Index:
    """What the complete runs of a store say.

    Attributes:
        runs: One row per readable run, newest first: ``COLUMNS``, and the fields of its spec.
        damaged: Why each of the others cannot be read, by id.
        version: For caches of this process: another one whenever anything changed.
    """

    runs: pd.DataFrame
    damaged: Mapping[str, str]
    version: int = 0


def index_of(root: Path) -> Index:
    """Return what the complete runs of a folder say now, reading no more than is new.

    Args:
        root: The folder of a store.
    """
    root = root.resolve()
    with _lock_of(root):
        there = complete(root)
        known = _known.get(root)
        if known is None:
            known = Index(_read(root, there), {}, next(_versions))
        changed = known.runs["changed"].to_dict()
        new = [run for run, when in there.items() if changed.get(run) != when]
        gone = [run for run, when in changed.items() if there.get(run) != when]
        if new or gone or known.damaged:
            now = _refreshed(root, known.runs.drop(gone), {run: there[run] for run in new})
            _forget(root, [run for run in gone if run not in there])
            if len(new) > len(now.damaged) or gone or now.damaged != known.damaged:
                known = replace(now, version=next(_versions))
        _known[root] = known
        for old in list(_known)[:-_MOST]:
            del _known[old]
    return known


def add(folder: Path) -> None:
    """Enter a run that was just completed, so that whoever lists the store finds it there."""
    with contextlib.suppress(OSError, ValueError):
        root = folder.parent
        if len(os.listdir(root)) >= FEWEST:
            row = {"run": folder.name, "changed": (folder / RESULT).stat().st_mtime_ns}
            _write(root, [row | summary(folder)])


def complete(root: Path) -> dict[str, int]:
    """Return the complete runs of a folder, with the time that each was completed, in ns."""
    found = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(root):
            if name.startswith("."):  # the bin, and what is written this moment
                continue
            with contextlib.suppress(OSError):
                found[name] = os.stat(f"{root}/{name}/{RESULT}").st_mtime_ns
    return found


def _refreshed(root: Path, runs: pd.DataFrame, new: Mapping[str, int]) -> Index:
    """Return the index with what the folders of some runs say, and write these down."""
    rows: list[dict[str, Any]] = []
    damaged: dict[str, str] = {}
    for run, when in new.items():
        try:
            rows.append({"run": run, "changed": when, **summary(root / run)})
        except ValueError as error:
            # it is looked at each time: somebody may mend it without touching its result
            damaged[run] = str(error)
    if rows:
        if len(runs) + len(rows) >= FEWEST:
            _write(root, rows)
        runs = pd.concat([part for part in (_table(rows), runs) if len(part)])
        runs = runs.sort_values(["changed", "run"], ascending=[False, True])
    return Index(runs, damaged)


def _table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows with the fields of their specs, by run."""
    table = pd.DataFrame(rows, columns=list(COLUMNS)).set_index("run", drop=False)
    table.index.name = None
    fields = pd.DataFrame(map(json.loads, table["spec"]), index=table.index)
    fields = fields.drop(columns=["assets"], errors="ignore")
    return table.astype(dict.fromkeys(_NUMBERS, float)).join(fields)


def _read(root: Path, there: Mapping[str, int]) -> pd.DataFrame:
    """Return what the file knows of runs that are there as it knows them."""
    rows: list[tuple] = []
    if (root / FILE).exists():
        _transact(root, lambda file: rows.extend(file.execute(f"SELECT {_NAMES} FROM runs")))
    _forget(root, [row[0] for row in rows if row[0] not in there])
    known = [dict(zip(COLUMNS, row, strict=True)) for row in rows if there.get(row[0]) == row[1]]
    return _table(known).sort_values(["changed", "run"], ascending=[False, True])


def _write(root: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    if (root.parent / "manifest.json").exists():  # it lists every file of what ships
        return
    insert = f"INSERT OR REPLACE INTO runs ({_NAMES}) VALUES ({', '.join('?' * len(COLUMNS))})"
    values = [[row[name] for name in COLUMNS] for row in rows]
    _transact(root, lambda file: file.executemany(insert, values))


def _forget(root: Path, gone: Iterable[str]) -> None:
    """Drop runs, but those that somebody has completed since they were not there."""
    ids = [[run] for run in gone if not (root / run / RESULT).exists()]
    if ids and (root / FILE).exists():
        _transact(root, lambda file: file.executemany("DELETE FROM runs WHERE run = ?", ids))


def _transact(root: Path, work: Callable[[sqlite3.Connection], object]) -> None:
    """Do one piece of work on the file, or none of it, whatever is wrong with the file."""
    path = root / FILE
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE)) as file, file:
            if not _current(file):
                file.execute("BEGIN IMMEDIATE")  # one alone makes it, the others look again
                if not _current(file):
                    file.execute("DROP TABLE IF EXISTS runs")
                    file.execute(_TABLE)
                    file.execute(f"PRAGMA user_version = {_VERSION}")
            work(file)
    except sqlite3.OperationalError:  # locked by others, read-only, a full disk
        return
    except sqlite3.DatabaseError:  # no index, or a damaged one
        with contextlib.suppress(OSError):
            path.unlink()


def _current(file: sqlite3.Connection) -> bool:
    return file.execute("PRAGMA user_version").fetchone() == (_VERSION,)


def _lock_of(root: Path) -> threading.Lock:
    return _locks.setdefault(root, threading.Lock())


_MOST = 8  # stores that a process remembers
_known: dict[Path, Index] = {}
_locks: dict[Path, threading.Lock] = {}
_versions = itertools.count()
