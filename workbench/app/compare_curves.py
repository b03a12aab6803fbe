"""How fast each method learns: the return over what was read and over seconds."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.known_runs import Known
from workbench.data.qualities import QUALITIES
from workbench.paper import curves
from workbench.tasks import find
from workbench.viewing.figures.curves import AXES, over_budget


def show_curves(known: Known) -> None:
    """Draw both curves from data of one quality, and say when each method is of use.

    Args:
        known: All runs that there are.
    """
    table = _assembled(known.key, known)
    st.subheader("How fast each method learns")
    there = [quality for quality in QUALITIES if table["quality"].eq(quality).any()]
    if not there:
        st.info(
            f"No curve was run yet. In a terminal: `python -m workbench sweep {curves.NAME}`.",
            icon=":material/show_chart:",
        )
        return
    label = find(curves.FAMILY).label
    quality = st.segmented_control(
        "Few-shot data",
        there,
        default=there[0],
        required=True,
        key="curves-data",
        help="Quality of the five trajectories that are learned from, and of the first prompt.",
    )
    st.caption(
        f"{label}, every test task, {curves.EPISODES} episodes an evaluation. Each method may read "
        f"{curves.BUDGET:,} contexts; the large mark is where the tables stop. At the left end of "
        "an axis: before the first update."
    )
    figures = {}
    for place, axis in zip(st.columns(2, gap="large"), AXES, strict=True):
        figures[axis] = over_budget(table, axis, quality)
        words = f"Interquartile mean of returns over {axis}, a line per method."
        with place:
            chart(figures[axis], f"curves-{axis}", words, f"curves-{axis}")
    useful = curves.useful(table)
    part = useful[useful["quality"] == quality]
    if len(part):
        target = f"{part['target'].iloc[0]:.1f}".replace("-", "−")
        st.markdown(
            f"A prompt is **useful** within {curves.NEAR:.0%} of the expert prompt's return "
            f"({target} or better)."
        )
        _table(part)
    with st.expander("Take the figures and numbers along", icon=":material/download:"):
        offer_figures(figures, "curves", "curves-html")
        caption = (
            f"{label}, {quality} data: interquartile mean of returns over contexts and seconds, "
            f"95 % intervals over seeds, {curves.EPISODES} episodes an evaluation. Made by "
            f"`python -m workbench sweep {curves.NAME}`."
        )
        offer_table(table[table["quality"] == quality], "curves", "curves-csv", caption)


def _table(part: pd.DataFrame) -> None:
    shown = part[["row", "seconds", "contexts", "best"]]
    st.dataframe(
        shown.style.format(
            {"seconds": "{:.1f}", "contexts": "{:,.0f}", "best": "{:.1f}"}, na_rep="never"
        ),
        hide_index=True,
        column_config={
            "row": st.column_config.Column("method"),
            "seconds": st.column_config.Column(
                "useful after, s",
                help="Time in updates until the first useful evaluation; 0: before any update, as "
                "where a method begins with the expert prompt.",
            ),
            "contexts": st.column_config.Column(
                "contexts", help="Contexts that it had read by then."
            ),
            "best": st.column_config.Column("best IQM", help="Highest of its evaluations."),
        },
        alt="When each method first comes near the expert prompt's return.",
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> pd.DataFrame:
    return curves.assemble(_known.runs)
