"""The runs behind one cell of a table, each with its way to the first page."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from workbench.pages.links import can_explore, explore_url
from workbench.pages.rows import spec_of
from workbench.tasks import find
from workbench.tune import RunSpec
from workbench.views import goal_words


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
    st.dataframe(
        pd.DataFrame([_line(row, beside) for row in _ordered(found)]),
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
    spec = spec_of(row)
    other = beside(spec)
    sides = (spec,) if other is None else (other, spec)
    return {
        "task": goal_words(find(spec.family).task(spec.task)),
        "seed": spec.seed,
        "return": row["return_mean"],
        "A | B": explore_url(*sides) if all(map(can_explore, sides)) else None,
    }
