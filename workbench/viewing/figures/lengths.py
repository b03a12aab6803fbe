"""The return over the lengths of chain and prompt, N and K* → Plotly figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.viewing.figures.colours import look
from workbench.viewing.figures.parts import dressed, interval_bars

AXES = {
    "N": ("How long a chain?", "diffusion steps N"),
    "K*": ("How long a prompt?", "rows of the prompt K*"),
}
"""Title and axis of each length."""
_METHODS = {"Prompt Diffuser": "tuned", "Prompt-DT": "the demonstration itself"}


def over_length(table: pd.DataFrame, axis: str, quality: str) -> go.Figure:
    """Draw IQM over one of the two lengths with 95 % intervals, a line per method.

    Args:
        table: Of ``lengths.assemble``.
        axis: ``N`` or ``K*``.
        quality: Of the few-shot data.
    """
    title, label = AXES[axis]
    part = table[(table["axis"] == axis) & (table["quality"] == quality)]
    values = sorted(set(part["value"]))
    figure = go.Figure()
    for method, said in _METHODS.items():
        rows = part[(part["method"] == method) & part["iqm"].notna()].sort_values("value")
        if rows.empty:
            continue
        as_drawn = look(method)
        figure.add_scatter(
            x=[values.index(v) for v in rows["value"]],
            y=rows["iqm"],
            customdata=np.stack(
                [rows["value"], rows["iqm_low"], rows["iqm_high"], rows["seeds"]], 1
            ),
            name=f"{method}: {said}",
            mode="lines+markers",
            line={"color": as_drawn.colour, "dash": as_drawn.dash},
            marker={"symbol": as_drawn.symbol, "size": 9},
            error_y=interval_bars(rows["iqm"], rows["iqm_low"], rows["iqm_high"], as_drawn.colour),
            hovertemplate=(
                f"{method}, {axis} = %{{customdata[0]}}: %{{y:.1f}} [%{{customdata[1]:.1f}}, "
                "%{customdata[2]:.1f}], %{customdata[3]} seeds<extra></extra>"
            ),
        )
    legend = {"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top"}
    dressed(figure, title, 340, legend=legend, showlegend=True)
    figure.update_xaxes(
        title=label,
        tickvals=list(range(len(values))),
        ticktext=[str(v) for v in values],
        range=[-0.4, len(values) - 0.6],
        zeroline=False,
        automargin=True,
    )
    figure.update_yaxes(title="IQM of returns", automargin=True, zeroline=False)
    return figure
