"""Sets of demonstrations → Plotly figures: returns, coverage, rewards, a variable's spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from workbench.data.coverage import Coverage
from workbench.viewing.figures.colours import INK, look

_GOLDEN = 0.618034  # multiples of the golden ratio, modulo 1, never come close to each other


def reward_tent(points: Mapping[str, tuple[np.ndarray, np.ndarray]], goal: float) -> go.Figure:
    """Draw the reward of every step over its velocity, with the goal: whoever acted, one tent.

    Args:
        points: Name of a set → velocities (n,) m/s, and rewards without what effort costs (n,).
            The last one is drawn below the others.
        goal: m/s.
    """
    figure = go.Figure()
    for name, (velocity, reward) in reversed(points.items()):  # the widest is the lowest
        figure.add_scatter(
            x=velocity,
            y=reward,
            mode="markers",
            name=name,
            marker={"size": 5, "color": look(name).colour, "opacity": 0.45},
            hovertemplate=f"{name}, %{{x:.2f}} m/s: %{{y:.2f}}<extra></extra>",
        )
    line = {"dash": "dash", "color": INK}
    figure.add_vline(goal, line=line, annotation_text=f" the goal, {goal:g} m/s")
    figure.update_layout(
        height=340,
        margin={"l": 10, "r": 10, "t": 30, "b": 40},
        legend={"orientation": "h", "x": 0, "y": -0.25, "yanchor": "top"},
        hovermode="closest",
        uirevision="keep",
    )
    figure.update_xaxes(title="forward velocity of the step, m/s", automargin=True, zeroline=False)
    figure.update_yaxes(title="reward, without the effort", automargin=True, zeroline=False)
    return figure


def return_strips(sets: Mapping[str, np.ndarray]) -> go.Figure:
    """Draw the return of every episode of each set, one row a set, the mean as a tick.

    Args:
        sets: Name of a set, top to bottom, → returns of its episodes, (n,) raw.
    """
    figure = go.Figure()
    for row, (name, returns) in enumerate(sets.items()):
        colour = look(name).colour
        # Jitter that is the same each time, so that equal returns do not hide each other.
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


def coverage_map(found: Coverage) -> go.Figure:
    """Draw where the transitions of each set lie, on the plane of their two principal axes.

    Args:
        found: What the sets cover.
    """
    figure = go.Figure()
    for name, points in found.points.items():
        as_drawn = look(name)
        figure.add_scatter(
            x=points[:, 0].astype(np.float32),
            y=points[:, 1].astype(np.float32),
            name=name,
            mode="markers",
            marker={
                "color": as_drawn.colour,
                "symbol": as_drawn.symbol,
                "size": 6,
                "opacity": 0.55,
            },
            hovertemplate=f"{name}<extra></extra>",
        )
    _dress(figure, 380)
    for axis, share in zip((figure.update_xaxes, figure.update_yaxes), found.shares, strict=True):
        axis(title=f"{100 * share:.0f} % of the variance", showticklabels=False, automargin=True)
    return figure


def spread(values: Mapping[str, np.ndarray], name: str, unit: str) -> go.Figure:
    """Draw how one variable is spread in each set, as shapes beside each other.

    Args:
        values: Name of a set → its values, (n,) raw.
        name: Of the variable.
        unit: Its unit.
    """
    figure = go.Figure()
    for of, numbers in values.items():
        as_drawn = look(of)
        figure.add_violin(
            x=np.asarray(numbers, np.float32),
            name=of,
            line={"color": as_drawn.colour, "width": 1.5},
            fillcolor=as_drawn.band,
            meanline={"visible": True},
            points=False,
            spanmode="hard",
            orientation="h",
            hoverinfo="name",
        )
    _dress(figure, 380)
    figure.update_layout(showlegend=False, violingap=0.15)
    figure.update_xaxes(title=f"{name} ({unit})", automargin=True, zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _dress(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 50},
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        uirevision="keep",
    )
