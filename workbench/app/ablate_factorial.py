"""The part of a page that takes apart what being told the task is made of: a 2 × 2 × 2."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.known_runs import Known
from workbench.app.links import can_explore, explore_url
from workbench.paper import factorial
from workbench.paper.factorial import Cell
from workbench.paper.numbers import ends_of, signed
from workbench.tasks import find
from workbench.tuning.presets import first_task
from workbench.viewing.figures.factorial import eight, main_effects


def show(family: str, quality: str, known: Known) -> None:
    """Draw the eight, and what each of the three differences adds, or say what is missing.

    Args:
        family: The one that the page shows; the design was run on one family.
        quality: Of the few-shot data.
        known: All runs that there are.
    """
    st.subheader("What is it about being told the task?")
    if family != factorial.FAMILY:
        label = find(factorial.FAMILY).label
        st.caption(f"This was taken apart on {label} only. Choose it on the left to see it.")
        return
    table, effects = _assembled(known.key, known)
    part, added = (t[t["quality"] == quality] for t in (table, effects))
    if added.empty:
        st.info(
            "From these data not all of it was run yet. In a terminal: `python -m workbench sweep "
            f"{factorial.NAME}`, which says what it needs.",
            icon=":material/account_tree:",
        )
        return
    st.markdown(
        "Our diffuser that is told the task differs from the published one in that it **reads the "
        "few-shot data**, and in that it learnt from **expert prompts alone**. A third way to a "
        f"better prompt is to make {factorial.CANDIDATES} and act with the **best** by the "
        "downstream loss. Here is each with and without the others."
    )
    st.markdown("\n".join([*_answers(added), *_adapted(part)]))
    figures = _figures(known.key, quality, part, added)
    words = {
        "cells": "Interquartile mean of returns of the eight, with 95 % intervals.",
        "effects": "What each of the three differences adds to returns, with 95 % intervals.",
    }
    for place, (name, figure) in zip(st.columns(2, gap="large"), figures.items(), strict=True):
        with place:
            chart(figure, f"factorial-{name}", words[name], f"factorial-{name}")
    st.caption(
        "As the diffusers come, not adapted to the task. All were pretrained alike but for the "
        "prompts they learnt from, with λ = 1 as published, each once; intervals are over seeds of "
        "sampling: another pretraining seed may differ by more."
    )
    _way_on(quality)
    with st.expander("Take the figures and numbers along", icon=":material/download:"):
        offer_figures(figures, "factorial", "factorial-html")
        caption = (
            f"{find(family).label}, {quality} data: interquartile mean of returns with and without "
            "reading the few-shot data, learning from expert prompts alone, and choosing the best "
            f"of {factorial.CANDIDATES} prompts; 95 % intervals over seeds; {part['runs'].sum()} "
            f"runs. Made by `python -m workbench sweep {factorial.NAME}`."
        )
        offer_table(part, "factorial", "factorial-csv", caption)


def _answers(effects: pd.DataFrame) -> list[str]:
    """Say of each difference what it adds, to all and by whether the data are read."""
    by_where = {name: effects[effects["where"] == name] for name in factorial.WHERE}
    said = []
    for _, r in by_where["all"].iterrows():
        covers = r["effect_low"] <= 0 <= r["effect_high"]
        words = (
            f"**{factorial.FACTORS[r['factor']].capitalize()}**: {signed(r['effect'])} of "
            f"returns {ends_of(r, 'effect')}, over the settings of the other two; "
            f"{'chance may explain it' if covers else 'more than chance'}"
        )
        for where in ("read", "not read"):
            for _, only in by_where[where].iterrows():
                if only["factor"] == r["factor"]:
                    words += f"; where the data are {where}, {signed(only['effect'])}"
                    words += f" {ends_of(only, 'effect')}"
        said.append(f"- {words}.")
    return said


def _adapted(part: pd.DataFrame) -> list[str]:
    """Say what one difference adds once the published one is adapted."""
    rows = part[part["adapted"] & part["ahead"].notna()]
    found = [
        f"**{r['label']}** {signed(r['ahead'])} {ends_of(r, 'ahead')}" for _, r in rows.iterrows()
    ]
    if not found:
        return []
    return [f"- After the 400 updates of the tables, against what ships: {', '.join(found)}."]


def _way_on(quality: str) -> None:
    """Lead to the first page, which stands two pretrainings beside each other, adapted."""
    task = first_task(factorial.FAMILY)
    ships, expert = (
        next(run for run in factorial.cell(this, quality) if run.task == task)
        for this in (Cell(adapted=True), Cell(expert=True, adapted=True))
    )
    if can_explore(expert):
        url = explore_url(ships, expert)
        st.markdown(
            "Stand the published one and that of expert prompts, both adapted, "
            f"[beside each other]({url})."
        )


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> tuple[pd.DataFrame, pd.DataFrame]:
    return factorial.assemble(_known.runs), factorial.effects(_known.runs)


@st.cache_resource(max_entries=16, show_spinner=False)
def _figures(
    made: tuple, quality: str, _part: pd.DataFrame, _effects: pd.DataFrame
) -> dict[str, go.Figure]:
    return {"cells": eight(_part), "effects": main_effects(_effects)}
