"""What a page sends first, and what may follow."""

from __future__ import annotations

import time

import streamlit as st

HEAD_START = 0.8
"""Seconds in which a browser paints a page's first picture; Plotly alone takes one to load."""


def paint_first(page: str) -> None:
    """Let the browser paint what was sent of a page before heavier figures follow, once a session.

    Args:
        page: Its name.
    """
    if not st.session_state.setdefault(f"painted-{page}", False):
        st.session_state[f"painted-{page}"] = True
        time.sleep(HEAD_START)
