"""The list of the page Runs: its columns, and which runs are ticked."""

from __future__ import annotations

import pandas as pd
import streamlit as st

COLUMNS = (
    "name", "robot", "task", "data", "method", "settings", "return", "seed", "seconds", "updates",
    "tags", "when", "where", "run",
)  # fmt: skip

_FIRST_COLUMNS = tuple(n for n in COLUMNS if n not in ("updates", "where", "run"))
"""What fits beside the sidebar of a small screen."""


def show_listed(found: pd.DataFrame) -> pd.DataFrame:
    """Draw the runs and return those that are ticked: at first those that a link names."""
    named = {"selection": {"rows": list(range(len(found)))}}
    st.caption(f"{len(found):,} runs. Press a column's name to sort by it.")
    if not len(found):
        st.info(
            "No run is like that. Ask for less at the left, or tune one on the page Explore.",
            icon=":material/search_off:",
        )
        return found
    shown_columns = [name for name in _choose_columns() if _holds(found, name)] or ["method"]
    config = {
        "name": st.column_config.TextColumn(help="Your own name for a run.", width=160),
        "return": st.column_config.NumberColumn(
            format="%.1f",
            help="Mean over the episodes of the last evaluation. Higher is better.",
            width=66,
        ),
        "settings": st.column_config.TextColumn(
            help="What differs from the method's own defaults: settings, the model that is "
            "prompted, its variant, the split, the initial prompts.",
            width=128,
        ),
        "seconds": st.column_config.NumberColumn(
            format="%.0f", help="Wall time, with loading and evaluation.", width=66
        ),
        **{
            name: st.column_config.Column(width=width)
            for name, width in (
                ("robot", 118),
                ("task", 118),
                ("data", 64),
                ("method", 130),
                ("updates", 66),
                ("seed", 46),
                ("where", 86),
            )
        },
        "tags": st.column_config.ListColumn(help="Your own words for a run."),
        "when": st.column_config.DatetimeColumn(
            format="distance", help="When a run of yours was completed.", width=98
        ),
        "run": st.column_config.TextColumn("id", help="A hash of all that determines the result."),
    }
    event = st.dataframe(
        found,
        column_order=shown_columns,
        hide_index=True,
        height=min(420, 38 + 35 * len(found)),
        column_config=config,
        placeholder="–",
        # other runs, other ticks: a tick must never move to another run
        key=f"runs-{hash(tuple(found.index))}-{hash(tuple(found['run']))}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default=named if "runs" in st.query_params else None,
        alt="The runs that were found, one a line.",
    )
    rows = event["selection"]["rows"]
    if not rows:
        st.info("Tick a run at the left of its line.", icon=":material/check_box:")
    return found.iloc[rows]


def _choose_columns() -> list[str]:
    """Let the reader choose what is listed of each run; what matters most stands first."""
    return st.sidebar.multiselect(
        "Columns",
        COLUMNS,
        default=list(_FIRST_COLUMNS),
        key="columns",
        bind="query-params",
        help="What the list shows of each run. A name, tags and a time are shown where there are "
        "any.",
    )


def _holds(found: pd.DataFrame, name: str) -> bool:
    """Return whether a column has anything to show."""
    if name == "name":
        return bool(found["name"].any())
    if name == "tags":
        return bool(found["tags"].map(len).any())
    return name != "when" or bool(found["when"].notna().any())
