"""The gradient view: what the two losses do to each other, one idea per tab."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from workbench.app.columns import Column
from workbench.app.explore_progress import lacks_measures
from workbench.app.links import VIEWS
from workbench.viewing.figures.gradients import LAYER_MEASURES, conflict, per_layer, plane
from workbench.viewing.figures.runs import losses

_EVERY = 10  # updates between two drawings of a run that grows
_WORDS = {
    "Losses": "Two losses pull on the diffuser: **L_DM**, look like the data, and **L_DT**, make "
    "the frozen transformer act like the data. Thick lines are running means.",
    "Conflict": "A **cosine below 0** means that the downstream gradient g_DT would undo part of "
    "the diffusion gradient g_DM. The projection removes that part of it (Eq. 8 and 9).",
    "Per layer": "The same for every weight matrix and bias of the diffuser: rows are layers from "
    "input (top) to output, columns are updates.",
    "In the plane": "g_DM and g_DT of one update span a plane. Move the slider under the picture: "
    "where they point apart, the projection takes a part of g_DT away.",
}
_ALT = {
    "Losses": "Diffusion loss and downstream loss over updates.",
    "Conflict": "Cosine of the two gradients, share of updates in conflict and share removed.",
    "Per layer": "Heat map of layers by updates.",
    "In the plane": "Both gradients, the projected one and their sum as arrows.",
}


def show_gradients(columns: list[Column]) -> None:
    """Draw the chosen view of every column that has gradients, side by side."""
    st.subheader("What the two losses do to each other")
    view = st.segmented_control(
        "View of the gradients",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
        help="Losses; how the two gradients meet; the same layer by layer; one update as arrows.",
    )
    st.caption(_WORDS[view])
    measure = _choose_measure() if view == "Per layer" else ""
    drawn = [column for column in columns if _has(column, view)]
    if not drawn:
        st.info(_why_nothing(columns, view))
        return
    # one picture to scale would be mostly empty at the full width
    widths = [3, 2] if len(drawn) == 1 and view == "In the plane" else len(drawn)
    for place, column in zip(st.columns(widths, gap="medium"), drawn, strict=False):
        place.markdown(f"**{column.name}** · {column.label}")
        place.plotly_chart(
            _figure(_key(column), view, measure, column),
            key=f"gradient-{column.name}-{view}",
            alt=_ALT[view],
            config={"displaylogo": False},
        )
    others = [column for column in columns if column not in drawn and column.label]
    for column in others:
        st.caption(f"**{column.name}** is not drawn here: {_why(column, view)}")


def _choose_measure() -> str:
    words = {word: name for name, (word, _) in LAYER_MEASURES.items()}
    chosen = st.segmented_control(
        "What is drawn of each layer",
        list(words),
        default=next(iter(words)),
        required=True,
        key="layer",
        bind="query-params",
        label_visibility="collapsed",
        help="; ".join(f"*{word}*: {meaning}" for word, meaning in LAYER_MEASURES.values()) + ".",
    )
    return words[chosen]


def _has(column: Column, view: str) -> bool:
    if view == "Losses":
        return any({"loss_dm", "loss_dt"} & step.metrics.keys() for step in column.steps)
    if view == "Conflict":
        return column.gradients
    return column.gradients and not lacks_measures(column)


def _why_nothing(columns: list[Column], view: str) -> str:
    return " ".join(f"{column.name}: {_why(column, view)}" for column in columns)


def _why(column: Column, view: str) -> str:
    """Say why a column has nothing to draw."""
    if column.active or column.origin in ("preview", "nothing"):
        return "no update has been done yet."
    if column.gradients:
        return "it was recorded before this was measured; press **Tune** to run it again."
    if not column.spec.updates:
        return "nothing is tuned in it, so that there is no loss."
    return "it follows one loss alone, so that there are no two gradients to compare."


def _key(column: Column) -> tuple:
    """Return what tells a figure's content; a run that grows is drawn every tenth update."""
    n = len(column.steps)
    return (column.spec.id, column.colour, n - n % _EVERY if column.active and n > _EVERY else n)


@st.cache_resource(max_entries=48, show_spinner=False)
def _figure(key: tuple, view: str, measure: str, _column: Column) -> go.Figure:
    steps, updates = _column.steps[: key[-1]], _column.spec.updates
    if view == "Losses":
        return losses(steps, updates)
    if view == "Conflict":
        return conflict(steps, updates)
    if view == "Per layer":
        return per_layer(steps, measure, updates)
    return plane(steps, _column.spec.asked["settings"]["lam"], _column.colour)
