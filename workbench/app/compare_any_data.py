"""Data of every quality on every robot: the part of the page beneath table 2."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from workbench.app.charts import offer_table
from workbench.app.known_runs import Known
from workbench.data.qualities import QUALITIES
from workbench.paper import any_data
from workbench.paper.numbers import ends_of
from workbench.tasks import SHIPPED, find


def show_any_data(known: Known) -> None:
    """Show what every row earns from data of every quality, and say it of each robot.

    Args:
        known: All runs that there are.
    """
    table = _assembled(known.key, known)
    st.subheader("The same on every robot: what do bad data cost?")
    st.markdown(
        "Few-shot data and the initial prompt are of one quality here, as they are when nobody has "
        "an expert. In brackets: what is lost to the same row from expert data, as a share of the "
        "way from the random to the expert behaviour policy."
    )
    st.markdown("\n".join(f"- {_said(table, family)}" for family in SHIPPED))
    cells = table.set_index(["family", "row", "quality"])
    shown = [
        {"robot": find(family).label, "row": row}
        | {quality: _cell(cells.loc[family, row, quality]) for quality in QUALITIES}
        for family in SHIPPED
        for row in any_data.ROWS
    ]
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        height="content",
        column_config={
            "robot": st.column_config.Column("", help="Family of tasks."),
            "row": st.column_config.Column("", help="What acts, and what it was made of."),
            **{
                quality: st.column_config.Column(
                    f"{quality} data", help="Interquartile mean of returns; in brackets the loss."
                )
                for quality in QUALITIES
            },
        },
        alt="Interquartile means of returns by robot, row and quality of the data.",
    )
    if not table["seeds"].all():
        st.caption(f"A dash: not run yet; `python -m workbench sweep {any_data.NAME}` runs it.")
    with st.expander("Take the numbers along", icon=":material/download:"):
        caption = (
            "Interquartile means of returns from expert, medium and random data, prompt and "
            "few-shot data alike, 95 % intervals over seeds; share: mean difference to expert "
            "data, of the distance between random and expert behaviour policy. "
            f"{table['runs'].sum()} runs. Made by `python -m workbench sweep {any_data.NAME}`."
        )
        offer_table(table, "any-data", "any-data-csv", caption)


def _said(table: pd.DataFrame, family: str) -> str:
    """Say what random data cost on a robot, without and with being told the task."""
    rows = table[(table["family"] == family) & (table["quality"] == QUALITIES[-1])]
    there = rows[rows["share"].notna()].set_index("row")
    lost = []
    for row, how in zip(any_data.ROWS, _HOW, strict=True):
        if row in there.index:
            r = there.loc[row, ["share", "share_low", "share_high"]]
            lost.append(f"{percent(r['share'])} {ends_of(100 * r, 'share')} {how}")
    return f"**{find(family).label}**, random data: {', '.join(lost) or 'not run'}."


_HOW = (
    "with a prompt cut from them",
    "with Prompt Diffuser as published",
    "where it is told the task",
)


def percent(share: float) -> str:
    """Return a difference of shares as it is written: −3.1 %."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def _cell(r: pd.Series) -> str:
    if not r["seeds"]:
        return f"{r['runs']} of {r['of']} runs" if r["runs"] else "–"
    digits = 1 if abs(r["iqm"]) < 1000 else 0
    value = f"{r['iqm']:,.{digits}f}".replace("-", "−")
    return value if pd.isna(r["share"]) else f"{value} ({percent(r['share'])})"


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> pd.DataFrame:
    return any_data.assemble(_known.runs)
