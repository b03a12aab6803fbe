"""Several runs beside each other → Plotly figures: groups with intervals, settings in parallel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.data.rollout import half_width
from workbench.viewing.figures.colours import INK, look
from workbench.viewing.figures.parts import dressed


def grouped_means(groups: Mapping[str, np.ndarray]) -> go.Figure:
    """Draw groups of runs: a mark per run, the group's mean and its 95 % interval over runs.

    Args:
        groups: Name → mean returns of its runs, (n,).
    """
    names = list(groups)
    figure = dressed(go.Figure(), "Return by group", 110 + 44 * len(names))
    for name in names:
        values = np.asarray(groups[name], float)
        colour = look(name).colour
        figure.add_scatter(
            x=values,
            y=[name] * len(values),
            mode="markers",
            marker={"color": colour, "size": 7, "opacity": 0.45},
            showlegend=False,
            hovertemplate=f"{name}: %{{x:.1f}}<extra></extra>",
        )
        half = half_width(values) if len(values) > 1 else np.nan
        figure.add_scatter(
            x=[values.mean()],
            y=[name],
            mode="markers",
            marker={"color": colour, "symbol": "line-ns-open", "size": 22, "line": {"width": 3}},
            error_x={"array": [half if np.isfinite(half) else 0], "color": colour, "thickness": 4},
            showlegend=False,
            hovertemplate=f"{name}: mean %{{x:.1f}} ± {half:.1f}, n = {len(values)}<extra></extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1], automargin=True)
    return figure.update_xaxes(title="return per episode")


def in_parallel(table: pd.DataFrame, result: str = "return") -> go.Figure:
    """Draw each run as a line across its settings, coloured by what it earned.

    Args:
        table: A row per run, a column per setting that differs, and ``result``.
        result: Column of the colours, drawn last.
    """
    axes = []
    for name in [*(c for c in table if c != result), result]:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            axes.append({"label": name, "values": values.astype(float)})
            continue
        words = sorted(set(values.astype(str)))
        axes.append(
            {
                "label": name,
                "values": values.astype(str).map(words.index),
                "tickvals": list(range(len(words))),
                "ticktext": words,
            }
        )
    figure = dressed(go.Figure(), "", 380, margin={"l": 90, "r": 60, "t": 50, "b": 20})
    figure.add_parcoords(
        dimensions=axes,
        line={"color": table[result], "colorscale": "Cividis", "showscale": False},
        labelfont={"color": INK},
        tickfont={"color": INK},
    )
    return figure
