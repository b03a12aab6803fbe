"""The first page for a class: large, without controls, one idea on a screen."""

from __future__ import annotations

import streamlit as st

from workbench.app.columns import Column, payload_of
from workbench.app.data_episodes import packed_episode
from workbench.app.data_sets import stamps_of
from workbench.app.explore_by_hand import write_by_hand
from workbench.app.manners import sit
from workbench.shipped.networks import load_model
from workbench.tasks import find
from workbench.viewing.player.component import player
from workbench.viewing.player.method_strip import BACK, STAGES
from workbench.viewing.scene.appearance import goal_words

_STYLE = """<style>
html { font-size: 20px }
[data-testid=stSidebar], [data-testid=stSidebarCollapsedControl], .stAppHeader,
.st-key-controls { display: none !important }
.stMainBlockContainer { padding-top: 1rem }
.st-key-idea h1 { font-size: 2.2rem; padding: 0 0 0.4rem }
.st-key-idea p { font-size: 1.25rem; line-height: 1.45 }
.st-key-turning { position: fixed; right: 1.5rem; bottom: 0.8rem; width: auto; z-index: 10 }
</style>"""
_WHO = {
    "expert": "an expert",
    "medium": "a half-trained policy",
    "random": "a policy that never learned",
}
IDEAS = ("The question", "The method", "Watch", "What came of it", "What it reads", "Try it")


def presenting() -> bool:
    """Return whether the address asks for this mode."""
    return st.query_params.get("present") == "1"


def begin() -> None:
    """Ask for it."""
    st.query_params["present"] = "1"
    st.query_params.pop("tour", None)


def _idea() -> int:
    asked = st.query_params.get("idea", "1")
    return min(max(int(asked), 1), len(IDEAS)) if asked.isdecimal() else 1


def _turn(by: int) -> None:
    st.query_params["idea"] = str(min(max(_idea() + by, 1), len(IDEAS)))


def _end() -> None:
    for name in ("present", "idea"):
        st.query_params.pop(name, None)


def present(columns: list[Column], said: str) -> None:
    """Draw the idea that the address asks for, and the way to the others.

    Args:
        columns: A and B.
        said: What came of them, in Markdown.
    """
    at = _idea()
    st.html(_STYLE)
    with st.container(key="idea"):
        _draw(IDEAS[at - 1], columns, said)
    with st.container(horizontal=True, key="turning", vertical_alignment="center"):
        st.button(
            "Previous",
            icon=":material/chevron_left:",
            disabled=at == 1,
            on_click=_turn,
            args=(-1,),
            key="present-back",
            help="Also by the left arrow key or page up.",
        )
        st.markdown(f"{at} of {len(IDEAS)}", width="content")
        st.button(
            "Next",
            icon=":material/chevron_right:",
            disabled=at == len(IDEAS),
            on_click=_turn,
            args=(1,),
            key="present-next",
            help="Also by the right arrow key or page down.",
        )
        st.button("End", on_click=_end, key="present-end", help="Back to the page.")
    sit(_turn)


def _draw(idea: str, columns: list[Column], said: str) -> None:
    task = columns[0].spec.resolved_task
    family, model = find(task.family), load_model(task.family)
    if idea == "The question":
        st.title("Can a few recorded runs tell a robot what to do?")
        st.markdown(
            f"{family.hint} Its weights are frozen. All it gets are **five recorded runs** of the "
            f"task, *{goal_words(task)}*, and a short **prompt** made from them."
        )
        a, b = columns
        st.markdown(
            f"Two ways to make it: **A**, {a.label}, and **B**, {b.label}. Here is one of the "
            f"recorded runs, by {_WHO.get(b.spec.quality, 'your own file')}:"
        )
        ((name, changed),) = stamps_of(task, [b.spec.quality])
        player(packed_episode(task, name, changed, 0), key="player-recorded")
    elif idea == "The method":
        st.title("From demonstrations to a robot")
        for place, stage in zip(st.columns(len(STAGES)), STAGES, strict=True):
            place.markdown(f"**{stage['name']}**  \n{stage['words'].split('. ')[0]}.")
        st.markdown(f"**{BACK['name']}.** {BACK['words']}")
        st.markdown(f"*{STAGES[1]['equation']}*")
    elif idea == "What came of it":
        st.title("What came of it")
        st.markdown(said or "Neither has run yet.")
        for column in columns:
            if column.newest is not None:
                mean = column.newest.evaluation.returns.mean()
                st.metric(f"{column.name}: mean return", f"{mean:.1f}".replace("-", "−"))
    elif idea == "Try it":
        st.title("Write the prompt yourself")
        write_by_hand(columns, always=True)
    else:
        reads = idea == "What it reads"
        st.title("What does the transformer read?" if reads else "Noise becomes a prompt, and acts")
        payload = payload_of(columns, model)
        if payload is not None:
            view = "r1t4" if reads else ""
            player({**payload, "autoplay": not reads}, key=f"player-{idea}", view=view)
