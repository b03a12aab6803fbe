"""The part of a page that shows N and K*: how long the chain, how long the prompt."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.known_runs import Known
from workbench.paper import lengths
from workbench.tasks import find
from workbench.viewing.figures.lengths import over_length

_WORDS = {
    "N": "Diffusion steps between noise and prompt. The networks that ship have N = 20; a chain "
    "of another length has a diffuser of its own, pretrained in the same way.",
    "K*": "Rows of the trajectory that the transformer is shown. The paper has K* = 5; a prompt "
    "of another length has a transformer and a diffuser of its own.",
}


def show(family: str, quality: str, known: Known) -> None:
    """Draw the return over each length, or say what is missing.

    Args:
        family: The one that the page shows; lengths were run on one family.
        quality: Of the few-shot data.
        known: All runs that there are.
    """
    st.subheader("How long a chain, how long a prompt?")
    if family != lengths.FAMILY:
        label = find(lengths.FAMILY).label
        st.caption(f"Other lengths were run on {label} only. Choose it on the left to see them.")
        return
    table = _assembled(known.key, known)
    part = table[table["quality"] == quality]
    if not part["seeds"].any():
        st.info(
            "From these data no length was run yet. In a terminal: `python -m workbench sweep "
            f"{lengths.NAME}`, which says what it needs.",
            icon=":material/straighten:",
        )
        return
    st.caption(
        "Prompt Diffuser as in the tables, Algorithm 1 with λ = 1 and the projection as published, "
        "beside the untuned prompt. Every other length has networks pretrained for it."
    )
    figures = {}
    for place, axis in zip(st.columns(2, gap="large"), _WORDS, strict=True):
        figures[axis] = _figure(known.key, axis, quality, table)
        words = f"Interquartile mean of returns over {axis}, with 95 % intervals."
        with place:
            chart(figures[axis], f"lengths-{axis}", words, f"lengths-{axis.strip('*')}")
            st.caption(_WORDS[axis])
            rows = part[(part["axis"] == axis) & (part["seeds"] == 0)]
            for method, lacking in rows.groupby("method", sort=False)["value"]:
                st.caption(f"Not run: {method}, {axis} = {', '.join(map(str, lacking))}.")
    with st.expander("Take the figures and numbers along", icon=":material/download:"):
        offer_figures(figures, "lengths", "lengths-html")
        caption = (
            f"{find(family).label}, {quality} data: interquartile mean of returns by the length of "
            f"chain and prompt, 95 % intervals over seeds; {part['runs'].sum()} runs. Made by "
            f"`python -m workbench sweep {lengths.NAME}`."
        )
        offer_table(part, "lengths", "lengths-csv", caption)


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> pd.DataFrame:
    return lengths.assemble(_known.runs)


@st.cache_resource(max_entries=16, show_spinner=False)
def _figure(made: tuple, axis: str, quality: str, _table: pd.DataFrame) -> go.Figure:
    return over_length(_table, axis, quality)
