"""How fast each method learns: the return over contexts read, or over seconds → a Plotly figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.viewing.figures.colours import look
from workbench.viewing.figures.parts import LEGEND_BELOW, dressed, interval_bars

AXES = {
    "contexts": ("By what was read", "contexts read (log)", 16.0),
    "seconds": ("By time", "seconds of updates, one core (log)", 0.1),
}
"""Title and label of an axis, and where its start is drawn, which has no logarithm."""
_ROOM = 0.25  # above and below what was learned, as a share of it


def over_budget(table: pd.DataFrame, axis: str, quality: str) -> go.Figure:
    """Draw IQM with 95 % intervals over a logarithmic axis, a line per method.

    Methods that need no update are horizontal lines. A larger mark: the budget of the tables. The
    axis shows what was learned: where a method began far below it, an arrow says so.

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
    dressed(figure, title, 500, legend=LEGEND_BELOW, showlegend=True)
    figure.update_layout(margin_b=205)
    figure.update_xaxes(type="log", title=label, automargin=True)
    figure.update_yaxes(title="IQM of returns", automargin=True, zeroline=False)
    if len(part):
        _look_at_what_was_learned(figure, part, start)
    return figure


def _look_at_what_was_learned(figure: go.Figure, part: pd.DataFrame, start: float) -> None:
    """Let the return's axis span the evaluations after updates, and the lines without any."""
    tuned = part.groupby("row")["update"].transform("max") > 0
    learned = part.loc[~tuned | (part["update"] > 0), "iqm"]
    room = _ROOM * (learned.max() - learned.min() or 1.0)
    low, high = learned.min() - room, part["iqm"].max() + room
    figure.update_yaxes(range=[low, high])
    for line, (_, point) in enumerate(part[part["iqm"] < low].iterrows()):
        value = f"{point['iqm']:.0f}".replace("-", "−")
        figure.add_annotation(
            x=np.log10(start),
            y=0,
            yref="y domain",
            text=f"{point['row']} begins at {value}",
            xanchor="left",
            yanchor="bottom",
            showarrow=True,
            ax=0,
            ay=-24 - 16 * line,
            arrowhead=2,
            arrowcolor=look(point["row"]).colour,
        )
