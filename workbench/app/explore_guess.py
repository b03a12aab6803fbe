"""Guess first: which of A and B earns more? Then see."""

from __future__ import annotations

import streamlit as st

from workbench.app.columns import Column
from workbench.runs.compare import paired

_SAME = "no clear difference"


def guessed(columns: list[Column]) -> bool:
    """Ask for a guess where the reader wants to guess; return whether the page may show the rest.

    Args:
        columns: What is compared; without both evaluated there is nothing to guess.
    """
    if not st.session_state.get("guess-first") or any(c.newest is None for c in columns):
        return True
    key = "guess-" + "-".join(f"{c.spec.id}-{c.newest.update}" for c in columns)
    a, b = columns
    with st.container(border=True, key="guess"):
        answer = st.segmented_control(
            f"Over the same {len(a.newest.evaluation.returns)} episodes, which earns more: "
            f"**A**, {a.label}, or **B**, {b.label}?",
            ("A", "B", _SAME),
            key=key,
            help="Guess, and the page shows what happened.",
        )
        if answer is None:
            return False
        truth = _truth(columns)
        words = f"it is {truth}" if truth == _SAME else f"{truth} earns more"
        st.markdown(
            f"You guessed *{answer}*: " + ("**right.**" if answer == truth else f"no, {words}.")
        )
    return True


def _truth(columns: list[Column]) -> str:
    mean, half = paired(*(column.newest.evaluation for column in columns))
    if abs(mean) <= half:
        return _SAME
    return "B" if mean > 0 else "A"
