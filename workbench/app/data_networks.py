"""The networks of the reader's own families: what is lacking, a button that makes it, how far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from workbench.app import sharing
from workbench.app.jobs import QUEUE
from workbench.app.page import guarded, plain
from workbench.app.sweeps import EVERY
from workbench.runs.jobs import Entry
from workbench.runs.watched_sweep import duration
from workbench.shipped import assets
from workbench.tasks import find
from workbench.upkeep.reproduce import Outcome
from workbench.upkeep.watched_making import WatchedMaking, lacking

STEPS = {
    "behaviour": "behaviour policies",
    "collect": "training data",
    "demos": "few-shot sets",
    "pretrain": "transformer",
    "diffuser": "diffuser",
    "informed": "informed diffuser",
}
"""Steps as readers know them."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A making of this process: any tab sees it, and can end it."""

    making: WatchedMaking
    entry: Entry[Outcome]

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.entry.active and not self.making.ended


_BEGUN: dict[str, Begun] = {}


def show_networks(explore) -> None:
    """Say which families of plug-ins lack networks, each with a button that makes them.

    Nothing on a shared server: it is for whoever opened it to spend its processor for so long.

    Args:
        explore: The page to go on to, as Streamlit navigates.
    """
    if sharing.shared():
        return
    for name in dict.fromkeys([*_BEGUN, *lacking()]):
        active = name in _BEGUN and _BEGUN[name].active
        with st.container(key=f"networks-{name}", border=True):
            draw = st.fragment(guarded(_show), run_every=EVERY if active else None)
            draw(name, explore, active)


def _show(name: str, explore, was_active: bool) -> None:
    begun = _BEGUN.get(name)
    if begun is not None and begun.active:
        _show_progress(name, begun)
        return
    if was_active:
        st.rerun()  # all of the page: there is more data to choose from now
    if begun is not None and begun.making.error:
        st.error(plain(begun.making.error), icon=":material/error:")
    if begun is not None and begun.entry.job is not None and begun.entry.job.error is not None:
        st.error(plain(str(begun.entry.job.error)), icon=":material/error:")
    if name in lacking():
        _offer(name)
    elif begun is not None:
        _show_made(name, explore)


def _offer(name: str) -> None:
    making = WatchedMaking(name, Path("."))
    lacks = ", ".join(STEPS[step.recipe.verb] for step in making.plan)
    left, right = st.columns([4, 1], vertical_alignment="center")
    done = making.n_steps - len(making.plan)
    so_far = f"{done} of {making.n_steps} steps are done. " if done else ""
    left.markdown(
        f"**{plain(find(name).label)}**, your own family, lacks: {lacks}. {so_far}"
        f"It should take {duration(making.expected)} on one core."
    )
    left.caption(
        f"As `python -m workbench reproduce-assets {name}` does; `python -m workbench check {name}`"
        " says first whether the family is sound. Have you recordings of your own? Add "
        "`--from-data FOLDER` to the command, and nothing is simulated."
    )
    if right.button(
        "Make its networks" if making.fresh else "Go on",
        key=f"make-{name}",
        type="primary",
        icon=":material/model_training:",
        width="stretch",
        disabled=any(begun.active for begun in _BEGUN.values()),  # they would share their notes
        help="Trains a behaviour policy, records its data, pretrains the transformer and the "
        "diffusers, one family at a time. It goes on when you close the tab, and can be stopped "
        "at any time.",
    ):
        entry = QUEUE.submit(
            f"making:{name}", f"The networks of {name}", making.outcomes, watched=False
        )
        _BEGUN[name] = Begun(making, entry)
        st.rerun()


def _show_progress(name: str, begun: Begun) -> None:
    making, left, right = begun.making, *st.columns([4, 1], vertical_alignment="center")
    if begun.entry.job is None:
        left.info(
            f"Waits for a free place: number {QUEUE.place(begun.entry.key)} in the queue.",
            icon=":material/hourglass_top:",
        )
    else:
        now = making.now
        doing = f"now its {STEPS[now.recipe.verb]}, " if now is not None else ""
        left.progress(
            making.share,
            f"**{plain(find(name).label)}**: {doing}{duration(making.left)} left",
        )
    if right.button(
        "Stop",
        key=f"stop-making-{name}",
        icon=":material/stop:",
        width="stretch",
        help="Ends within seconds. What was done stays: the next start goes on from there.",
    ):
        making.end()
        QUEUE.stop(begun.entry.key)
        st.rerun()


def _show_made(name: str, explore) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.success(
        f"**{plain(find(name).label)}** has its networks, below `{assets.home_of(name)}`. Does its "
        f"prompt matter? `python -m workbench prompts {name}`.",
        icon=":material/check:",
    )
    right.page_link(
        explore,
        label="Tune a prompt",
        icon=":material/arrow_forward:",
        query_params={"robot": find(name).label},
        help="Opens Explore with this family.",
    )
