"""What a page shows when something unexpected goes wrong: words, never a stack trace."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any

import streamlit as st


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
