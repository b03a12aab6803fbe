"""Assembled tables → Plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import qualitative

from workbench.assembled import ALL
from workbench.scores import profile

_PUBLISHED = "#222222"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each row of a table, by its place."""
    palette = qualitative.Dark24
    return {name: palette[i % len(palette)] for i, name in enumerate(names)}


def intervals(table: pd.DataFrame, column: str) -> go.Figure:
    """Draw one column of a table: IQM and interval per row, and the published means.

    Args:
        table: Of ``assembled.assemble``.
        column: One of its columns.
    """
    part = table[table["column"] == column]
    colour_of = colours(part["row"].tolist())
    over_all = column == ALL
    digits = 3 if over_all else 1
    what = "normalised score" if over_all else "return per episode"
    figure = _figure(column, what, 90 + 28 * len(part))
    for _, r in part[part["iqm"].notna()].iterrows():
        known = pd.notna(r["iqm_low"])
        said = f"IQM {r['iqm']:.{digits}f}" + (
            f" [{r['iqm_low']:.{digits}f}, {r['iqm_high']:.{digits}f}]" if known else ""
        )
        figure.add_scatter(
            x=[r["iqm"]],
            y=[r["row"]],
            error_x={
                "array": [r["iqm_high"] - r["iqm"] if known else 0.0],
                "arrayminus": [r["iqm"] - r["iqm_low"] if known else 0.0],
                "symmetric": False,
                "thickness": 6,
                "width": 0,
                "color": colour_of[r["row"]],
            },
            name=r["row"],
            mode="markers",
            marker={"color": colour_of[r["row"]], "size": 11, "line": {"color": "white"}},
            showlegend=False,
            hovertemplate=f"{r['row']}: {said}<extra></extra>",
        )
    known = part[part["published"].notna()]
    if len(known):
        figure.add_scatter(
            x=known["published"],
            y=known["row"],
            error_x={"array": known["published_sd"], "color": _PUBLISHED, "width": 3},
            name="published: mean ± sd",
            mode="markers",
            marker={"color": _PUBLISHED, "symbol": "diamond-open", "size": 9},
            hovertemplate="published for %{y}: %{x:.1f}<extra></extra>",
        )
    figure.update_yaxes(
        categoryorder="array", categoryarray=part["row"].tolist()[::-1], automargin=True
    )
    return figure


def profiles(
    scores: Mapping[str, np.ndarray],
    levels: Sequence[float] | None = None,
    names: Sequence[str] = (),
) -> go.Figure:
    """Draw performance profiles: the share of runs above every level of the normalised score.

    Args:
        scores: Row of a table → normalised scores, (S, M).
        levels: Where to look; by default from the lowest to the highest score.
        names: All rows of the table, so that each has the colour that it has in ``intervals``.
    """
    if levels is None and scores:
        every = np.concatenate([np.ravel(s) for s in scores.values()])
        levels = np.linspace(every.min(), every.max(), 101)
    figure = _figure("Performance profile", "normalised score τ", 380)
    colour_of = colours(names or list(scores))
    for i, name in enumerate(scores):
        figure.add_scatter(
            x=np.asarray(levels),
            y=profile(np.asarray(scores[name]), np.asarray(levels)),
            name=name,
            mode="lines",
            line={"color": colour_of[name], "shape": "hv", "dash": _DASHES[i % len(_DASHES)]},
            hovertemplate=f"{name}: %{{y:.0%}} of runs above %{{x:.2f}}<extra></extra>",
        )
    figure.update_yaxes(title="share of runs above τ", range=[-0.02, 1.02], tickformat=".0%")
    return figure


def _figure(title: str, x: str, height: int) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"},
        height=height,
        margin={"l": 10, "r": 10, "t": 40, "b": 40},
        hovermode="closest",
    )
    figure.update_xaxes(title=x, automargin=True)
    return figure
