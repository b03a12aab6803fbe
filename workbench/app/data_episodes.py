"""Every episode of a task, one after another: filters, next and previous, a replay of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from workbench.app.data_sets import demos_of, stamps_of
from workbench.app.page import plain
from workbench.data.trajectory import Trajectory
from workbench.tasks import Task, find
from workbench.viewing.figures.colours import look
from workbench.viewing.player.component import payload, player
from workbench.viewing.player.contents import PlayerColumn
from workbench.viewing.player.from_runs import chart_of, episode_of
from workbench.viewing.scene import geometry

ORDERS = ("as recorded", "best first", "worst first")


@dataclass(frozen=True, eq=False)
class Listed:
    """An episode, and where it is.

    Attributes:
        name: Of its set.
        changed: When the file of the set was written.
        number: Its place in the file, from 0.
        of: Episodes of the set.
        episode: The rows themselves.
    """

    name: str
    changed: int
    number: int
    of: int
    episode: Trajectory


def browse(task: Task, names: list[str]) -> None:
    """Draw the filters, the way from one episode to the next, and the replay of one.

    Args:
        task: Whose demonstrations.
        names: Of its sets.
    """
    found = _filtered([one for name in names for one in _listed(task, name)], names)
    if not found:
        st.info("No episode is like that: ask for less.", icon=":material/search_off:")
        return
    one = found[_choose(len(found)) - 1]
    earned = f"{one.episode.episode_return:.1f}".replace("-", "−")
    st.markdown(
        f"**{plain(one.name)}**, episode {one.number + 1} of {one.of} of its file · return "
        f"**{earned}** · {len(one.episode.rewards)} steps"
    )
    player(packed_episode(task, one.name, one.changed, one.number), key="one-episode")


def _listed(task: Task, name: str) -> list[Listed]:
    ((_, changed),) = stamps_of(task, [name])
    demos = demos_of(task, name, changed)
    return [Listed(name, changed, i, len(demos), episode) for i, episode in enumerate(demos)]


def _filtered(every: list[Listed], names: list[str]) -> list[Listed]:
    """Draw the filters; return the episodes that they leave, in the order that is asked for."""
    sets, order, least = st.columns([3, 3, 2], gap="medium")
    wanted = sets.pills(
        "Sets",
        names,
        selection_mode="multi",
        default=names,
        key="data",
        bind="query-params",
        help="Whose episodes: what ships of each quality, and your own.",
    )
    chosen = order.segmented_control(
        "Order",
        ORDERS,
        default=ORDERS[0],
        required=True,
        key="order",
        bind="query-params",
        help="Set by set as their files have them, or by return over all sets.",
    )
    lowest = least.number_input(
        "Return at least",
        value=None,
        key="least",
        bind="query-params",
        placeholder="any",
        help="Leaves out episodes that earned less.",
    )
    found = [one for one in every if one.name in wanted]
    if lowest is not None:
        found = [one for one in found if one.episode.episode_return >= lowest]
    if chosen == ORDERS[0]:
        return found
    worst_first = chosen == ORDERS[2]
    return sorted(found, key=lambda one: one.episode.episode_return * (1 if worst_first else -1))


def _choose(n: int) -> int:
    """Draw the way from one episode to the next; return which one of ``n`` is shown, from 1."""
    at = min(st.session_state.get("number", 1), n)
    back, number, onward = st.columns([1, 1, 1], vertical_alignment="bottom", width=460)
    back.button(
        "Previous",
        icon=":material/chevron_left:",
        disabled=at <= 1,
        on_click=_go,
        args=(at - 1,),
        key="episode-back",
        width="stretch",
        help="The episode before this one.",
    )
    chosen = number.number_input(
        f"Episode of {n}",
        1,
        n,
        key="number",
        bind="query-params",
        help="Its place among those that the filters leave.",
    )
    onward.button(
        "Next",
        icon=":material/chevron_right:",
        disabled=at >= n,
        on_click=_go,
        args=(at + 1,),
        key="episode-next",
        width="stretch",
        help="The episode after this one.",
    )
    return int(chosen)


def _go(number: int) -> None:
    st.session_state["number"] = number


@st.cache_resource(max_entries=16, show_spinner=False)
def packed_episode(task: Task, name: str, changed: int, number: int) -> dict[str, Any]:
    """Return what the player draws of one episode of a set; ``changed`` is when it was written."""
    episode = demos_of(task, name, changed)[number]
    label = f"{name}, episode {number + 1}"
    return payload(
        id=f"{task}-{name}-{changed}-{number}",
        scene=geometry.scene(task),
        columns=[PlayerColumn("A", label, look(name).colour, (episode_of(episode),))],
        chart=chart_of(task),
        actions=[variable.name for variable in find(task.family).actions],
    )
