"""The page Data: the demonstrations that ship for a task, and a file of the reader's own."""

from __future__ import annotations

import streamlit as st

from workbench.app.data_episodes import ORDERS
from workbench.app.data_networks import show_networks
from workbench.app.data_replay import (
    EPISODES,
    prepare_demos,
    show_coverage,
    show_replays,
    show_tent,
)
from workbench.app.data_sets import compare_sets, sets_of
from workbench.app.data_upload import bring, manage
from workbench.app.links import ANYTHING, Offers, broken_choices, show_broken
from workbench.app.page import guarded, paint_first, styled
from workbench.data.qualities import QUALITIES
from workbench.shipped import assets
from workbench.tasks import FAMILIES, Family, Task, find
from workbench.viewing.scene.appearance import goal_words

_TABS = ("What there is", "Bring your own")


@guarded
def page(explore) -> None:
    """Draw the page.

    Args:
        explore: The page to go on to, as Streamlit navigates.
    """
    broken = broken_choices(_offers())
    task = _choose_task()
    styled()
    st.header("The data behind a prompt")
    st.markdown(
        "A few recorded episodes are all that a tuning sees of its task. Look at those that ship, "
        "or **bring your own** and tune on them instead."
    )
    show_broken("data", broken, task)
    show_networks(explore)
    look, hand_over = st.tabs(_TABS, key="tab", bind="query-params")
    with look:
        _there_is(task, explore)
    with hand_over:
        bring(task, explore)


def prepare() -> None:
    """Read and pack the demonstrations that the page shows before anybody chooses."""
    family = next(iter(_with_data().values()), None)
    if family is not None:
        task = family.tasks("test")[0]
        prepare_demos(task, list(sets_of(task)))


def _offers() -> Offers:
    """Return the values that an address of the page may have."""
    labels = _with_data()
    offers = {
        "robot": ("robot", labels),
        "tab": ("tab", _TABS),
        "episode": ("episode", EPISODES),
        "order": ("order", ORDERS),
        **dict.fromkeys(("data", "number", "least"), ("", ANYTHING)),
    }
    for family in labels.values():
        tasks = [goal_words(task) for task in family.tasks("test")]
        offers[f"{family.name}-task"] = ("task", tasks)
        offers[f"variable-{family.name}"] = ("variable", ANYTHING)
    return offers


def _choose_task() -> Task:
    """Draw the sidebar and return the task whose data are shown."""
    bar = st.sidebar
    bar.header("Choose a task")
    labels = _with_data()
    family = labels[
        bar.selectbox(
            "Robot",
            list(labels),
            key="robot",
            bind="query-params",
            help="A family of tasks: one robot that is rewarded for different things.",
        )
    ]
    tasks = {goal_words(task): task for task in family.tasks("test")}
    wanted = bar.selectbox(
        "Task",
        list(tasks),
        key=f"{family.name}-task",
        bind="query-params",
        help=f"What the robot should do: {family.goal_label}. These are the tasks that a prompt "
        "is tuned for.",
    )
    return tasks[wanted]


def _with_data() -> dict[str, Family]:
    """Return the families whose demonstrations ship, by label."""
    return {f.label: f for f in FAMILIES.values() if _ships(f)}


def _ships(family: Family) -> bool:
    return any(assets.demos_path(t, q).exists() for t in family.tasks("test") for q in QUALITIES)


def _there_is(task: Task, explore) -> None:
    st.subheader(f"{find(task.family).label}: {goal_words(task)}")
    manage(task, explore)
    sets = sets_of(task)
    if not sets:
        st.info(
            "No demonstrations of this task ship. Make them: "
            f"`python -m workbench demos {task.family}`."
        )
        return
    beside, below = st.container(), st.container()
    with below:
        show_replays(task, list(sets))
    paint_first("data")
    with beside:
        compare_sets(sets, "sets")
    show_coverage(task, list(sets))
    show_tent(task, list(sets))
