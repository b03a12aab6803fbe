"""How fast each method learns: the return over contexts read, or over seconds → a Plotly figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.viewing.figures.colours import look
from workbench.viewing.figures.parts import dressed, interval_bars

AXES = {
    "contexts": ("By what was read", "contexts read (log)", 16.0),
    "seconds": ("By time", "seconds of updates, one core (log)", 0.1),
}
"""Title and label of an axis, and where its start is drawn, which has no logarithm."""


def over_budget(table: pd.DataFrame, axis: str, quality: str) -> go.Figure:
    """Draw IQM with 95 % intervals over a logarithmic axis, a line per method.

    Methods that need no update are horizontal lines. A larger mark: the budget of the tables.

    Args:
        table: Of ``paper.curves.assemble``.
        axis: ``contexts`` or ``seconds``.
        quality: Of the few-shot data.
    """
    title, label, start = AXES[axis]
    part = table[table["quality"] == quality]
    figure = go.Figure()
    for row, points in part.groupby("row", sort=False):
        as_drawn = look(row)
        line = {"color": as_drawn.colour, "dash": as_drawn.dash}
        if len(points) == 1 and not points["update"].any():
            figure.add_hline(y=points["iqm"].iloc[0], line={**line, "width": 1.5})
            # a line of the layout has no entry in the legend
            figure.add_scatter(
                x=[None], y=[None], mode="lines", line=line, name=f"{row}: no update"
            )
            continue
        points = points.sort_values("update")
        own = (points["contexts"] - points["own"]).abs().argmin()
        sizes = np.where(np.arange(len(points)) == own, 13, 6)
        figure.add_scatter(
            x=np.maximum(points[axis], start),
            y=points["iqm"],
            customdata=points[["contexts", "seconds", "iqm_low", "iqm_high", "seeds"]].to_numpy(),
            name=row,
            mode="lines+markers",
            line=line,
            marker={"symbol": as_drawn.symbol, "size": sizes},
            error_y=interval_bars(
                points["iqm"], points["iqm_low"], points["iqm_high"], as_drawn.band, width=2
            ),
            hovertemplate=(
                f"{row}, %{{customdata[0]:,}} contexts, %{{customdata[1]:.1f}} s: %{{y:.1f}} "
                "[%{customdata[2]:.1f}, %{customdata[3]:.1f}], %{customdata[4]} seeds"
                "<extra></extra>"
            ),
        )
    legend = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}
    dressed(figure, title, 420, legend=legend, showlegend=True)
    figure.update_xaxes(type="log", title=label, automargin=True)
    figure.update_yaxes(title="IQM of returns", automargin=True, zeroline=False)
    return figure
