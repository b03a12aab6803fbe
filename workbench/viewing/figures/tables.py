"""Assembled tables → Plotly figures, in the three forms of rliable (arXiv 2108.13264)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.paper.listed import ALL
from workbench.paper.scores import Estimate, profile
from workbench.viewing.figures.colours import INK, look
from workbench.viewing.figures.parts import LEGEND_BELOW, add_band, dressed, interval_bars

_N_LEVELS = 101  # points of a performance profile


def intervals(table: pd.DataFrame, column: str) -> go.Figure:
    """Draw one column of a table: IQM and interval per row, our means beside the published ones.

    Args:
        table: Of ``measured.assemble``.
        column: One of its columns.
    """
    part = table[table["column"] == column]
    over_all = column == ALL
    digits = 3 if over_all else 1
    what = "normalised score" if over_all else "return per episode"
    figure = _figure(column, what, 90 + 28 * len(part))
    for _, r in part[part["iqm"].notna()].iterrows():
        found = Estimate(r["iqm"], r["iqm_low"], r["iqm_high"])
        _add_interval(figure, r["row"], found, f"IQM {_said(found, digits)}")
    known = part[part["published"].notna()]
    if len(known):
        figure.add_scatter(
            x=known["mean"],
            y=known["row"],
            name="our mean",
            mode="markers",
            marker={"color": INK, "symbol": "diamond", "size": 6},
            hovertemplate="our mean of %{y}: %{x:.1f}<extra></extra>",
        )
        figure.add_scatter(
            x=known["published"],
            y=known["row"],
            error_x={"array": known["published_sd"], "color": INK, "width": 3},
            name="published: mean ± sd",
            mode="markers",
            marker={"color": INK, "symbol": "diamond-open", "size": 9},
            hovertemplate="published for %{y}: %{x:.1f}<extra></extra>",
        )
    _order(figure, part["row"].tolist())
    figure.update_layout(legend=LEGEND_BELOW, margin_b=86)
    return figure


def profiles(
    scores: Mapping[str, np.ndarray],
    levels: Sequence[float] | None = None,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> go.Figure:
    """Draw performance profiles: the share of runs above every level of the normalised score.

    Args:
        scores: Row of a table → normalised scores, (S, M).
        levels: Where to look; see ``levels_of``.
        bands: Row → lowest and highest share at each level, (L,) each, of ``scores.profile_band``.
    """
    if levels is None and scores:
        levels = levels_of(scores)
    figure = _figure("Performance profile", "normalised score τ", 460)
    for name in scores:
        as_drawn = look(name)
        if bands and name in bands:
            add_band(figure, levels, *bands[name], as_drawn.band, name)
        figure.add_scatter(
            x=np.asarray(levels),
            y=profile(np.asarray(scores[name]), np.asarray(levels)),
            name=name,
            mode="lines",
            line={"color": as_drawn.colour, "shape": "hv", "dash": as_drawn.dash},
            legendgroup=name,
            hovertemplate=f"{name}: %{{y:.0%}} of runs above %{{x:.2f}}<extra></extra>",
        )
    figure.update_yaxes(title="share of runs above τ", range=[-0.02, 1.02], tickformat=".0%")
    return figure


def levels_of(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return where to look at performance profiles: from the lowest to the highest score."""
    every = np.concatenate([np.ravel(s) for s in scores.values()])
    return np.linspace(every.min(), every.max(), _N_LEVELS)


def improvements(found: Mapping[str, Estimate], against: str) -> go.Figure:
    """Draw for each row the probability that its run beats one of another row on the same task.

    Args:
        found: Row of a table → probability and its interval, of ``scores.improvement``.
        against: The other row.
    """
    title = f"Probability that a run beats one of: {against}"
    figure = _figure(title, "probability of improvement", 90 + 28 * max(1, len(found)))
    for name, estimate in found.items():
        _add_interval(figure, name, estimate, _said(estimate, 2))
    figure.add_vline(0.5, line={"color": INK, "width": 1, "dash": "dot"})
    _order(figure, list(found))
    figure.update_xaxes(range=[-0.03, 1.03], tickformat=".0%")
    return figure


def _add_interval(figure: go.Figure, name: str, found: Estimate, said: str) -> None:
    """Draw a row of intervals: a mark, and a bar as long as its interval."""
    as_drawn = look(name)
    figure.add_scatter(
        x=[found.value],
        y=[name],
        error_x=interval_bars(
            [found.value], [found.low], [found.high], as_drawn.colour, thickness=6, width=0
        ),
        name=name,
        mode="markers",
        marker={
            "color": as_drawn.colour,
            "symbol": as_drawn.symbol,
            "size": 11,
            "line": {"color": "white", "width": 1},
        },
        showlegend=False,
        hovertemplate=f"{name}: {said}<extra></extra>",
    )


def _said(found: Estimate, digits: int) -> str:
    known = np.isfinite(found.low)
    interval = f" [{found.low:.{digits}f}, {found.high:.{digits}f}]" if known else ""
    return f"{found.value:.{digits}f}{interval}".replace("-", "−")


def _order(figure: go.Figure, rows: list[str]) -> None:
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=rows[::-1],
        range=[-0.6, len(rows) - 0.4],
        automargin=True,
    )


def _figure(title: str, x: str, height: int) -> go.Figure:
    figure = dressed(go.Figure(), title, height, uirevision=None)
    return figure.update_xaxes(title=x, automargin=True)
