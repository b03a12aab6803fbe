"""The reader's own sets of a task: tune on one, delete one, take that back."""

from __future__ import annotations

import streamlit as st

from workbench import assets, own
from workbench.pages.sets import plain
from workbench.pages.upload import link
from workbench.tasks import Task


def manage(task: Task, explore) -> None:
    """Draw a line for each own set of a task, and the way back from a deletion.

    Args:
        task: Whose sets.
        explore: The page to go on to, as Streamlit navigates.
    """
    _offer_undo(task)
    for quality in own.qualities(task):
        name = own.name_of(quality)
        words, onward, away = st.columns([4, 1, 1], vertical_alignment="center")
        words.markdown(f"**{plain(quality)}**, your own set")
        if assets.has_models(task.family) and onward.button(
            "Tune on it",
            icon=":material/arrow_forward:",
            width="stretch",
            key=f"tune-{task}-{name}",
            help="Opens the first page with this task and this data chosen.",
        ):
            st.switch_page(explore, query_params=link(task, quality))
        if away.button(
            "Delete",
            icon=":material/delete:",
            width="stretch",
            key=f"delete-{task}-{name}",
            help="Takes the set away; it can be taken back.",
        ):
            own.delete(task, name)
            st.rerun()


def _offer_undo(task: Task) -> None:
    gone = [q for q in own.deleted(task) if q not in own.qualities(task)]
    if not gone:
        return
    words, back = st.columns([5, 1], vertical_alignment="center")
    words.info(f"Deleted: {plain(', '.join(gone))}.", icon=":material/delete:")
    if back.button(
        "Undo",
        icon=":material/undo:",
        width="stretch",
        key=f"undo-{task}",
        help=f"Brings {gone[0]} back.",
    ):
        own.restore(task, own.name_of(gone[0]))
        st.rerun()
