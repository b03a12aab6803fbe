"""Tuning runs → Plotly figures: returns, losses, and how the two gradients meet.

``gradients.py`` has the gradients in detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from workbench.data.rollout import half_width
from workbench.tuning.loop import TuneStep
from workbench.viewing.figures.parts import dressed, running_mean

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which colour-blind readers
# distinguish. Each has one meaning, in all figures.
UNTUNED = "#8c8c8c"
TUNED = "#0072B2"
DIFFUSION = "#E69F00"
DOWNSTREAM = "#009E73"
CONFLICT = "#D55E00"
AGREE = "#56B4E9"
COLUMNS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Of what a page puts side by side: A, B, and two more."""


def returns(steps: Sequence[TuneStep], untuned: TuneStep | None, updates: int) -> go.Figure:
    """Draw mean return over updates with 95 % intervals, beside the untuned prompt.

    Args:
        steps: Evaluated steps so far.
        untuned: The evaluated untuned prompt, or None.
        updates: Where the axis ends.
    """
    figure = _figure("Return after … updates", "updates", "return per episode", updates)
    if untuned is not None:
        _level(figure, Line("untuned prompt", UNTUNED, [untuned]), updates, "dash")
    if steps:
        _curve(figure, Line("tuned prompt", TUNED, steps), steps)
    return figure


@dataclass(frozen=True, eq=False)
class Line:
    """One run in a chart of several.

    Attributes:
        label: What a reader calls it.
        colour: "#rrggbb".
        steps: Its steps so far.
    """

    label: str
    colour: str
    steps: Sequence[TuneStep]


def curves(lines: Sequence[Line], untuned: TuneStep | None, updates: int) -> go.Figure:
    """Draw mean return over updates of several runs, with 95 % intervals over episodes.

    A run that is evaluated once, because it tunes nothing, is a level line with a band.

    Args:
        lines: The runs.
        untuned: The evaluated untuned prompt, if it is to be drawn besides.
        updates: Where the axis ends.
    """
    figure = _figure("Return after … updates", "updates", "return per episode", updates)
    if untuned is not None:
        _level(figure, Line("untuned prompt", UNTUNED, [untuned]), updates, "dash")
    for line in lines:
        steps = [step for step in line.steps if step.evaluation is not None]
        if len(line.steps) == 1 and steps:
            _level(figure, line, updates, "dot")
        elif steps:
            _curve(figure, line, steps)
    return figure


def _level(figure: go.Figure, line: Line, updates: int, dash: str) -> None:
    mean, half = _interval(line.steps[0])
    figure.add_hrect(mean - half, mean + half, fillcolor=line.colour, opacity=0.12, line_width=0)
    figure.add_scatter(
        x=[0, updates],
        y=[mean, mean],
        name=line.label,
        mode="lines",
        line={"color": line.colour, "dash": dash},
        hovertemplate=f"{line.label}: %{{y:.1f}} ± {half:.1f}<extra></extra>",
    )


def _curve(figure: go.Figure, line: Line, steps: Sequence[TuneStep]) -> None:
    means, halves = np.array([_interval(step) for step in steps]).T
    figure.add_scatter(
        x=[step.update for step in steps],
        y=means,
        error_y={"array": halves, "color": line.colour, "thickness": 1.2, "width": 3},
        name=line.label,
        mode="lines+markers",
        line={"color": line.colour},
        hovertemplate=(
            f"{line.label}<br>after %{{x}} updates: %{{y:.1f}} ± %{{error_y.array:.1f}}"
            "<extra></extra>"
        ),
    )


def losses(steps: Sequence[TuneStep], updates: int) -> go.Figure:
    """Draw both losses over updates: each value faint, a running mean on top.

    L_DT on trajectories that are held out stands beside them, where a method reports it.
    """
    figure = _figure("The two losses", "updates", "loss", updates)
    for name, label, colour in (
        ("loss_dm", "diffusion loss L_DM: looks like the data", DIFFUSION),
        ("loss_dt", "downstream loss L_DT: makes the model act", DOWNSTREAM),
        ("loss_held_out", "the same on trajectories held out", UNTUNED),
    ):
        x, y = _series(steps, name)
        if name == "loss_held_out" and not len(x):
            continue
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": colour, "width": 1},
            opacity=0.3,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=x,
            y=running_mean(y),
            name=label,
            mode="lines",
            line={"color": colour},
            hovertemplate="update %{x}: %{y:.4f}<extra></extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    return figure


def gradients(steps: Sequence[TuneStep], updates: int) -> go.Figure:
    """Draw the cosine between g_DM and g_DT per update; below zero the two conflict."""
    seen = [step for step in steps if step.gradients is not None]
    x = np.array([step.update for step in seen])
    cosine = np.array([step.gradients.cosine for step in seen], float)
    removed = np.array([step.gradients.removed for step in seen], float)
    share = f"{100 * np.mean(cosine < 0):.0f} % of updates conflict" if len(x) else ""
    figure = _figure("Do the two gradients fight?", "updates", "cosine of the angle", updates)
    for name, select, colour in (
        ("they agree", cosine >= 0, AGREE),
        ("they conflict", cosine < 0, CONFLICT),
    ):
        figure.add_scatter(
            x=x[select],
            y=cosine[select],
            customdata=100 * removed[select],
            name=name,
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.7},
            hovertemplate=(
                "update %{x}: cosine %{y:.3f}<br>"
                "projection removed %{customdata:.1f} % of g_DT<extra></extra>"
            ),
        )
    figure.add_hline(0, line={"color": UNTUNED, "width": 1})
    reach = max(0.1, 1.15 * float(np.abs(cosine).max())) if len(x) else 1.0
    figure.update_yaxes(range=[-reach, reach])
    figure.add_annotation(
        text=share,
        x=1,
        y=0,
        xref="paper",
        yref="paper",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": CONFLICT},
    )
    return figure


def _figure(title: str, x: str, y: str, updates: int) -> go.Figure:
    figure = dressed(
        go.Figure(),
        title,
        330,
        margin={"l": 10, "r": 10, "t": 40, "b": 80},
        legend={"orientation": "h", "y": -0.3, "x": 0, "yanchor": "top"},
    )
    figure.update_xaxes(title=x, range=[-0.02 * updates, 1.02 * updates], automargin=True)
    return figure.update_yaxes(title=y, automargin=True)


def _interval(step: TuneStep) -> tuple[float, float]:
    """Return the mean return and the half-width of its 95 % interval over episodes."""
    values = step.evaluation.returns
    half = half_width(values)
    return float(values.mean()), half if np.isfinite(half) else 0.0


def _series(steps: Sequence[TuneStep], name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(step.update, step.metrics[name]) for step in steps if name in step.metrics]
    x, y = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(x), np.array(y, float)
