"""The page Explore, the first one: two ways to a prompt side by side, from noise to a robot.

The sidebar is in ``controls.py``, where the runs come from in ``columns.py``; each ``explore_…``
draws one part of the page.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app import explore_tour, jobs, sharing
from workbench.app.charts import chart
from workbench.app.columns import Column, column_of, payload_of, untuned_of
from workbench.app.controls import (
    STARTS,
    Setting,
    choose_setting,
    choose_sides,
    explore_offers,
    labels_of,
    words_of,
)
from workbench.app.explore_by_hand import write_by_hand
from workbench.app.explore_films import offer_videos
from workbench.app.explore_gradients import show_gradients
from workbench.app.explore_guess import guessed
from workbench.app.explore_present import begin as begin_presenting
from workbench.app.explore_present import present, presenting
from workbench.app.explore_progress import show_state, start_and_stop
from workbench.app.families import first, with_models
from workbench.app.glossary import linked
from workbench.app.jobs import show_queue
from workbench.app.links import broken_choices, show_broken
from workbench.app.page import guarded, paint_first, styled
from workbench.app.report import Item, offer_item
from workbench.runs.compare import paired, prompt_distance
from workbench.shipped.networks import load_all, load_model
from workbench.tasks import SHIPPED, Family, find
from workbench.tuning.presets import OPENING_QUALITY, Side, first_task
from workbench.viewing.figures.runs import COLUMNS, Line, curves
from workbench.viewing.player.component import player, source
from workbench.viewing.scene.appearance import goal_words
from workbench.viewing.scene.outcome import outcome, verdict


@guarded
def page() -> None:
    """Draw the page."""
    broken = broken_choices(explore_offers())
    setting = choose_setting()
    family = find(setting.task.family)
    styled()
    if not presenting():
        _head(family)
    with st.container(key="controls"):
        sides = choose_sides(setting)
        show_broken("explore", broken, (setting, sides))
    columns = _columns(setting, sides)
    if presenting():
        present(columns, _words_of_both(columns))
        return
    words = [
        f"{family.label}, {goal_words(setting.task)}: {' · '.join(words_of(side, setting))}"
        for side in sides
    ]
    start_and_stop(columns, words, jobs.OWN)
    active = any(column.active for column in columns)
    st.session_state["was-active"] = active
    st.fragment(guarded(_live), run_every=1.0 if active else None)(setting, sides)


def _head(family: Family) -> None:
    """Draw the title with the ways in, and what the page is about."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Watch a prompt come out of noise", width="stretch")
        st.toggle(
            "Guess first",
            key="guess-first",
            bind="query-params",
            help="Say which of A and B earns more before the page shows it.",
        )
        st.button(
            "Tour",
            icon=":material/tour:",
            on_click=explore_tour.begin,
            key="tour-begin",
            help="Five steps through this page.",
        )
        st.button(
            "Present",
            icon=":material/slideshow:",
            on_click=begin_presenting,
            key="present-begin",
            help="For a class: large, without controls, one idea on a screen.",
        )
    explore_tour.show()
    st.markdown(
        f"{family.hint} **Five recorded runs** and a short {linked('prompt')} are all it gets. "
        f"**A** and **B** differ in how that prompt is made: {linked('untuned prompt', 'untuned')} "
        f"is a slice of a recorded run, a {linked('diffuser')} makes one out of noise."
    )


def prepare() -> None:
    """Read and pack what the page shows before anybody chooses.

    A class chooses every robot within minutes. So a shared server meets all that ship before its
    visitors, who need not wait for them, and its memory does not grow by them later.
    """
    ours = [family for family in with_models().values() if family.name in SHIPPED]
    for family in ours if sharing.shared() else (first(),):
        if sharing.shared():
            load_all(family.name)
        task = family.task(first_task(family.name))
        columns = _columns(Setting(task, OPENING_QUALITY, 100, 0), tuple(STARTS.values()))
        payload_of(columns, load_model(family.name))
        untuned_of(columns)
    source()


def _columns(setting: Setting, sides: tuple[Side, ...]) -> list[Column]:
    labels = labels_of(sides, setting)
    return [
        column_of(name, label, colour, setting.spec(side))
        for name, label, colour, side in zip("ABCD", labels, COLUMNS, sides, strict=False)
    ]


def _live(setting: Setting, sides: tuple[Side, ...]) -> None:
    """Draw the runs, again and again while they grow."""
    columns = _columns(setting, sides)
    active = any(column.active for column in columns)
    if st.session_state.get("was-active") and not active:
        st.session_state["was-active"] = False
        st.rerun()
    for place, column in zip(st.columns(2, gap="medium"), columns, strict=True):
        with place:
            show_state(column)
    show_queue()
    if not guessed(columns):
        return
    with st.container(key="sentence"):
        st.markdown(_words_of_both(columns))
    payload = payload_of(columns, load_model(setting.task.family))
    if payload is None:
        st.info("Neither column has anything to show. Choose another method or other data.")
        return
    player(payload, key="player", link="look")
    write_by_hand(columns)
    st.subheader("What differs")
    with st.container(key="numbers"):
        _numbers(columns, setting)
    paint_first("explore", 2)
    figure = _curves(columns)
    _offer_item(columns, figure)
    show_gradients(columns)
    offer_videos(columns)
    with st.expander("Run this on the command line", icon=":material/terminal:"):
        for column in columns:
            st.markdown(f"**{column.name}** · {column.label}")
            if column.spec.updates:
                st.code(column.spec.command, language="sh", wrap_lines=True)
            else:
                st.caption("Nothing is tuned: every `tune` of this task runs it for comparison.")


def _words_of_both(columns: list[Column]) -> str:
    """Return what A and B do and which of them earns more; "" until both have run."""
    a, b = (column.newest for column in columns)
    if a is None or b is None:
        return ""
    episodes = [step.evaluation.trajectories[0] for step in (a, b)]
    did = [f"**{c.name}** {outcome(e)}" for c, e in zip(columns, episodes, strict=True)]
    mean, half = paired(a.evaluation, b.evaluation)
    if mean == half == 0.0:
        return f"{did[0]}; **B** does the very same."
    earned = verdict("**A**", "**B**", mean, half)
    n = len(a.evaluation.returns)
    return f"{did[0]}, {did[1]}. Over {n} episodes {earned}."


def _numbers(columns: list[Column], setting: Setting) -> None:
    """Draw the returns, their paired difference, and the distance of the prompts."""
    family = find(setting.task.family)
    places = st.columns(4)
    for place, column in zip(places, columns, strict=False):
        _number(place, column, family.target_return == 0)
    a, b = (column.newest for column in columns)
    if a is None or b is None:
        value, note, mood, arrow = "–", "run both first", "off", "off"
    else:
        mean, half = paired(a.evaluation, b.evaluation)
        verdict = "B is better" if mean > half else "A is better" if -mean > half else "undecided"
        value, arrow = f"{mean:+.1f}", "off"
        note = f"{mean - half:+.1f} … {mean + half:+.1f}: {verdict}"
        mood = {"B is better": "normal", "A is better": "inverse"}.get(verdict, "off")
    places[2].metric(
        "Difference B − A",
        value,
        note,
        delta_color=mood,
        delta_arrow=arrow,
        border=True,
        help="Mean difference over the same episodes with its 95 % interval, paired, for this one "
        "seed. Other seeds vary.",
    )
    apart = _distance(columns)
    places[3].metric(
        "Distance of the prompts",
        "–" if apart is None else f"{apart:.2f} sd",
        "per number of a prompt",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="How far the numbers of A's prompts lie from those of B's, in standard deviations of "
        "the training data, over all rows, observations and actions. 0: the same prompt.",
    )


def _number(place, column: Column, zero_is_perfect: bool) -> None:
    newest, summary = column.newest, {}
    if newest is not None:
        summary = newest.evaluation.summary()
    place.metric(
        f"{column.name}: mean return",
        f"{summary['return_mean']:.1f}" if summary else "–",
        f"± {summary['return_sd']:.1f} sd, {summary['episodes']} episodes"
        if summary
        else "not run yet",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=f"{column.label}. The return is the sum of all rewards of an episode: higher is "
        f"better{'; 0 would be perfect' if zero_is_perfect else ''}.",
    )


def _distance(columns: list[Column]) -> float | None:
    """Return how far the newest prompts of two columns are apart, or None."""
    snapshots = [
        next((step.snapshot for step in reversed(column.steps) if step.snapshot), None)
        for column in columns
    ]
    if None in snapshots:
        return None
    a, b = (snapshot.policy.prompt for snapshot in snapshots)
    return prompt_distance(a, b, load_model(columns[0].spec.family).normalizer)


def _offer_item(columns: list[Column], figure: go.Figure) -> None:
    """Offer what the page shows to the report."""
    if any(column.newest is None for column in columns):
        return
    task = columns[0].spec.resolved_task
    rows = [
        {"": column.name, "method": column.label, "data": column.spec.quality}
        | column.newest.evaluation.summary()
        for column in columns
    ]
    commands = [column.spec.command for column in columns if column.spec.updates]
    offer_item(
        Item(
            f"{find(task.family).label}, {goal_words(task)}",
            _words_of_both(columns),
            {"returns": figure},
            pd.DataFrame(rows),
            tuple(commands),
        ),
        "explore-report",
    )


def _curves(columns: list[Column]) -> go.Figure:
    """Draw the return of both over updates; return the figure."""
    lines = [
        Line(f"{column.name}: {column.label}", column.colour, column.steps) for column in columns
    ]
    updates = max(1, *(column.spec.updates for column in columns))
    figure = curves(lines, untuned_of(columns), updates)
    chart(figure, "returns", "Return per episode over updates, of A and of B.", "returns")
    st.caption("Higher is better. Bars and bands are 95 % intervals over the episodes.")
    return figure
