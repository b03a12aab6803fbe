"""The ablation of λ and of the projection → Plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.viewing.figures.colours import INK, look
from workbench.viewing.figures.parts import add_band, dressed, interval_bars

PROJECTIONS = {
    "none": "none: plain sum",
    "vector": "vector",
    "tensor": "tensor",
    "subspace": "subspace",
    "published": "as published",
}
"""What a reader calls the readings of Eq. 8 and 9."""
_WITHIN = 0.16  # of the distance between two λ: how far apart the marks of one λ lie


def heat_map(
    table: pd.DataFrame,
    chosen: tuple[str, float] | None = None,
    states: Mapping[tuple[str, float], str] | None = None,
) -> go.Figure:
    """Draw the IQM of every cell, λ to the right and projections downwards, with its interval.

    Each cell carries an invisible mark whose ``customdata`` is (projection, λ), which a page can
    take clicks from. A cell without runs says so.

    Args:
        table: Of ``ablation.assemble``, one family and quality.
        chosen: Projection and λ of a cell to frame.
        states: Projection and λ → what happens in a cell now, such as ``"running"``.
    """
    lams, rows = _axes(table)
    grid = table.pivot(index="projection", columns="lam", values="iqm").reindex(rows, columns=lams)
    values = grid.to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    figure = _figure("", "weight λ of the downstream loss", 120 + 74 * len(rows))
    figure.add_heatmap(
        x=list(range(len(lams))),
        y=list(range(len(rows))),
        z=values,
        colorscale="Cividis",
        zmin=low,
        zmax=high if high > low else low + 1,
        xgap=3,
        ygap=3,
        hoverinfo="skip",
        showscale=False,  # every cell says its number
    )
    cells = {(r["projection"], r["lam"]): r for _, r in table.iterrows()}
    at = [(x, y) for y in range(len(rows)) for x in range(len(lams))]
    said = [_cell(cells.get((rows[y], lams[x]))) for x, y in at]
    now = [(states or {}).get((rows[y], lams[x]), "") for x, y in at]
    figure.add_scatter(
        x=[x for x, _ in at],
        y=[y for _, y in at],
        customdata=[[rows[y], lams[x]] for x, y in at],
        text=[f"{text}<br><i>{word}</i>" if word else text for (text, _), word in
              zip(said, now, strict=True)],
        hovertext=[f"{PROJECTIONS[rows[y]]}, λ = {lams[x]:g}<br>{said[i][1]}" for i, (x, y) in
                   enumerate(at)],
        mode="markers+text",
        textfont={"color": [_text_colour(values[y, x], low, high) for x, y in at], "size": 16},
        # A heat map has no points to select: invisible marks, large as a finger, take the clicks.
        marker={"size": 56, "symbol": "square", "color": "rgba(0,0,0,0)"},
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )  # fmt: skip
    if chosen is not None and chosen[0] in rows and chosen[1] in lams:
        x, y = lams.index(chosen[1]), rows.index(chosen[0])
        edges = {"x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.47, "y1": y + 0.47}
        figure.add_shape(type="rect", line={"color": "#D55E00", "width": 4}, **edges)
    figure.update_xaxes(
        tickvals=list(range(len(lams))),
        ticktext=[f"{lam:g}" for lam in lams],
        range=[-0.5, len(lams) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[PROJECTIONS[row] for row in rows],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_layout(clickmode="event+select", dragmode=False)
    return figure


def _cell(r: pd.Series | None) -> tuple[str, str]:
    """Return what a cell says, and what it says when pointed at."""
    if r is None or not np.isfinite(r["iqm"]):
        there = 0 if r is None else int(r["runs"])
        part = f"{there} of {int(r['of'])} runs" if there else "not run"
        return part.replace(" runs", "<br>runs"), f"{part}: no seed has run all tasks yet"
    digits = 1 if abs(r["iqm"]) < 1000 else 0
    value, interval = f"{r['iqm']:.{digits}f}", ""
    if np.isfinite(r["iqm_low"]):
        interval = f"[{r['iqm_low']:.{digits}f}, {r['iqm_high']:.{digits}f}]"
    hover = (
        f"IQM {value} {interval}<br>{int(r['seeds'])} seeds × {int(r['tasks'])} tasks<br>"
        f"{100 * r['conflict_share']:.0f} % of updates conflict"
    )
    lines = interval.replace(", ", ",<br>")  # below each other: on a tablet a cell is narrow
    small = f'<span style="font-size:14px">{lines}</span>'
    minus = str.maketrans("-", "−")
    return f"<b>{value.translate(minus)}</b><br>{small.replace('[-', '[−').replace('>-', '>−')}", (
        hover.translate(minus)
    )


def _text_colour(value: float, low: float, high: float) -> str:
    """Return a colour of text that is legible on a cell of the map."""
    if not np.isfinite(value):
        return INK
    return "white" if value <= (low + high) / 2 else "#222222"


def curves(table: pd.DataFrame, title: str = "Return over λ") -> go.Figure:
    """Draw IQM over λ, a line and its 95 % band for each projection.

    Args:
        table: Of ``ablation.assemble``, one family and quality; or of ``phases.assemble``, one
            quality and phase.
        title: Of the figure.
    """
    return _over_lambda(table, "iqm", title, "IQM of returns", bands=True)


def helps(table: pd.DataFrame) -> go.Figure:
    """Draw for each λ the probability that a run with projection beats the plain sum's.

    Args:
        table: Of ``ablation.assemble``, one family and quality.
    """
    figure = _over_lambda(
        table, "helps", "Does the projection help?", "P(beats the plain sum)", bands=False
    )
    figure.add_hline(0.5, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_yaxes(range=[-0.05, 1.05], tickformat=".0%")
    return figure


def gains(table: pd.DataFrame, title: str = "… and by how much?") -> go.Figure:
    """Draw for each λ the mean return above the plain sum's, paired by seed and task.

    Args:
        table: As in ``curves``.
        title: Of the figure.
    """
    figure = _over_lambda(table, "gain", title, "return above the plain sum", bands=False)
    figure.add_hline(0, line={"color": INK, "width": 1, "dash": "dot"})
    return figure


def conflicts(table: pd.DataFrame) -> go.Figure:
    """Draw the share of updates in which the two gradients conflict, over λ.

    Args:
        table: Of ``ablation.assemble``, one family and quality.
    """
    title = "How often do the two gradients conflict?"
    figure = _over_lambda(table, "conflict_share", title, "share of updates", bands=False)
    figure.update_yaxes(rangemode="tozero", tickformat=".0%")
    return figure


def _over_lambda(table: pd.DataFrame, name: str, title: str, y: str, *, bands: bool) -> go.Figure:
    """Draw one column of the table over λ, a line per projection, with its interval if it has one.

    λ runs over its values in equal steps: a logarithmic axis has no place for 0.
    """
    lams, rows = _axes(table)
    figure = _figure(title, "weight λ of the downstream loss", 340)
    drawn = [row for row in rows if np.isfinite(_series(table, row, lams, name)).any()]
    for number, row in enumerate(drawn):
        as_drawn, values = look(row), _series(table, row, lams, name)
        known = np.isfinite(values)
        lines = bands and known.sum() > 1
        aside = 0.0 if lines else _WITHIN * (number - (len(drawn) - 1) / 2)
        x, values = (np.arange(len(lams)) + aside)[known], values[known]
        errors, said = {}, "%{y:.3~f}"
        if f"{name}_low" in table:
            low, high = (
                _series(table, row, lams, f"{name}_{end}")[known] for end in ("low", "high")
            )
            said += " [%{customdata[1]:.3~f}, %{customdata[2]:.3~f}]"
            if lines:
                add_band(figure, x, low, high, as_drawn.band, row)
            else:
                errors["error_y"] = interval_bars(values, low, high, as_drawn.colour)
        else:
            low = high = np.full(len(values), np.nan)
        shown = np.array(lams)[known]
        figure.add_scatter(
            x=x,
            y=values,
            customdata=np.stack([shown, low, high], 1),
            name=PROJECTIONS[row],
            legendgroup=row,
            mode="lines+markers",
            line={"color": as_drawn.colour, "dash": as_drawn.dash},
            marker={"symbol": as_drawn.symbol, "size": 9},
            hovertemplate=(f"{PROJECTIONS[row]}, λ = %{{customdata[0]:g}}: {said}<extra></extra>"),
            **errors,
        )
    figure.update_xaxes(
        tickvals=list(range(len(lams))),
        ticktext=[f"{lam:g}" for lam in lams],
        range=[-0.4, len(lams) - 0.6],
        zeroline=False,
    )
    figure.update_yaxes(title=y, automargin=True, zeroline=False)
    return figure


def _series(table: pd.DataFrame, row: str, lams: Sequence[float], name: str) -> np.ndarray:
    part = table[table["projection"] == row].set_index("lam")[name]
    return part.reindex(lams).to_numpy(float)


def _axes(table: pd.DataFrame) -> tuple[list[float], list[str]]:
    lams = sorted(set(table["lam"]))
    return lams, [row for row in PROJECTIONS if row in set(table["projection"])]


def _figure(title: str, x: str, height: int) -> go.Figure:
    legend = {"orientation": "h", "x": 0, "y": -0.28, "yanchor": "top"}
    figure = dressed(go.Figure(), title, height, legend=legend)
    return figure.update_xaxes(title=x, automargin=True)
