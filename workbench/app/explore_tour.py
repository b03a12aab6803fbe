"""A walk through the first page in five steps, each with what it points at outlined."""

from __future__ import annotations

import streamlit as st

STEPS: tuple[tuple[str, str, str], ...] = (
    (
        "One robot, one task, five recorded runs",
        "At the left is what both sides share: the robot, what it should do, and who recorded the "
        "runs that there are of it. A policy that never learned is the default: bad data.",
        "[data-testid=stSidebarUserContent]",
    ),
    (
        "Two ways to a prompt",
        "A takes a slice of a recorded run as it is. B lets a diffuser make one. The buttons set "
        "both in one click; nothing else changes.",
        ".st-key-preset, .st-key-a-method, .st-key-b-method",
    ),
    (
        "One clock",
        "Press Play: first noise becomes a prompt, then the robots act as the prompts tell. The "
        "boxes light up where the clock is, and each opens to what it is.",
        ".st-key-player",
    ),
    (
        "What came of it",
        "Always a sentence and an interval: over the same episodes, how much more does one earn? "
        "Where the interval holds 0 it is undecided.",
        ".st-key-sentence, .st-key-numbers",
    ),
    (
        "Now you",
        "Tick *what the transformer reads of it now* over the heat map, then write a prompt by "
        "hand: move the number that is read most, and the robot follows.",
        ".st-key-by-hand",
    ),
)
"""Title, words, and a CSS selector of what is meant."""


def step() -> int | None:
    """Return which step the address asks for, from 1, or None."""
    asked = st.query_params.get("tour", "")
    return int(asked) if asked.isdecimal() and 1 <= int(asked) <= len(STEPS) else None


def begin() -> None:
    """Go to the first step."""
    st.query_params["tour"] = "1"


def show() -> None:
    """Draw the step that the address asks for, if it asks for one."""
    at = step()
    if at is None:
        return
    title, words, selector = STEPS[at - 1]
    st.html(f"<style>{selector} {{ outline: 3px solid #D55E00; outline-offset: 4px }}</style>")
    with st.container(border=True, key="tour"):
        st.markdown(f"**{at} of {len(STEPS)} · {title}.** {words}")
        with st.container(horizontal=True):
            last = at == len(STEPS)
            st.button(
                "Done" if last else "Next",
                type="primary",
                key="tour-next",
                on_click=_go,
                args=(0 if last else at + 1,),
                help="Ends the tour." if last else "To the next step.",
            )
            if at > 1:
                st.button("Back", key="tour-back", on_click=_go, args=(at - 1,), help="One back.")
            if not last:
                st.button("End", key="tour-end", on_click=_go, args=(0,), help="Ends the tour.")


def _go(at: int) -> None:
    if at:
        st.query_params["tour"] = str(at)
    else:
        st.query_params.pop("tour", None)
