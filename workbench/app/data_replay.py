"""Demonstrations to be looked at: their episodes replayed on one clock, and what they cover."""

from __future__ import annotations

import numpy as np
import streamlit as st

from workbench.app.charts import chart
from workbench.app.data_episodes import browse
from workbench.app.data_sets import Stamps, demos_of, stamps_of
from workbench.app.links_copied import offer_link
from workbench.app.page import guarded
from workbench.data.coverage import Coverage, transitions
from workbench.tasks import Task, find
from workbench.tasks.rewards import CONTROL_COST
from workbench.viewing.figures.colours import look
from workbench.viewing.figures.data import coverage_map, reward_tent, spread
from workbench.viewing.player.component import payload, player
from workbench.viewing.player.contents import MAX_COLUMNS, PlayerColumn
from workbench.viewing.player.from_runs import chart_of, episode_of
from workbench.viewing.scene import geometry

EPISODES = ("best", "median", "worst", "one by one")


def prepare_demos(task: Task, names: list[str]) -> None:
    """Read and pack what is drawn of a task before anybody chooses."""
    _packed(task, stamps_of(task, names[:MAX_COLUMNS]), "median")
    _covered(task, stamps_of(task, names))


@guarded
def show_replays(task: Task, names: list[str]) -> None:
    """Draw one episode of each set beside the others, on one clock.

    Args:
        task: Whose demonstrations.
        names: Of the sets; the first ones are drawn.
    """
    st.subheader("Watch them", anchor="watch-them")
    row = st.container(horizontal=True, vertical_alignment="bottom")
    which = row.segmented_control(
        "Episode of each set",
        EPISODES,
        default="median",
        required=True,
        key="episode",
        bind="query-params",
        help="By return, within its set; all robots start at once and share one clock. *One by "
        "one*: every episode that there is, one after another.",
    )
    with row:
        offer_link("data-link", "watch-them")
    if which == EPISODES[-1]:
        browse(task, names)
        return
    stamps = stamps_of(task, names[:MAX_COLUMNS])
    player(_packed(task, stamps, which), key="demos")
    if len(names) > MAX_COLUMNS:
        st.caption(f"The first {MAX_COLUMNS} of {len(names)} sets are replayed.")


@st.cache_resource(max_entries=16, show_spinner=False)
def _packed(task: Task, stamps: Stamps, which: str) -> dict:
    columns = []
    for letter, (name, changed) in zip("ABCD", stamps, strict=False):
        demos = sorted(demos_of(task, name, changed), key=lambda t: -t.episode_return)
        named = {"best": 0, "median": len(demos) // 2, "worst": len(demos) - 1}
        episode = demos[named[which]]
        label = f"{name}: return {episode.episode_return:.1f}".replace("-", "−")
        columns.append(PlayerColumn(letter, label, look(name).colour, (episode_of(episode),)))
    return payload(
        id=f"{task}-{which}-{stamps}",
        scene=geometry.scene(task),
        columns=columns,
        chart=chart_of(task),
        actions=[variable.name for variable in find(task.family).actions],
    )


@guarded
def show_coverage(task: Task, names: list[str]) -> None:
    """Draw where the transitions of each set lie, and how one variable is spread in each.

    Args:
        task: Whose demonstrations.
        names: Of the sets.
    """
    st.subheader("What they cover")
    family = find(task.family)
    stamps = stamps_of(task, names)
    sets = {name: demos_of(task, name, changed) for name, changed in stamps}
    left, right = st.columns(2, gap="large")
    with right:
        known = [*family.observations, *family.actions]
        labels = {f"{v.name} ({v.unit})": i for i, v in enumerate(family.observations)}
        actions = enumerate(family.actions, len(family.observations))
        labels |= {f"action: {v.name} ({v.unit})": i for i, v in actions}
        wanted = st.selectbox(
            "Variable",
            list(labels),
            index=_first_look(task, list(labels)),
            key=f"variable-{family.name}",
            bind="query-params",
            help="An observation or an action; its spread in each set is drawn below.",
        )
        index, variable = labels[wanted], known[labels[wanted]]
        values = {name: transitions(demos)[:, index] for name, demos in sets.items()}
        figure = spread(values, variable.name, variable.unit)
        chart(figure, "spread", f"Spread of {variable.name} in each set.", "spread")
        st.caption("The wider a shape, the more transitions lie there; the line is the mean.")
    with left:
        st.markdown("**Every transition on one map**")
        figure = coverage_map(_covered(task, stamps))
        chart(figure, "coverage", "Transitions of each set on a plane.", "coverage")
        st.caption(
            "Observations and actions on their two principal axes, each variable divided by its "
            "standard deviation. Sets that overlap show the same behaviour."
        )


def show_tent(task: Task, names: list[str]) -> None:
    """Draw what the rewards of each set tell of the task, where it is a velocity.

    Args:
        task: Whose demonstrations.
        names: Of the sets.
    """
    if task.family != "cheetah-vel":
        return
    st.subheader("What bad data tell", anchor="what-bad-data-tell")
    points = {}
    for name, changed in stamps_of(task, names):
        demos = [demo for demo in demos_of(task, name, changed) if demo.states is not None]
        if not demos:  # of another recorder: velocities are not told
            continue
        velocity = [np.diff(demo.states[:, 0]) / find(task.family).dt for demo in demos]
        effort = [CONTROL_COST * np.square(demo.actions[:-1]).sum(1) for demo in demos]
        reward = [demo.rewards[:-1] for demo in demos]
        points[name] = np.concatenate(velocity), np.concatenate(reward) + np.concatenate(effort)
    figure = reward_tent(points, task.goal[0])
    chart(figure, "tent", "Reward of every step over its velocity, by set.", "tent")
    st.caption(
        "All sets lie on one tent, and its tip is the goal: a random step is a poor example of "
        "acting, but its reward says how the task judges it. A method that *imitates* bad data "
        "learns to act badly; one that *reads the rewards* can learn the task from them."
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _covered(task: Task, stamps: Stamps) -> Coverage:
    return Coverage.of({name: demos_of(task, name, changed) for name, changed in stamps})


def _first_look(task: Task, labels: list[str]) -> int:
    """Return a telling variable: the one that tasks of a speed differ in, else the first."""
    return next((i for i, label in enumerate(labels) if label.startswith("forward velocity")), 0)
