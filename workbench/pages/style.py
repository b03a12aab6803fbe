"""How all pages are set, beyond Streamlit's theme."""

from __future__ import annotations

import base64
import io

import numpy as np
import streamlit as st
from PIL import Image

# What a page shows belongs above the fold: Streamlit leaves 6 rem above the first line. On a tablet
# what needs room stands below, not beside, and the sidebar can be folded by touch.
_STYLE = """<style>
.stMainBlockContainer { padding: 3.4rem 2rem 3rem }
@media (max-width: 1200px) {
  .stMainBlockContainer { padding: 3.4rem 1.2rem 3rem }
  [data-testid="stSidebarCollapseButton"] { visibility: visible !important }
  .stMain .stHorizontalBlock:has(.stPlotlyChart, .stDataFrame, .stMetric, .st-key-view,
    .st-key-ablate-run) { flex-wrap: wrap }
  .stMain .stHorizontalBlock:has(.stPlotlyChart, .stDataFrame, .st-key-view, .st-key-ablate-run)
    > .stColumn { min-width: 100% }
  .stMain .stHorizontalBlock:has(.stMetric) > .stColumn { min-width: calc(50% - 1rem) }
}
</style>"""


def _icon() -> str:
    """Return a five by five heat map, noise on the left and order on the right, as a data URI."""
    order = np.linspace(0.0, 1.0, 5)
    noise = np.random.default_rng(3).uniform(size=(5, 5))
    cells = (1 - order) * noise + order * order[:, None]
    colours = np.stack([230 - 230 * cells, 159 - 45 * cells, 178 * cells], -1)
    file = io.BytesIO()
    Image.fromarray(np.kron(colours, np.ones((12, 12, 1))).astype(np.uint8)).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


ICON = _icon()
"""Of the pages: the prompt as it comes out of noise. It travels in the page itself, for Streamlit
keeps a picture only while a run of the script names it: a browser that asks for it while the next
run begins would be told that it does not exist."""


def styled() -> None:
    """Set the page that is being drawn."""
    st.html(_STYLE)
