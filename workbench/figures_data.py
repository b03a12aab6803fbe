"""Sets of demonstrations → Plotly figure. Knows neither Streamlit nor files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

SHIPPED = "#8c8c8c"
YOURS = "#CC79A7"
"""Okabe and Ito's purple: the user's own data, everywhere."""
_GOLDEN = 0.618034


def return_strips(sets: Mapping[str, np.ndarray], yours: frozenset[str] = frozenset()) -> go.Figure:
    """Draw the return of every episode of each set, one row a set, the mean as a tick.

    Args:
        sets: Name of a set, top to bottom, → returns of its episodes, (n,) raw.
        yours: Names of the user's own sets.
    """
    figure = go.Figure()
    for row, (name, returns) in enumerate(sets.items()):
        colour = YOURS if name in yours else SHIPPED
        # Spread over the row, the same each time, so that equal returns do not hide each other.
        spread = (np.arange(len(returns)) * _GOLDEN % 1 - 0.5) * 0.4
        figure.add_scatter(
            x=returns,
            y=row + spread,
            mode="markers",
            marker={"color": colour, "size": 9, "opacity": 0.75},
            customdata=np.arange(len(returns)),
            hovertemplate=f"{name}, episode %{{customdata}}: %{{x:.1f}}<extra></extra>",
        )
        figure.add_scatter(
            x=[returns.mean()] * 2,
            y=[row - 0.36, row + 0.36],
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate=f"{name}: mean {returns.mean():.1f}<extra></extra>",
        )
    figure.update_layout(
        height=90 + 52 * max(1, len(sets)),
        margin={"l": 10, "r": 10, "t": 10, "b": 50},
        showlegend=False,
        hovermode="closest",
        uirevision="keep",
    )
    figure.update_xaxes(
        title="return of an episode, higher is better", automargin=True, showgrid=True
    )
    figure.update_yaxes(
        tickvals=list(range(len(sets))),
        ticktext=list(sets),
        range=[len(sets) - 0.4, -0.6],
        automargin=True,
        showgrid=False,
        zeroline=False,
    )
    return figure
