"""What a pretraining by Algorithm 1 measured, step by step → Plotly figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.viewing.figures.colours import look
from workbench.viewing.figures.parts import dressed
from workbench.viewing.figures.runs import DIFFUSION, DOWNSTREAM

History = Mapping[str, Sequence[tuple[float, float]]]
"""Pairs of a step and a mean, by what was measured: ``loss_dm``, ``loss_dt``, ``conflict``, …"""


def pretraining_losses(histories: Mapping[str, History]) -> go.Figure:
    """Draw both losses over the gradient steps of some networks, each over its first value.

    Args:
        histories: By what each network is called.
    """
    figure = go.Figure()
    for key, label, colour in (
        ("loss_dm", "L_DM: looks like the data", DIFFUSION),
        ("loss_dt", "L_DT: makes the model act", DOWNSTREAM),
    ):
        for name, dash, x, y in _measured(histories, key):
            figure.add_scatter(
                x=x,
                y=y / y[0],
                customdata=y,
                name=f"{name}, {label}",
                mode="lines",
                line={"color": colour, "dash": dash},
                hovertemplate=f"{name}, step %{{x}}: %{{customdata:.4g}}<extra></extra>",
            )
    return _dressed(figure, "The two losses, over their first value", "share of the first value")


def pretraining_conflicts(histories: Mapping[str, History]) -> go.Figure:
    """Draw the share of guided steps in which the two gradients conflict, and what was removed.

    Args:
        histories: By what each network is called.
    """
    figure = go.Figure()
    for key, label, as_drawn in (
        ("conflict", "steps in conflict", look("none")),
        ("removed", "of g_DT removed", look("published")),
    ):
        for name, dash, x, y in _measured(histories, key):
            figure.add_scatter(
                x=x,
                y=100 * y,
                name=f"{name}, {label}",
                mode="lines",
                line={"color": as_drawn.colour, "dash": dash},
                hovertemplate=f"{name}, step %{{x}}: %{{y:.0f}} %<extra>{label}</extra>",
            )
    figure.update_yaxes(range=[0, 100])
    return _dressed(figure, "Do the two gradients fight?", "per cent")


def _measured(
    histories: Mapping[str, History], key: str
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Yield of each network that measured ``key``: its name, its dash, the steps, the means."""
    for dash, (name, history) in zip(_DASHES, histories.items(), strict=False):
        if history.get(key):
            x, y = np.array(history[key], float).T
            yield name, dash, x, y


_DASHES = ("solid", "dot")


def _dressed(figure: go.Figure, title: str, y: str) -> go.Figure:
    legend = {"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top"}
    dressed(figure, title, 360, legend=legend, showlegend=True)
    figure.update_xaxes(title="gradient steps", zeroline=False)
    figure.update_yaxes(title=y, rangemode="tozero")
    return figure
