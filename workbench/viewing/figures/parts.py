"""Parts that several figures share: headings, intervals as bars and as bands, a running mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

LEGEND_BELOW = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}
"""A legend in one line at the bottom of the figure."""
WINDOW = 11
"""Values of a running mean."""


def heading(text: str) -> dict[str, Any]:
    """Return a figure's title, at its left."""
    return {"text": text, "font": {"size": 15}, "x": 0, "xref": "paper"}


def dressed(figure: go.Figure, title: str, height: int, **layout: Any) -> go.Figure:
    """Give a figure its title, height and margins, and return it.

    Args:
        figure: What is changed.
        title: May be empty.
        height: Pixels; the width is that of the page.
        **layout: More of Plotly's layout, and what differs from the usual one.
    """
    usual = {
        "title": heading(title),
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 40, "b": 40},
        "hovermode": "closest",
        "uirevision": "keep",  # a zoom survives when the same figure comes with more data
    }
    return figure.update_layout(usual | layout)


def interval_bars(
    value: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, **style: Any
) -> dict[str, Any]:
    """Return Plotly's error bars from ``low`` to ``high``; none where they are nan.

    Args:
        value: What is marked, (n,).
        low: Lower ends, (n,).
        high: Upper ends, (n,).
        colour: ``"#rrggbb"``.
        **style: ``thickness`` and ``width`` in pixels.
    """
    value, low, high = (np.asarray(x, float) for x in (value, low, high))
    return {
        "array": high - value,
        "arrayminus": value - low,
        "symmetric": False,
        "color": colour,
        **({"thickness": 2, "width": 4} | style),
    }


def add_band(
    figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, group: str
) -> None:
    """Shade an interval along a curve.

    Args:
        figure: What is drawn into.
        x: (n,).
        low: Lower end at each x, (n,); where it is nan nothing is shaded.
        high: Upper end, (n,).
        colour: As CSS has it, translucent.
        group: Name of the curve, with which it is hidden.
    """
    known = np.isfinite(low)
    x, low, high = np.asarray(x)[known], np.asarray(low)[known], np.asarray(high)[known]
    if len(x):
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([high, low[::-1]]),
            fill="toself",
            fillcolor=colour,
            line={"width": 0},
            mode="lines",
            legendgroup=group,
            showlegend=False,
            hoverinfo="skip",
        )


def running_mean(y: np.ndarray) -> np.ndarray:
    """Return a centred running mean over ``WINDOW`` values that shrinks at the ends, (n,)."""
    half = WINDOW // 2
    return np.array([y[max(0, i - half) : i + half + 1].mean() for i in range(len(y))])
