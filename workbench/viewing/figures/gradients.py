"""What the two gradients of a tuning do to each other: values → Plotly figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.methods import GradientReport
from workbench.methods.projection import Plane
from workbench.tuning.loop import TuneStep
from workbench.viewing.figures.parts import dressed, running_mean
from workbench.viewing.figures.runs import AGREE, CONFLICT, DIFFUSION, DOWNSTREAM, UNTUNED

LAYER_MEASURES: dict[str, tuple[str, str]] = {
    "cosine": ("Cosine", "cosine of the angle between g_DM and g_DT"),
    "removed": ("Removed", "share of g_DT that the projection removed"),
    "norm_dm": ("‖g_DM‖", "norm of the diffusion gradient"),
    "norm_dt": ("‖g_DT‖", "norm of the downstream gradient"),
}
"""What is measured of every parameter tensor: name → a word for a button, what it is."""
MAX_FRAMES = 100
"""Updates of which the arrows are drawn; more would only make the page larger."""


def reports(steps: Sequence[TuneStep]) -> dict[int, GradientReport]:
    """Return, by its number, how the two gradients of every update met that has two."""
    return {step.update: step.gradients for step in steps if step.gradients is not None}


def layers(steps: Sequence[TuneStep]) -> list[str]:
    """Return the parameter tensors that were measured one by one, in order; [] if none were."""
    return list(next((report.tensors for report in reports(steps).values()), {}))


def has_plane(steps: Sequence[TuneStep]) -> bool:
    """Return whether the gradients' places in their plane were measured."""
    return any(report.plane is not None for report in reports(steps).values())


def conflict(steps: Sequence[TuneStep], updates: int) -> go.Figure:
    """Draw, over updates, the cosine, the share in conflict so far, and what was removed.

    Args:
        steps: Of a tuning with both losses.
        updates: Where the axis ends.
    """
    figure = make_subplots(
        rows=3,
        shared_xaxes=True,
        vertical_spacing=0.07,
        row_heights=[0.46, 0.27, 0.27],
    )
    found = reports(steps)
    x = np.array(list(found), int)
    cosine = np.array([report.cosine for report in found.values()], float)
    removed = np.array([report.removed for report in found.values()], float)
    for name, select, colour in (
        ("they agree", cosine >= 0, AGREE),
        ("they conflict", cosine < 0, CONFLICT),
    ):
        figure.add_scatter(
            x=x[select],
            y=cosine[select],
            name=name,
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.75},
            hovertemplate="update %{x}: cosine %{y:.3f}<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_hline(0, line={"color": UNTUNED, "width": 1}, row=1, col=1)
    figure.add_scatter(
        x=x,
        y=100 * np.cumsum(cosine < 0) / np.arange(1, len(x) + 1),
        name="in conflict so far",
        mode="lines",
        line={"color": CONFLICT},
        showlegend=False,
        hovertemplate="up to update %{x}: %{y:.0f} % in conflict<extra></extra>",
        row=2,
        col=1,
    )
    figure.add_scatter(
        x=x,
        y=100 * removed,
        mode="markers",
        marker={"color": DOWNSTREAM, "size": 4, "opacity": 0.4},
        showlegend=False,
        hovertemplate="update %{x}: %{y:.1f} % of g_DT removed<extra></extra>",
        row=3,
        col=1,
    )
    figure.add_scatter(
        x=x,
        y=100 * running_mean(removed),
        mode="lines",
        line={"color": DOWNSTREAM},
        showlegend=False,
        hoverinfo="skip",
        row=3,
        col=1,
    )
    reach = max(0.1, 1.15 * float(np.abs(cosine).max())) if len(x) else 1.0
    figure.update_yaxes(title="cosine", range=[-reach, reach], row=1, col=1)
    figure.update_yaxes(title="in conflict<br>so far, %", range=[0, 103], row=2, col=1)
    figure.update_yaxes(title="removed<br>of g_DT, %", range=[-3, 103], row=3, col=1)
    figure.update_xaxes(range=[-0.02 * updates, 1.02 * updates])
    figure.update_xaxes(title="updates", row=3, col=1)
    legend = {"orientation": "h", "y": 1.0, "x": 1, "xanchor": "right", "yanchor": "bottom"}
    return dressed(figure, "Do the two gradients fight?", 480, legend=legend)


def per_layer(steps: Sequence[TuneStep], measure: str, updates: int) -> go.Figure:
    """Draw a measure of every parameter tensor at every update as a heat map.

    Args:
        steps: Of a tuning with both losses.
        measure: Key of ``LAYER_MEASURES``.
        updates: Where the axis ends.
    """
    word, meaning = LAYER_MEASURES[measure]
    names = layers(steps)
    found = {update: report for update, report in reports(steps).items() if report.tensors}
    x = np.array(list(found), int)
    rows = [[getattr(r.tensors[name], measure) for r in found.values()] for name in names]
    z = np.array(rows, float).reshape(len(names), len(x))
    norm = measure.startswith("norm")
    figure = go.Figure(
        go.Heatmap(
            x=x,
            y=names,
            z=np.log10(np.maximum(z, 1e-12)) if norm else z,
            customdata=z,
            hovertemplate=f"%{{y}}, update %{{x}}<br>{meaning}: %{{customdata:.3g}}<extra></extra>",
            **_colours(measure, z),
        )
    )
    dressed(figure, f"{word}, layer by layer", 120 + 28 * max(4, len(names)))
    figure.update_xaxes(title="updates", range=[0.5, updates + 0.5], showgrid=False)
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False, title="")
    return figure


def plane(steps: Sequence[TuneStep], lam: float, colour: str) -> go.Figure:
    """Draw an update's gradients as arrows to scale, in the plane that g_DM and g_DT span.

    A slider of the figure itself chooses the update, so that moving it sends nothing to the server.
    Each picture is as large as fits, to the same scale along and across; at most ``MAX_FRAMES``
    updates are drawn.

    Args:
        steps: Of a tuning with both losses.
        lam: λ.
        colour: "#rrggbb" of the run, for the sum.
    """
    found = {u: report for u, report in reports(steps).items() if report.plane is not None}
    seen = list(found)[:: max(1, -(-len(found) // MAX_FRAMES))]
    every = [_vectors(found[update].plane, lam) for update in seen]
    left, top = _box(every)
    pictures = [
        [*_arrows(vectors, left, top, colour), _words(found[update], left, top)]
        for update, vectors in zip(seen, every, strict=True)
    ]
    frames = [
        go.Frame(name=f"update {update}", data=traces, traces=list(range(len(traces))))
        for update, traces in zip(seen, pictures, strict=True)
    ]
    figure = go.Figure(data=pictures[-1] if pictures else [], frames=frames)
    figure.update_xaxes(
        title="along g_DM",
        range=[left - 0.06, 1.06],
        showticklabels=False,
        showgrid=False,
        constrain="domain",
    )
    figure.update_yaxes(
        title="across",
        range=[-0.12, top + 0.16],
        showticklabels=False,
        showgrid=False,
        scaleanchor="x",
        constrain="domain",
    )
    return dressed(
        figure,
        "The gradients of one update, to scale",
        450,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        legend={"orientation": "h", "y": -0.12, "x": 0, "yanchor": "top"},
        sliders=[_slider(seen)] if seen else [],
    )


def _vectors(plane: Plane, lam: float) -> dict[str, np.ndarray]:
    """Return g_DM, g_DT, Proj g_DT and the step as points of the plane, (2,) each."""
    kept = np.array([plane.kept_along, plane.kept_across])
    g_dm, g_dt = np.array([plane.norm_dm, 0.0]), np.array([plane.dt_along, plane.dt_across])
    return {"dm": g_dm, "dt": g_dt, "kept": kept, "step": g_dm + lam * kept}


def _box(every: Sequence[dict[str, np.ndarray]]) -> tuple[float, float]:
    """Return where pictures end on the left and at the top, the right end being 1.

    Nearly every update shall fill its picture: one of an unusual shape is drawn smaller.
    """
    if not every:
        return -0.3, 0.5
    ends = np.array([list(vectors.values()) for vectors in every])  # (pictures, arrows, 2)
    ends = ends / np.maximum(ends[..., 0].max(1), 1e-30)[:, None, None]
    left, top = np.quantile(ends[..., 0].min(1), 0.05), np.quantile(ends[..., 1].max(1), 0.9)
    return float(np.clip(left, -1, -0.2)), float(np.clip(top, 0.25, 1))


def _arrows(
    vectors: dict[str, np.ndarray], left: float, top: float, colour: str
) -> list[go.Scatter]:
    """Return the four arrows of one update, as large as the box allows."""
    ends = np.array(list(vectors.values()))
    unit = max(ends[:, 0].max(), ends[:, 0].min() / left, ends[:, 1].max() / top, 1e-30)
    styles = {
        "dm": ("g_DM: look like the data", DIFFUSION, "solid", "bottom left"),
        "dt": ("g_DT: make the model act", DOWNSTREAM, "dot", "middle left"),
        "kept": ("Proj g_DT: what is left of it", DOWNSTREAM, "solid", "middle right"),
        "step": ("g_DM + λ Proj g_DT: the step", colour, "solid", "top left"),
    }
    return [_arrow(vectors[name], unit, *style) for name, style in styles.items()]


def _arrow(
    end: np.ndarray, unit: float, name: str, colour: str, dash: str, position: str
) -> go.Scatter:
    norm = f"{np.hypot(*end):.2g}"
    return go.Scatter(
        x=[0, round(float(end[0]) / unit, 4)],
        y=[0, round(float(end[1]) / unit, 4)],
        name=name,
        mode="lines+markers+text",
        line={"color": colour, "width": 3, "dash": dash},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "size": [0, 15],
            "opacity": 1,
            "color": colour,
        },
        text=["", norm],
        textposition=position,
        textfont={"color": colour},
        hovertemplate=f"{name}<br>length in this plane {norm}<extra></extra>",
    )


def _words(report: GradientReport, left: float, top: float) -> go.Scatter:
    """Return what the picture cannot show, as text in its corner."""
    plane = report.plane
    whole = np.hypot(np.hypot(plane.kept_along, plane.kept_across), plane.kept_outside)
    off = plane.kept_outside / whole if whole > 0 else 0.0
    words = (
        f"cosine {report.cosine:.2f} · projection removed {report.removed:.0%} of g_DT"
        f"<br>{off:.0%} of the length of Proj g_DT stands off this plane"
    )
    return go.Scatter(
        x=[left - 0.04],
        y=[top + 0.14],
        mode="text",
        text=[words],
        textposition="bottom right",
        showlegend=False,
        hoverinfo="skip",
    )


def _slider(seen: Sequence[int]) -> dict:
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}}
    return {
        "active": len(seen) - 1,
        "currentvalue": {"prefix": "update ", "xanchor": "left"},
        "pad": {"t": 75, "b": 5},
        "steps": [
            {
                "label": str(update),
                "method": "animate",
                "args": [[f"update {update}"], {**now, "transition": {"duration": 0}}],
            }
            for update in seen
        ],
    }


def _colours(measure: str, z: np.ndarray) -> dict:
    """Return the colours of a heat map: two hues around 0 for a cosine, one otherwise."""
    if measure == "cosine":
        reach = float(np.abs(z).max()) if z.size else 1.0
        scale = [[0, CONFLICT], [0.5, "#f3f3f3"], [1, "#0072B2"]]
        return {"colorscale": scale, "zmin": -reach, "zmax": reach, "colorbar": {"title": "cosine"}}
    if measure == "removed":
        bar = {"title": "removed", "tickformat": ".0%"}
        return {"colorscale": "Cividis", "zmin": 0, "zmax": 1, "colorbar": bar}
    low, high = np.log10(np.maximum((z.min(), z.max()), 1e-12)) if z.size else (0.0, 1.0)
    ticks = np.arange(np.floor(low), np.ceil(high) + 1)
    bar = {"title": "norm", "tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks]}
    return {"colorscale": "Cividis", "zmin": low, "zmax": high, "colorbar": bar}
