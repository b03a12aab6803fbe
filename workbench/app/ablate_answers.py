"""What the numbers of the page Ablate answer, in sentences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.report import Item, offer_item
from workbench.data.qualities import QUALITIES
from workbench.paper.ablation import Grid
from workbench.paper.answers import answers
from workbench.tasks import find


def show_answers(
    grid: Grid,
    table: pd.DataFrame,
    figures: Mapping[str, go.Figure],
    assembled: Callable[[Grid], pd.DataFrame],
) -> None:
    """Say what the numbers answer, of this quality of data or of all.

    Args:
        grid: What is drawn.
        table: Its table.
        figures: Of that table: the ``map`` and the ``curves``.
        assembled: Makes the table of another grid.
    """
    with st.container(key="answers"):
        said = answers(table)
        if not said:
            return
        whole = st.toggle(
            "Answers from all data",
            key="all-data",
            bind="query-params",
            help="The same sentences for each quality of the data; the first time takes seconds.",
        )
        for quality in QUALITIES if whole else ():
            if quality != grid.qualities[0]:
                other = dataclasses.replace(grid, qualities=(quality,))
                said += answers(assembled(other))
        st.markdown("\n".join(f"- {sentence}" for sentence in said))
        offer_item(
            Item(
                f"λ and projection, {find(grid.family).label}",
                "\n".join(f"- {sentence}" for sentence in said),
                {"map": figures["map"], "returns": figures["curves"]},
                table,
                ("python -m workbench sweep ablation",),
            ),
            "ablate-report",
        )
