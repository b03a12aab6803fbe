"""The 2 × 2 × 2 of what being told the task is made of → Plotly figures."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.paper.factorial import FACTORS
from workbench.viewing.figures.colours import INK, look
from workbench.viewing.figures.parts import LEGEND_BELOW, dressed, interval_bars

_READS = {
    False: ("Prompt Diffuser (as published)", "knows returns-to-go and timesteps"),
    True: ("Prompt Diffuser, told the task (ours)", "reads the few-shot data too"),
}
"""What the diffuser reads → its look, and how the legend says it."""


def eight(table: pd.DataFrame, title: str = "The eight, as they come") -> go.Figure:
    """Draw IQM of every cell of the design with its 95 % interval, a colour for what it reads.

    Args:
        table: Of ``factorial.assemble``, of one quality.
        title: Of the figure.
    """
    rows = table[~table["adapted"] & table["iqm"].notna()]
    lines = [_else(r) for _, r in rows.iterrows()]
    figure = go.Figure()
    for reads, (name, said) in _READS.items():
        here = (rows["reads"] == reads).to_numpy()
        part, as_drawn = rows[here], look(name)
        figure.add_scatter(
            x=part["iqm"],
            y=[line for line, mine in zip(lines, here, strict=True) if mine],
            customdata=np.stack([part["iqm_low"], part["iqm_high"], part["seeds"]], 1),
            name=said,
            mode="markers",
            marker={"symbol": as_drawn.symbol, "size": 11, "color": as_drawn.colour},
            error_x=interval_bars(part["iqm"], part["iqm_low"], part["iqm_high"], as_drawn.colour),
            hovertemplate=(
                f"%{{y}}, {said}: %{{x:.1f}} [%{{customdata[0]:.1f}}, %{{customdata[1]:.1f}}], "
                "%{customdata[2]} seeds<extra></extra>"
            ),
        )
    dressed(figure, title, 340, legend=LEGEND_BELOW, showlegend=True, margin_b=90)
    order = list(dict.fromkeys(lines))[::-1]
    figure.update_yaxes(categoryorder="array", categoryarray=order, automargin=True)
    return figure.update_xaxes(title="IQM of returns", zeroline=False)


def main_effects(
    effects: pd.DataFrame, title: str = "What each adds, over the other two"
) -> go.Figure:
    """Draw the main effect of each of the three differences with its 95 % interval.

    Args:
        effects: Of ``factorial.effects``, of one quality.
        title: Of the figure.
    """
    colour = look(_READS[True][0]).colour
    effects = effects[effects["where"] == "all"]
    figure = go.Figure()
    figure.add_scatter(
        x=effects["effect"],
        y=[_wrapped(FACTORS[name]) for name in effects["factor"]],
        customdata=np.stack([effects["effect_low"], effects["effect_high"]], 1),
        mode="markers",
        marker={"symbol": "diamond", "size": 11, "color": colour},
        error_x=interval_bars(
            effects["effect"], effects["effect_low"], effects["effect_high"], colour
        ),
        hovertemplate=(
            "%{y}: %{x:.1f} [%{customdata[0]:.1f}, %{customdata[1]:.1f}]<extra></extra>"
        ),
    )
    dressed(figure, title, 340, showlegend=False, margin_b=90)
    figure.add_vline(0, line={"color": INK, "width": 1, "dash": "dot"})
    order = [_wrapped(words) for words in FACTORS.values()][::-1]
    figure.update_yaxes(categoryorder="array", categoryarray=order, automargin=True)
    return figure.update_xaxes(title="return above those without it", zeroline=False)


def _else(row: pd.Series) -> str:
    """Return what a cell has beside what it reads."""
    had = [words for name, words in FACTORS.items() if name != "reads" and row[name]]
    return "<br>".join(had) or "prompts of every quality, the first one"


def _wrapped(words: str) -> str:
    return "<br>".join(textwrap.wrap(words, 24))
