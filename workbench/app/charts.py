"""Figures on a page, and how a reader takes them along: as a picture, as HTML, as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st


def chart(
    figure: go.Figure,
    key: str,
    alt: str,
    file: str,
    on_select: Callable[[], Any] | None = None,
) -> None:
    """Draw a figure; the camera in its corner saves it as a PNG.

    Args:
        figure: What to draw.
        key: Streamlit's identity of the element.
        alt: What it shows, for who cannot see it.
        file: Name of the PNG, without ending.
        on_select: Called when a mark is clicked.
    """
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": file},
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    }
    picks = {"on_select": on_select, "selection_mode": "points"} if on_select else {}
    st.plotly_chart(figure, key=key, alt=alt, config=config, **picks)


def offer_figures(figures: Mapping[str, go.Figure], file: str, key: str) -> None:
    """Draw a button that downloads figures as one HTML file, which needs nothing else to be seen.

    Args:
        figures: Names and figures, in order.
        file: Name of the file, without ending.
        key: Streamlit's identity of the button.
    """
    st.download_button(
        "Figures as HTML",
        lambda: as_html(figures, file).encode(),
        f"{file}.html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",
        key=key,
        help="One file that any browser opens, also without a network. For a PNG, point at a "
        "figure and press the camera in its corner.",
    )


def as_html(figures: Mapping[str, go.Figure], title: str) -> str:
    """Return figures as one page with Plotly inside.

    Args:
        figures: Names and figures, in order.
        title: Of the page.
    """
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures.values())
    ]
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    return f"{head}</head><body>{''.join(parts)}</body></html>"


def offer_table(table: pd.DataFrame, file: str, key: str) -> None:
    """Draw a button that downloads a table as CSV.

    Args:
        table: What to write.
        file: Name of the file, without ending.
        key: Streamlit's identity of the button.
    """
    st.download_button(
        "Numbers as CSV",
        lambda: table.to_csv(index=False).encode(),
        f"{file}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
        help="All columns, one line per row of the table.",
    )
