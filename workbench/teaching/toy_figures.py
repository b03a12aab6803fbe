"""What happens in a plane → Plotly figures: clouds of points, gradients as arrows, descents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.viewing.figures.parts import LEGEND_BELOW, dressed
from workbench.viewing.figures.runs import CONFLICT, DIFFUSION, DOWNSTREAM, TUNED, UNTUNED

GUESS = "#D55E00"
"""x̂0, the guess of the finished point, everywhere."""
_REACH = 2.4  # half the side of a panel: data have standard deviation 1


@dataclass(frozen=True, eq=False)
class Cloud:
    """One panel of ``clouds``: a moment of the chain.

    Attributes:
        title: Such as ``"k = 12"``.
        x: Where the points are, (B, 2).
        x0_hat: What each of them is guessed to become, (B, 2), or None.
        weights: How likely each data point lies behind the one point of ``x``, (M,), or None.
    """

    title: str
    x: np.ndarray
    x0_hat: np.ndarray | None = None
    weights: np.ndarray | None = None


def clouds(
    data: np.ndarray,
    panels: Sequence[Cloud],
    *,
    reach: float = _REACH,
    columns: int = 5,
) -> go.Figure:
    """Draw moments of a chain side by side, the data behind each in grey.

    Args:
        data: What the chain should end on, (M, 2).
        panels: The moments, in order.
        reach: Every axis runs from -reach to reach.
        columns: Panels in a row at most.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[panel.title for panel in panels],
        horizontal_spacing=0.02,
        vertical_spacing=0.14,
    )
    for i, panel in enumerate(panels):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        _data_behind(figure, data, panel.weights, place)
        one = len(panel.x) == 1
        if panel.x0_hat is not None and len(panel.x) <= 60:
            _lines_to_guesses(figure, panel, place)
        marks = [("x, where the points are", panel.x, TUNED, "circle")]
        if panel.x0_hat is not None:
            marks.append(("x̂0, what each is guessed to become", panel.x0_hat, GUESS, "diamond"))
        for name, points, colour, symbol in marks:
            figure.add_scatter(
                x=points[:, 0],
                y=points[:, 1],
                name=name,
                legendgroup=name,
                showlegend=not any(trace.name == name for trace in figure.data),
                mode="markers",
                marker={"color": colour, "size": 11 if one else 5, "symbol": symbol},
                opacity=1.0 if one else 0.75,
                hovertemplate="%{x:.2f}, %{y:.2f}<extra></extra>",
                **place,
            )
    span = {"range": [-reach, reach], "showticklabels": False, "zeroline": False}
    figure.update_xaxes(**span, constrain="domain")
    figure.update_yaxes(**span)
    for i in range(len(panels)):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        axis = next(figure.select_xaxes(**place)).plotly_name.replace("axis", "")
        figure.update_yaxes(scaleanchor=axis, **place)
    side = max(170, min(320, 900 // columns))
    figure.update_layout(
        height=rows * side + 70,
        margin={"l": 10, "r": 10, "t": 40, "b": 40},
        legend=LEGEND_BELOW,
        uirevision="keep",
    )
    return figure


def _data_behind(figure, data, weights, place) -> None:
    """Draw the data: grey, or by weight."""
    marker = {"size": 4, "color": UNTUNED, "opacity": 0.35}
    if weights is not None:
        share = weights / weights.max()
        marker = {"size": 4 + 9 * np.sqrt(share), "color": DIFFUSION, "opacity": 0.15 + 0.6 * share}
    name = "the data" if weights is None else "the data, larger where it is the likelier origin"
    figure.add_scatter(
        x=data[:, 0],
        y=data[:, 1],
        name=name,
        legendgroup=name,
        showlegend=not any(trace.name == name for trace in figure.data),
        mode="markers",
        marker=marker,
        hoverinfo="skip",
        **place,
    )


def _lines_to_guesses(figure, panel: Cloud, place) -> None:
    gap = np.full(len(panel.x), None)
    figure.add_scatter(
        x=np.stack([panel.x[:, 0], panel.x0_hat[:, 0], gap], 1).ravel(),
        y=np.stack([panel.x[:, 1], panel.x0_hat[:, 1], gap], 1).ravel(),
        mode="lines",
        line={"color": GUESS, "width": 1},
        opacity=0.5,
        showlegend=False,
        hoverinfo="skip",
        **place,
    )


def arrows(vectors: Mapping[str, tuple[Sequence[float], str]], title: str = "") -> go.Figure:
    """Draw vectors of the plane from the origin.

    Args:
        vectors: Name → (its two numbers, colour). A vector of length 0 is named all the same.
        title: Of the figure.
    """
    figure = go.Figure()
    far = max(0.5, *(float(np.linalg.norm(v)) for v, _ in vectors.values()))
    for name, (v, colour) in vectors.items():
        figure.add_scatter(
            x=[0, v[0]],
            y=[0, v[1]],
            name=name,
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate=f"{name}: %{{x:.2f}}, %{{y:.2f}}<extra></extra>",
        )
        if np.linalg.norm(v) > 0.05 * far:
            figure.add_annotation(
                x=v[0],
                y=v[1],
                ax=0,
                ay=0,
                xref="x",
                yref="y",
                axref="x",
                ayref="y",
                showarrow=True,
                arrowhead=2,
                arrowwidth=3,
                arrowsize=1.1,
                arrowcolor=colour,
                text="",
            )
    span = [-1.15 * far, 1.15 * far]
    figure.update_xaxes(range=span, constrain="domain", zeroline=True)
    figure.update_yaxes(range=span, scaleanchor="x", zeroline=True)
    return _dressed(figure, title, 430)


VECTORS = {"g_DM": DIFFUSION, "g_DT": DOWNSTREAM, "Proj(g_DT)": "#56B4E9", "the update": TUNED}
"""The four vectors of Eq. 8 and 9, and their colours."""


def gradients_by_hand(
    g_dm: Sequence[float], g_dt: Sequence[float], kept: Sequence[float], lam: float
) -> go.Figure:
    """Draw Eq. 9 in the plane: both gradients, what the projection keeps, and the sum.

    Args:
        g_dm: (2,).
        g_dt: (2,).
        kept: Proj(g_DT), (2,); g_DT itself where nothing is projected.
        lam: λ.
    """
    g_dm, g_dt, kept = (np.asarray(v, float) for v in (g_dm, g_dt, kept))
    total = g_dm + lam * kept
    cosine = g_dm @ g_dt / max(1e-12, np.linalg.norm(g_dm) * np.linalg.norm(g_dt))
    gain = g_dm @ total / max(1e-12, g_dm @ g_dm)
    said = f"cosine {cosine:.2f}: they {'fight' if cosine < 0 else 'agree'} · " + (
        f"L_DM falls {gain:.2f} times as fast as alone" if gain >= 0 else "L_DM rises"
    )
    values = zip(VECTORS.items(), (g_dm, g_dt, kept, total), strict=True)
    return arrows({name: (v, colour) for (name, colour), v in values}, said)


def descents(
    loss_dm: Callable[[np.ndarray], np.ndarray],
    loss_dt: Callable[[np.ndarray], np.ndarray],
    paths: Mapping[str, np.ndarray],
    reach: float = 2.2,
) -> go.Figure:
    """Draw where gradient descent goes in the plane, over the contours of both losses.

    Args:
        loss_dm: Points (..., 2) → L_DM (...).
        loss_dt: The same of L_DT.
        paths: Name → visited points, (n, 2).
        reach: Every axis runs from -reach to reach.
    """
    figure, line = go.Figure(), np.linspace(-reach, reach, 80)
    grid = np.stack(np.meshgrid(line, line), -1)
    for name, loss, colour in (("L_DM", loss_dm, DIFFUSION), ("L_DT", loss_dt, DOWNSTREAM)):
        figure.add_contour(
            x=line,
            y=line,
            z=loss(grid),
            name=name,
            showscale=False,
            showlegend=True,
            ncontours=14,
            contours={"coloring": "none"},
            line={"color": colour, "width": 1},
            hoverinfo="skip",
        )
    colours = (CONFLICT, TUNED, UNTUNED, "#CC79A7")
    for (name, path), colour in zip(paths.items(), colours, strict=False):
        figure.add_scatter(
            x=path[:, 0],
            y=path[:, 1],
            name=name,
            mode="lines+markers",
            marker={"size": 4},
            line={"color": colour, "width": 2},
            hovertemplate=f"{name}: %{{x:.2f}}, %{{y:.2f}}<extra></extra>",
        )
    span = [-reach, reach]
    figure.update_xaxes(range=span, constrain="domain", zeroline=False)
    figure.update_yaxes(range=span, scaleanchor="x", zeroline=False)
    return _dressed(figure, "Downhill on two losses at once", 500)


def _dressed(figure: go.Figure, title: str, height: int) -> go.Figure:
    margin = {"l": 10, "r": 10, "t": 40, "b": 60}
    return dressed(figure, title, height, margin=margin, legend=LEGEND_BELOW)
