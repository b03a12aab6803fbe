"""What every page has: style and icon, words for errors, safe text, and what is painted first."""

from __future__ import annotations

import base64
import functools
import io
import re
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image


def guarded(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``draw`` so that an error in it is words on the page and details in the server's log.

    Streamlit's own ways to end a run early (a rerun, a stop) pass through.
    """

    @functools.wraps(draw)
    def safe(*args: Any, **kwargs: Any) -> Any:
        try:
            return draw(*args, **kwargs)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            problem(error)

    return safe


def problem(error: Exception) -> None:
    """Say that something went wrong, and what to do about it."""
    said = " ".join(str(error).split())[:300] or type(error).__name__
    st.error(
        "**This could not be shown.** Choose something else at the left, or reload the page. If "
        "it stays, `python -m workbench doctor` checks the installation; the details are in the "
        "log of the server.",
        icon=":material/error:",
    )
    st.code(said, language=None, wrap_lines=True)


_MARKDOWN = re.compile(r"([\\*_{}\[\]()#+\-.!|<>$~:&])")


def plain(text: str) -> str:
    """Escape text from a file or a link, so that Markdown shows it and does nothing else."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.replace("`", "'").split()))


# What a page shows belongs above the fold: Streamlit leaves 6 rem above the first line. On a tablet
# what needs room stands below, not beside, and the sidebar can be folded by touch.
_STYLE = """<style>
.stMainBlockContainer { padding: 4rem 2rem 3rem }
.stMain h2 { font-size: 1.6rem; padding: 0.2rem 0 }
.st-key-sentence p { font-size: 1.15rem; line-height: 1.4 }
/* small and chosen words are read as well: at least 4.5 to 1 on what is behind them */
[data-testid="stCaptionContainer"] { color: inherit !important; opacity: 0.8 }
[data-selected="true"] p { color: color-mix(in srgb, currentColor 80%, CanvasText) }
.stMultiSelect [data-baseweb="tag"] :is(span, svg), .stMultiSelect span[title] {
  color: Canvas !important }
/* one way to stop: the page's own button, which keeps what was done */
[data-testid="stStatusWidget"] button { display: none }
@media (max-width: 1200px) {
  .stMainBlockContainer { padding: 4rem 1.2rem 3rem }
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
    """Apply the style sheet of all pages to the one that is being drawn."""
    st.html(_STYLE)


HEAD_START = 0.8
"""Seconds in which a browser paints a page's first picture; Plotly alone takes one to load."""


_SLICE = 0.1


def paint_first(page: str, times: float = 1.0) -> None:
    """Let the browser paint what was sent of a page before heavier figures follow, once a session.

    A click meanwhile is answered at once. Seconds until the first figure was painted, with this
    pause and without, on a busy machine of two cores, two visits each: Compare 6 and 13, Data 6
    and 16. Explore (four visits) and Ablate showed no clear difference.

    Args:
        page: Its name.
        times: How many ``HEAD_START`` long; more where what follows is below the fold.
    """
    place = st.empty()  # always, so that what follows keeps its place
    if st.session_state.setdefault(f"painted-{page}", False):
        return
    st.session_state[f"painted-{page}"] = True
    for _ in range(round(times * HEAD_START / _SLICE)):
        time.sleep(_SLICE)
        place.empty()  # where Streamlit ends this run of the script, if there was a click
