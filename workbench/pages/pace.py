"""What a page sends first, and what may follow."""

from __future__ import annotations

import time

import streamlit as st

HEAD_START = 0.8
"""Seconds in which a browser paints a page's first picture; Plotly alone takes one to load."""
_SLICE = 0.1


def paint_first(page: str, times: float = 1.0) -> None:
    """Let the browser paint what was sent of a page before heavier figures follow, once a session.

    A click meanwhile is answered at once.

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
