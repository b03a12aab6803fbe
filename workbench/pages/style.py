"""How all pages are set, beyond Streamlit's theme."""

from __future__ import annotations

import streamlit as st

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


def styled() -> None:
    """Set the page that is being drawn."""
    st.html(_STYLE)
