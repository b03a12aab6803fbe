"""All runs that there are, shipped and the reader's own, and a list of some of them with links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from workbench.app import jobs
from workbench.app.links import can_explore, explore_url
from workbench.paper.measured import Runs
from workbench.runs.index import Index
from workbench.runs.run_table import keys, load_results, results_path, spec_of, table_of
from workbench.tuning.spec import RunSpec
from workbench.viewing.scene.appearance import goal_words

YOURS, RECORDED, IN_TABLES = "yours", "recorded", "tables"
"""Where a run comes from: the reader's own store; shipped whole; shipped as a row of a table."""


@dataclass(frozen=True, eq=False)
class Known:
    """All runs that there are.

    Attributes:
        table: Rows of ``run_table.rows`` with ``where``; the reader's own last.
        keys: What each of them ran; see ``run_table.key``.
        runs: The same runs by what they ran, each once: a shipped one goes before the reader's.
        key: For caches: it changes when there is another run.
        damaged: Why each other run of the reader's own store cannot be shown, by id.
    """

    table: pd.DataFrame
    keys: pd.Series
    runs: Runs
    key: tuple
    damaged: Mapping[str, str]


def known_runs() -> Known:
    """Return every run that there is now."""
    tables = tuple(_stamp(path) for path in sorted(results_path("*").parent.glob("*.parquet")))
    shipped, own = jobs.SHIPPED.index(), jobs.OWN.index()
    return _known(tables, (shipped.version, own.version), shipped, own)


def _stamp(path: Path) -> tuple[str, int]:
    return str(path), path.stat().st_mtime_ns


@st.cache_resource(max_entries=2, show_spinner=False)
def _known(tables: tuple, versions: tuple, _shipped: Index, _own: Index) -> Known:
    parts = [_table(path, changed).assign(where=IN_TABLES) for path, changed in tables]
    if parts:  # tables share runs
        parts = [pd.concat(parts, ignore_index=True).drop_duplicates("run")]
    damaged: dict[str, str] = {}
    for stored, where in ((_shipped, RECORDED), (_own, YOURS)):
        # what cannot be shown is no run here: making it again repairs it
        table, unknown = table_of(stored.runs[::-1])
        damaged = {**stored.damaged, **unknown}  # of the last, which is the reader's own
        parts.append(table.assign(where=where))
    # an empty part has no types of its own
    table = pd.concat([p for p in parts if len(p)] or parts[-1:], ignore_index=True)
    what = keys(table)
    first = ~what.duplicated()
    return Known(table, what, Runs(table[first], what[first]), (tables, *versions), damaged)


@st.cache_resource(max_entries=16, show_spinner=False)
def _table(path: str, changed: int) -> pd.DataFrame:
    return load_results(Path(path))


def show_runs(
    found: pd.DataFrame, beside: Callable[[RunSpec], RunSpec | None], words: str, key: str
) -> None:
    """Draw one line per run: its task, seed and return, and a link to the first page.

    Args:
        found: Rows of ``Known.table``.
        beside: A run → what stands in A when it stands in B; None for its untuned prompt.
        words: What stands in A, for the help text.
        key: Streamlit's identity of the table.
    """
    lines = pd.DataFrame([_line(row, beside) for row in _ordered(found)])
    st.dataframe(
        lines if lines["A | B"].notna().any() else lines.drop(columns="A | B"),
        hide_index=True,
        height=min(38 + 35 * len(found), 260),
        key=key,
        alt="Runs of the cell: task, seed, return, and a link to the first page.",
        column_config={
            "task": st.column_config.TextColumn(help="What the robot should do."),
            "seed": st.column_config.NumberColumn(help="Of the tuning.", width=50),
            "return": st.column_config.NumberColumn(
                format="%.1f", help="Mean over the episodes of the last evaluation.", width=70
            ),
            "A | B": st.column_config.LinkColumn(
                display_text="open",
                width=60,
                help=f"Opens the first page with {words} in A and this run in B, where it has the "
                "controls for it.",
            ),
        },
    )


def _ordered(found: pd.DataFrame) -> list[dict]:
    return found.sort_values(["seed", "family", "task"]).to_dict("records")


def _line(row: dict, beside: Callable[[RunSpec], RunSpec | None]) -> dict:
    spec = spec_of(row["spec"])
    other = beside(spec)
    sides = (spec,) if other is None else (other, spec)
    return {
        "task": goal_words(spec.resolved_task),
        "seed": spec.seed,
        "return": row["return_mean"],
        "A | B": explore_url(*sides) if all(map(can_explore, sides)) else None,
    }
