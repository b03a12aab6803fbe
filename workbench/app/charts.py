"""Figures on a page, and how a reader takes them along: as a picture, as HTML, as numbers."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.paper.latex import booktabs


def chart(
    figure: go.Figure,
    key: str,
    alt: str,
    file: str,
    on_select: Callable[[], Any] | None = None,
) -> None:
    """Draw a figure; the camera in its corner saves it as an SVG.

    Args:
        figure: What to draw.
        key: Streamlit's identity of the element.
        alt: What it shows, for who cannot see it.
        file: Name of the SVG, without ending.
        on_select: Called when a mark is clicked.
    """
    config = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "svg", "filename": file},
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
        help="One file that any browser opens, also without a network; from there each figure is "
        "saved as SVG or PNG, and all are printed as PDF. For an SVG at once, point at a figure "
        "and press the camera in its corner.",
    )


_HTML_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre.words { white-space: pre-wrap; font: inherit }
@media print { button { display: none } section { break-inside: avoid } }
</style>"""
_HTML_SCRIPT = """<script>
document.querySelectorAll("section").forEach((section) => {
  const figure = section.querySelector(".js-plotly-plot");
  for (const button of section.querySelectorAll("button")) {
    button.onclick = () => Plotly.downloadImage(figure,
      { format: button.textContent.toLowerCase(), filename: section.dataset.name, scale: 2 });
  }
});
</script>"""


def as_html(figures: Mapping[str, go.Figure], title: str, words: str = "") -> str:
    """Return figures as one page with Plotly inside; each is saved from it as SVG or PNG.

    Args:
        figures: Names and figures, in order.
        title: Of the page.
        words: HTML that stands before them.
    """
    parts = [
        f'<section data-name="{html.escape(name)}">'
        f"{figure.to_html(full_html=False, include_plotlyjs=number == 0)}"
        "<button>SVG</button> <button>PNG</button></section>"
        for number, (name, figure) in enumerate(figures.items())
    ]
    said = html.escape(title)
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{said}</title>'
    printed = '<p><button onclick="print()">Print, or save as PDF</button></p>'
    return (
        f"{head}{_HTML_STYLE}</head><body>{printed}{words}{''.join(parts)}{_HTML_SCRIPT}"
        "</body></html>"
    )


def offer_table(
    table: pd.DataFrame,
    file: str,
    key: str,
    caption: str,
    latex: Callable[[str], str] | None = None,
) -> None:
    """Draw buttons that download a table as CSV and as LaTeX.

    Args:
        table: What to write.
        file: Name of the files, without ending.
        key: Streamlit's identity of the button.
        caption: Of the LaTeX: what the numbers are, of how many runs, and the command that makes
            them, between backticks.
        latex: Makes the LaTeX of that caption, where it is not simply the table itself.
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
    st.download_button(
        "Table as LaTeX",
        lambda: (latex(caption) if latex else booktabs(table, caption, file)).encode(),
        f"{file}.tex",
        "text/plain",
        icon=":material/download:",
        on_click="ignore",
        key=f"{key}-latex",
        help="For booktabs; of the paper's tables mean ± sd, the best of each column in bold.",
    )
