"""The lessons' values → Plotly figures. Each shows one idea."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.data.trajectory import Trajectory
from workbench.tasks import find
from workbench.viewing.figures.colours import INK, look
from workbench.viewing.figures.parts import LEGEND_BELOW, dressed
from workbench.viewing.figures.runs import CONFLICT, DIFFUSION, DOWNSTREAM, TUNED, UNTUNED
from workbench.viewing.player.method_strip import BACK, STAGES
from workbench.viewing.scene.appearance import curve_of, goal_words, view_of

PALETTE = (TUNED, DIFFUSION, DOWNSTREAM, CONFLICT, "#CC79A7", "#56B4E9", UNTUNED)
"""Okabe and Ito's colours, where they have no fixed meaning."""


def whole_system() -> go.Figure:
    """Draw the method from recorded runs to the robot, each box with the lesson that opens it."""
    figure, last = go.Figure(), len(STAGES) - 1
    for i, stage in enumerate(STAGES):
        tuned, frozen = stage["key"] == "diffuser", stage["key"] == "transformer"
        colour = TUNED if tuned else UNTUNED if frozen else INK
        box = {"x0": i - 0.34, "x1": i + 0.34, "y0": -0.3, "y1": 0.3}
        figure.add_shape(type="rect", line={"color": colour, "width": 3 if tuned else 1.5}, **box)
        note = {"diffuser": "tuned", "transformer": "frozen"}.get(stage["key"], "")
        figure.add_annotation(
            x=i,
            y=0,
            text=f"<b>{stage['name'].replace(' ', '<br>')}</b><br>{note or '&nbsp;'}<br>"
            f"<i>lesson {stage['lesson'][0]}</i>",
            showarrow=False,
            hovertext=stage["words"],
        )
        if i < last:
            ends = {"ax": i + 0.36, "ay": 0, "x": i + 0.64, "y": 0, "axref": "x", "ayref": "y"}
            figure.add_annotation(text="", arrowhead=2, arrowwidth=2, arrowcolor=INK, **ends)
            figure.add_annotation(x=i + 0.5, y=0.12, text=stage["arrow"], showarrow=False)
    # the way back: from the transformer below to the diffuser
    figure.add_scatter(
        x=[3, 3, 1],
        y=[-0.32, -0.62, -0.62],
        mode="lines",
        line={"color": DOWNSTREAM, "width": 2, "dash": "dot"},
        hoverinfo="skip",
    )
    ends = {"ax": 1, "ay": -0.62, "x": 1, "y": -0.32, "axref": "x", "ayref": "y"}
    figure.add_annotation(text="", arrowhead=2, arrowwidth=2, arrowcolor=DOWNSTREAM, **ends)
    words = f"{BACK['name']} <i>(lesson {BACK['lesson'][0]})</i>"
    figure.add_annotation(
        x=2, y=-0.74, text=words, showarrow=False, font_color=DOWNSTREAM, hovertext=BACK["words"]
    )
    figure.update_xaxes(visible=False, range=[-0.45, last + 0.45], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.9, 0.45], fixedrange=True)
    margin = {"l": 10, "r": 10, "t": 10, "b": 10}
    return dressed(figure, "", 230, margin=margin, showlegend=False)


def episodes(trajectories: Mapping[str, Trajectory]) -> go.Figure:
    """Draw what the robot did over time, averaged over half a second, with its target as a line.

    Args:
        trajectories: Name → an episode with states; all of one task.
    """
    task = next(iter(trajectories.values())).task
    curve, dt = view_of(task.family).curve, find(task.family).dt
    width = max(1, round(curve.seconds / dt))
    series = {}
    for name, t in trajectories.items():
        values = curve_of(task, t.states, t.rewards)
        count = np.minimum(np.arange(len(values)) + 1, width)
        summed = np.cumsum(values)
        summed[width:] = summed[width:] - summed[:-width]
        series[f"{name}: return {t.episode_return:.0f}"] = summed / count
    figure = lines(
        {n: (dt * np.arange(len(v)), v) for n, v in series.items()},
        f"{curve.title}: {goal_words(task)}",
        "seconds",
        curve.unit,
    )
    if (target := curve.target(task.goal)) is not None:
        figure.add_hline(
            target,
            line={"dash": "dash", "color": UNTUNED},
            annotation_text=curve.target_words(task.goal),
        )
    return figure


def tent(velocity: np.ndarray, reward: np.ndarray, goal: float | None = None) -> go.Figure:
    """Draw rewards of single steps over the velocity in them; the tip of the tent is the goal.

    Args:
        velocity: (n,) m/s.
        reward: (n,) raw.
        goal: Marked if given, m/s.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=velocity,
        y=reward,
        mode="markers",
        marker={"size": 4, "color": TUNED, "opacity": 0.4},
        showlegend=False,
        hovertemplate="at %{x:.2f} m/s: %{y:.2f}<extra></extra>",
    )
    if goal is not None:
        figure.add_vline(goal, line={"dash": "dash", "color": UNTUNED}, annotation_text="the goal")
    return _dressed(
        figure, "The reward gives the goal away", "forward velocity of the step, m/s", "reward", 340
    )


def prompt_map(
    panels: Mapping[str, np.ndarray], names: Sequence[str], limit: float = 3.0
) -> go.Figure:
    """Draw prompts as heat maps, one beside the other: variables down, rows across.

    Args:
        panels: Title → normalised ``[s; a; r]``, (K*, D).
        names: Of the D variables.
        limit: Where the colours end, normalised units.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(
        1, len(panels), subplot_titles=list(panels), shared_yaxes=True, horizontal_spacing=0.02
    )
    for column, x in enumerate(panels.values(), 1):
        figure.add_heatmap(
            z=np.asarray(x).T,
            x=[str(i + 1) for i in range(len(x))],
            y=list(names),
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="%{y}, row %{x}: %{z:.2f} sd<extra></extra>",
            row=1,
            col=column,
        )
    figure.update_yaxes(autorange="reversed", automargin=True, tickfont={"size": 10})
    figure.update_xaxes(title="row of the prompt")
    figure.update_layout(
        height=90 + 15 * len(names),
        margin={"l": 10, "r": 10, "t": 40, "b": 40},
        coloraxis={
            "colorscale": "RdBu_r",
            "cmin": -limit,
            "cmax": limit,
            "colorbar": {"title": "sd from<br>the mean", "thickness": 12},
        },
    )
    return figure


def steering(
    shown: Sequence[float], done: Mapping[str, Sequence[float]], title: str, unit: str
) -> go.Figure:
    """Draw what the robot did over what its prompt showed; on the diagonal it obeys.

    Args:
        shown: The goals of the tasks that the prompts are from, (n,).
        done: Kind of prompt → what the robot did, (n,).
        title: Of the figure.
        unit: Of both axes.
    """
    figure = go.Figure()
    every = [*shown, *(v for values in done.values() for v in values)]
    low, high = min(every), max(every)
    pad = 0.08 * (high - low) or 1.0
    span = [low - pad, high + pad]
    figure.add_scatter(
        x=span,
        y=span,
        mode="lines",
        name="what the prompt shows",
        line={"dash": "dash", "color": UNTUNED},
        hoverinfo="skip",
    )
    for (name, values), colour in zip(done.items(), PALETTE, strict=False):
        figure.add_scatter(
            x=shown,
            y=values,
            name=name,
            mode="lines+markers",
            line={"color": colour},
            marker={"size": 9},
            hovertemplate=f"{name}: shown %{{x:.2f}}, did %{{y:.2f}} {unit}<extra></extra>",
        )
    figure.update_xaxes(range=span)
    figure.update_yaxes(range=span)
    return _dressed(figure, title, f"shown by the prompt, {unit}", f"done by the robot, {unit}")


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    x: str,
    y: str,
    *,
    backwards: bool = False,
    marks: bool = False,
) -> go.Figure:
    """Draw curves, at most four besides the qualities of data.

    Args:
        series: Name → (x, y). A quality of data, with or without ``": …"``, has its own colour.
        title: Of the figure.
        x: What the x axis is.
        y: What the y axis is.
        backwards: Whether x falls from left to right, as diffusion steps do.
        marks: Whether every value is marked.
    """
    figure = go.Figure()
    known = {name: look(name.partition(":")[0]).colour for name in series}
    others = iter([colour for colour in PALETTE if colour not in known.values()])
    for name, (xs, ys) in series.items():
        colour = next(others) if known[name] == INK else known[name]
        figure.add_scatter(
            x=np.asarray(xs),
            y=np.asarray(ys),
            name=name,
            mode="lines+markers" if marks else "lines",
            line={"color": colour, "width": 2},
            hovertemplate=f"{name}: %{{y:.3g}}<extra></extra>",
        )
    figure.update_layout(showlegend=True)
    if backwards:
        figure.update_xaxes(autorange="reversed")
    return _dressed(figure, title, x, y)


def bars(values: Mapping[str, float], title: str, y: str, percent: bool = False) -> go.Figure:
    """Draw one bar per name.

    Args:
        values: Name → height.
        title: Of the figure.
        y: What the heights are.
        percent: Whether they are shares.
    """
    form = ".1%" if percent else ".3g"
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=list(values.values()),
            marker={"color": [c for c, _ in zip(PALETTE, values, strict=False)]},
            text=[f"{v:{form}}" for v in values.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{x}}: %{{y:{form}}}<extra></extra>",
        )
    )
    figure.update_yaxes(tickformat=".0%" if percent else None, rangemode="tozero")
    return _dressed(figure, title, "", y, 340)


def experiments(
    low: Sequence[float], high: Sequence[float], truth: float, title: str, unit: str
) -> go.Figure:
    """Draw the intervals of the same experiment done often, and which of them miss the truth.

    Args:
        low: Lower ends, (n,).
        high: Upper ends, (n,).
        truth: What they are to hold.
        title: Of the figure.
        unit: Of the ends.
    """
    low, high = np.asarray(low), np.asarray(high)
    holds = (low <= truth) & (truth <= high)
    figure = go.Figure()
    for name, kind, colour in (("hold it", holds, TUNED), ("miss it", ~holds, CONFLICT)):
        y = np.flatnonzero(kind)
        figure.add_scatter(
            x=np.stack([low[kind], high[kind], np.full(len(y), np.nan)], 1).ravel(),
            y=np.repeat(y, 3),
            name=f"{len(y)} {name}",
            mode="lines",
            line={"color": colour, "width": 2},
            hovertemplate="%{x:.2f}<extra></extra>",
        )
    figure.add_vline(truth, line={"color": UNTUNED, "dash": "dash"}, annotation_text="the truth")
    return _dressed(figure, title, unit, "experiment", 400)


def _dressed(figure: go.Figure, title: str, x: str, y: str, height: int = 380) -> go.Figure:
    named = [trace for trace in figure.data if trace.showlegend is not False]
    has_legend = figure.layout.showlegend or len(named) > 1
    margin = {"l": 10, "r": 10, "t": 40, "b": 80 if has_legend else 45}
    dressed(figure, title, height, margin=margin, legend=LEGEND_BELOW)
    figure.update_xaxes(title=x, automargin=True)
    return figure.update_yaxes(title=y, automargin=True)
