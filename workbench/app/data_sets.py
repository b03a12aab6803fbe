"""Sets of demonstrations on a page: the returns of each, drawn and in numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from workbench.app.page import plain
from workbench.data import own_sets
from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Trajectory
from workbench.exchange.report import return_summary
from workbench.shipped import assets
from workbench.tasks import Task, find
from workbench.viewing.figures.data import return_strips

Stamps = tuple[tuple[str, int], ...]
"""Names of sets, each with the time that its file was written."""


def stamps_of(task: Task, names: list[str]) -> Stamps:
    """Return sets of a task with the times of their files: a key for caches."""
    return tuple((name, assets.demos_path(task, name).stat().st_mtime_ns) for name in names)


@st.cache_resource(max_entries=32, show_spinner=False)
def demos_of(task: Task, name: str, changed: int) -> tuple[Trajectory, ...]:
    """Return the episodes of a set; ``changed`` tells one file from another."""
    return tuple(assets.demos(task, name))


@st.cache_data(max_entries=64, show_spinner=False)
def _returns_of(path: str, changed: int, family: str, index: int, quality: str) -> np.ndarray:
    """Return the returns of a set; ``path`` and ``changed`` tell one file from another."""
    demos = assets.demos(find(family).task(index), quality)
    return np.array([t.episode_return for t in demos])


def sets_of(task: Task) -> dict[str, np.ndarray]:
    """Return the returns of every set that there is for a task; unreadable ones are left out."""
    found = {}
    for quality in (*QUALITIES, *own_sets.qualities(task)):
        path = assets.demos_path(task, quality)
        if path.exists():
            changed = path.stat().st_mtime_ns
            try:
                found[quality] = _returns_of(str(path), changed, task.family, task.index, quality)
            except ValueError as error:
                st.warning(plain(f"{quality} was left out: {error}"), icon=":material/warning:")
    return found


def compare_sets(sets: dict[str, np.ndarray], key: str) -> None:
    """Draw the returns of sets beside their numbers, and say how they compare."""
    left, right = st.columns([4, 3], gap="large")
    left.plotly_chart(
        return_strips(sets),
        key=f"strips-{key}",
        config={"displaylogo": False},
        alt="Return of every episode, one row for each set of demonstrations.",
    )
    rows = [{"data": name, "n": len(r), **return_summary(r)} for name, r in sets.items()]
    with right:
        show_returns(rows, key)
        st.caption(_words(sets))


def show_returns(rows: list[dict], key: str) -> None:
    """Draw a table of ``return_summary`` and ``n``, one row a set."""
    table = pd.DataFrame(rows).rename(columns=lambda c: c.removeprefix("return_"))
    columns = {
        name: st.column_config.NumberColumn(name, format="%.1f", help=words)
        for name, words in (
            ("mean", "Mean return of the episodes."),
            ("sd", "Standard deviation of the returns over the episodes."),
            ("min", "The worst episode."),
            ("max", "The best episode."),
        )
    }
    columns["n"] = st.column_config.NumberColumn("n", help="Number of episodes.", width=40)
    st.dataframe(
        table,
        hide_index=True,
        column_config=columns,
        key=f"table-{key}",
        alt="Number of episodes, mean, standard deviation, smallest and largest return.",
    )


def _words(sets: dict[str, np.ndarray]) -> str:
    """Say how far the other sets are below the best."""
    ordered = sorted(sets, key=lambda name: -sets[name].mean())
    if len(ordered) < 2:
        return "Dots are episodes, the tick is their mean."
    best, *others = ordered
    gaps = ", ".join(f"{name} {sets[best].mean() - sets[name].mean():.1f}" for name in others)
    return (
        "Dots are episodes, the tick is their mean. "
        f"Best: {plain(best)}. Mean return below it: {plain(gaps)}."
    )
