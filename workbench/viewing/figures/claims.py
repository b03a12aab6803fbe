"""Claims and their verdicts, and what stands behind them → Plotly figures.

A verdict has a colour, a symbol and a word: nobody needs the colour to read it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.data.qualities import QUALITIES
from workbench.viewing.figures.colours import INK, PALE
from workbench.viewing.figures.parts import LEGEND_BELOW, heading, interval_bars

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which colour-blind readers
# distinguish.
VERDICTS = {
    "yes": ("#0072B2", "circle", "✓"),
    "no": ("#D55E00", "x", "✗"),
    "undecided": ("#7a7a7a", "circle-open", "?"),
    "not run": ("#c4c4c4", "line-ew-open", "–"),
}
"""Verdict → colour, symbol on an axis, sign in a square."""
_DARK = "#222222"  # on pale squares
_PER_ROW, _PER_AXIS, _TOP, _BOTTOM = 32, 46, 74, 74


def glance(rows: pd.DataFrame) -> go.Figure:
    """Draw every claim as a row of squares, one per comparison, each with its verdict.

    Args:
        rows: Of ``claims.findings``.
    """
    names = list(dict.fromkeys(rows["claim"]))
    rows = rows.assign(place=rows.groupby("claim").cumcount() + 1)
    figure = go.Figure()
    for verdict, (colour, _, sign) in VERDICTS.items():
        part = rows[rows["verdict"] == verdict]
        figure.add_scatter(
            x=part["place"],
            y=[_wrapped(name) for name in part["claim"]],
            name=f"{sign} {verdict}",
            mode="markers+text",
            marker={"symbol": "square", "size": 24, "color": colour},
            text=[sign] * len(part),
            textfont={"color": "white", "size": 14},
            customdata=part["comparison"],
            hovertemplate=f"%{{customdata}}: {verdict}<extra></extra>",
            showlegend=bool(len(part)),
        )
    _dress(figure, "Every claim: does it hold here?", 48 + 54 + 42 * len(names), top=48)
    figure.update_layout(margin_b=54)
    order = [_wrapped(name) for name in names][::-1]
    figure.update_yaxes(
        categoryorder="array", categoryarray=order, range=[-0.6, len(order) - 0.4], automargin=True
    )
    most = rows["place"].max() if len(rows) else 1
    figure.update_xaxes(range=[0.4, most + 0.6], showticklabels=False, showgrid=False)
    figure.update_layout(legend={"itemsizing": "constant", "itemwidth": 30})
    return figure


def differences(rows: pd.DataFrame) -> go.Figure:
    """Draw the comparisons of one claim: paired differences, intervals, verdicts, published ones.

    A thick bar is the 95 % interval, the thin line the corrected one, which decides. Comparisons of
    one family share an axis of returns; 0 lies in the middle of every axis.

    Args:
        rows: Of ``claims.findings``, of one claim.
    """
    parts = [part for _, part in rows.groupby("family", sort=False)]
    sizes = [len(part) for part in parts]
    title = textwrap.wrap(rows["claim"].iloc[0], 80)
    top = _TOP + 18 * (len(title) - 1)
    inner = _PER_ROW * len(rows) + _PER_AXIS * (len(parts) - 1)
    figure = make_subplots(
        len(parts),
        1,
        row_heights=[_PER_ROW * n for n in sizes],
        vertical_spacing=_PER_AXIS / inner if len(parts) > 1 else 0,
    )
    for number, part in enumerate(parts, 1):
        _differences_of_a_family(figure, part, number)
    _dress(figure, "<br>".join(title), top + inner + _BOTTOM, top=top, right=100)
    _legend_of_published(figure, rows)
    over = {"xref": "x domain", "yref": "paper", "y": 1, "yshift": 20, "showarrow": False}
    small = {"size": 12, "color": INK}
    figure.add_annotation(x=0, xanchor="left", text="← against the claim", font=small, **over)
    figure.add_annotation(x=1, xanchor="right", text="for the claim →", font=small, **over)
    figure.update_xaxes(title="difference of mean returns, first minus second", row=len(parts))
    return figure


def _differences_of_a_family(figure: go.Figure, part: pd.DataFrame, row: int) -> None:
    place, lines = {"row": row, "col": 1}, list(range(len(part)))
    shown = ["difference", "published", "corrected_low", "corrected_high", "low", "high", "limit"]
    marks = part[shown].to_numpy(float)
    drawn = np.isfinite(marks[:, :2]).any()
    far = np.nanmax(np.abs(marks)) if drawn else 1.0
    for y, (_, r) in zip(lines, part.iterrows(), strict=True):
        colour, symbol, _ = VERDICTS[r["verdict"]]
        if np.isfinite(r["difference"]):
            figure.add_scatter(
                x=[r["corrected_low"], r["corrected_high"]],
                y=[y, y],
                mode="lines",
                line={"color": colour, "width": 1},
                showlegend=False,
                hoverinfo="skip",
                **place,
            )
            figure.add_scatter(
                x=[r["difference"]],
                y=[y],
                name=r["comparison"],
                error_x=interval_bars(
                    [r["difference"]], [r["low"]], [r["high"]], colour, thickness=5, width=0
                ),
                mode="markers",
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 12,
                    "line": {"width": 2 if symbol.endswith("open") else 0, "color": colour},
                },
                showlegend=False,
                hovertemplate=f"{r['comparison']}: {_said(r)}<extra></extra>",
                **place,
            )
        figure.add_annotation(
            x=1.01,
            xref="x domain",
            y=y,
            text=r["verdict"],
            font={"color": colour if r["verdict"] != "not run" else PALE, "size": 13},
            xanchor="left",
            showarrow=False,
            **place,
        )
    figure.add_scatter(
        x=part["published"],
        y=lines,
        text=part["comparison"],
        mode="markers",
        marker={"color": INK, "symbol": "diamond-open", "size": 10, "line": {"width": 1.5}},
        showlegend=False,
        hovertemplate="published for %{text}: %{x:.1f}<extra></extra>",
        **place,
    )
    # after the marks: Plotly draws no line where there are none yet
    if drawn and np.isfinite(limit := part["limit"].iloc[0]):
        line = {"color": INK, "width": 1, "dash": "dot"}
        figure.add_vline(limit, line=line, layer="below", **place)
    names = {"tickvals": lines, "ticktext": part["comparison"].tolist()}
    span = [len(part) - 0.4, -0.6]
    figure.update_yaxes(range=span, zeroline=False, automargin=True, **names, **place)
    zero = {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1}
    span = [-1.15 * far, 1.15 * far]
    figure.update_xaxes(range=span, showticklabels=bool(drawn), **zero, **place)


def _said(r: pd.Series) -> str:
    interval = ""
    if np.isfinite(r["low"]):
        interval = f" [{r['low']:.1f}, {r['high']:.1f}], corrected "
        interval += f"[{r['corrected_low']:.1f}, {r['corrected_high']:.1f}]"
    return f"{r['difference']:.1f}{interval}, {r['pairs']} pairs: {r['verdict']}"


def _legend_of_published(figure: go.Figure, rows: pd.DataFrame) -> None:
    """Explain the two marks that a reader cannot guess."""
    if rows["published"].notna().any():
        _named(figure, "published difference", marker={"symbol": "diamond-open", "size": 10})
    if rows["limit"].notna().any():
        _named(
            figure,
            "near ends here, for the average task",
            mode="lines",
            line={"dash": "dot", "width": 1},
        )


def _named(figure: go.Figure, name: str, mode: str = "markers", **look: dict) -> None:
    for key in look:
        look[key]["color"] = INK
    figure.add_scatter(x=[None], y=[None], name=name, mode=mode, **look)


def initial_prompts(table: pd.DataFrame, methods: Sequence[str]) -> go.Figure:
    """Draw mean returns over few-shot data and initial prompt, ours beside the published ones.

    Args:
        table: Of ``measured.assemble`` of table 2.
        methods: Columns of it.
    """
    sides = {"ours": "mean", "published": "published"}
    figure = make_subplots(
        len(methods),
        2,
        subplot_titles=[f"{method}, {side}" for method in methods for side in sides],
        horizontal_spacing=0.1,
        vertical_spacing=0.24 / max(1, len(methods)),
    )
    every = table.loc[table["column"].isin(methods), list(sides.values())].to_numpy(float)
    places = list(range(len(QUALITIES)))
    low, high = (np.nanmin(every), np.nanmax(every)) if np.isfinite(every).any() else (0.0, 1.0)
    for i, method in enumerate(methods, 1):
        part = table[table["column"] == method].set_index("row")
        for j, name in enumerate(sides.values(), 1):
            grid = [
                [part[name].get(f"{data} data, {prompt} prompt", np.nan) for prompt in QUALITIES]
                for data in QUALITIES
            ]
            figure.add_heatmap(
                x=places,
                y=places,
                z=grid,
                customdata=[[f"{d} data, {p} prompt" for p in QUALITIES] for d in QUALITIES],
                coloraxis="coloraxis",
                xgap=2,
                ygap=2,
                hovertemplate="%{customdata}: %{z:.1f}<extra></extra>",
                row=i,
                col=j,
            )
            for (y, x), value in np.ndenumerate(np.array(grid, float)):
                dark = value < (low + high) / 2
                figure.add_annotation(
                    x=x,
                    y=y,
                    text=_number(value),
                    font={"color": "white" if dark else _DARK if np.isfinite(value) else PALE},
                    showarrow=False,
                    row=i,
                    col=j,
                )
    _dress(figure, "", 90 + 250 * len(methods), top=40, right=20)
    figure.update_annotations(font_size=13)
    ticks = {"tickvals": places, "ticktext": QUALITIES, "showgrid": False, "zeroline": False}
    figure.update_xaxes(range=[-0.5, places[-1] + 0.5], **ticks)
    figure.update_xaxes(title="initial prompt", row=len(methods))
    figure.update_yaxes(range=[places[-1] + 0.5, -0.5], **ticks)
    figure.update_yaxes(title="few-shot data", col=1)
    scale = {
        "colorscale": "Cividis",
        "cmin": low,
        "cmax": high,
        "colorbar": {"title": "mean<br>return", "thickness": 14},
    }
    figure.update_layout(coloraxis=scale, margin_b=50)
    return figure


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−") if np.isfinite(value) else "not run"


def candidates(ranked: pd.DataFrame) -> go.Figure:
    """Draw what was tried of every method, best first: a mark per quality, and their mean.

    Args:
        ranked: Of ``settings_search.ranking``, of one family.
    """
    parts = list(ranked.groupby("method", sort=False))
    inner = 22 * len(ranked) + 34 * (len(parts) - 1)
    figure = make_subplots(
        len(parts),
        1,
        shared_xaxes="all",
        row_heights=[len(part) for _, part in parts],
        vertical_spacing=34 / inner if len(parts) > 1 else 0,
        subplot_titles=[f"<b>{method}</b>" for method, _ in parts],
    )
    looks = {
        "expert": ("#004488", "circle"),
        "medium": ("#5599cc", "square"),
        "random": ("#99bbdd", "triangle-up"),
        "mean": (INK, "line-ns-open"),
    }
    for number, (_, part) in enumerate(parts, 1):
        labels = [
            f"<b>chosen: {s}, {u} updates</b>" if chosen else f"{s}, {u} updates"
            for s, u, chosen in part[["settings", "updates", "chosen"]].itertuples(index=False)
        ]
        for name, (colour, symbol) in looks.items():
            figure.add_scatter(
                x=part[name],
                y=labels,
                name="mean of the three" if name == "mean" else f"{name} data",
                mode="markers",
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 10,
                    "line": {"width": 2 if name == "mean" else 0, "color": colour},
                },
                legendgroup=name,
                showlegend=number == 1,
                hovertemplate=f"%{{y}}<br>{name}: %{{x:.1f}}<extra></extra>",
                row=number,
                col=1,
            )
        figure.update_yaxes(
            categoryorder="array",
            categoryarray=labels[::-1],
            range=[-0.6, len(labels) - 0.4],
            automargin=True,
            row=number,
        )
    _dress(figure, "What was tried, on validation tasks", _TOP + inner + _BOTTOM)
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    figure.update_xaxes(title="mean return per episode", row=len(parts))
    return figure


def _wrapped(text: str) -> str:
    return "<br>".join(textwrap.wrap(text, 44))


def _dress(figure: go.Figure, title: str, height: int, *, top: int = _TOP, right: int = 10) -> None:
    at_the_top = {"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 14}}
    figure.update_layout(
        title=heading(title) | at_the_top,
        template="plotly_white",
        height=height,
        margin={"l": 10, "r": right, "t": top, "b": _BOTTOM},
        hovermode="closest",
        legend=LEGEND_BELOW,
    )
    figure.update_xaxes(automargin=True)
