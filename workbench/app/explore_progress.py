"""Tuning from the page: the buttons, and what each column says of its run."""

from __future__ import annotations

import streamlit as st

from workbench.app.columns import Column
from workbench.app.jobs import MAX_JOBS, QUEUE, mine, show_waiting
from workbench.runs.compare import watch
from workbench.runs.store import RunStore
from workbench.viewing.figures.gradients import has_plane

_ROOM = f"{MAX_JOBS} tunings run at a time" if MAX_JOBS > 1 else "One tuning runs at a time"


def start_and_stop(columns: list[Column], words: list[str], store: RunStore) -> None:
    """Draw the two buttons under the sidebar's controls.

    Args:
        columns: What the page shows.
        words: What each of them is called in the queue.
        store: Where their runs are kept.
    """
    missing = [column for column in columns if needs_run(column)]
    active = any(column.active for column in columns)
    left, right = st.sidebar.columns(2)
    if left.button(
        "Tune",
        type="primary" if missing else "secondary",
        icon=":material/play_arrow:",
        disabled=active,
        width="stretch",
        key="tune",
        help="Run what is not recorded yet, A and then B; where both are, run both once more and "
        f"watch. {_ROOM} on this machine, others wait in a queue. They go on when you change or "
        "reload the page.",
    ):
        for column, label in zip(columns, words, strict=True):
            if column in missing or not missing:
                _submit(column, label, store)
        st.rerun()
    if right.button(
        "Stop",
        icon=":material/stop:",
        disabled=not active,
        width="stretch",
        key="stop",
        help="Stop A and B now and keep on the page what was done.",
    ):
        for column in columns:
            if column.active:
                QUEUE.stop(column.spec.id)
        st.rerun()


def needs_run(column: Column) -> bool:
    """Return whether a run is not there whole, with all that the page can draw."""
    if column.origin == "job":
        return not column.active and (column.entry.job.stopped or column.entry.job.error)
    return column.origin in ("preview", "nothing") or lacks_measures(column)


def lacks_measures(column: Column) -> bool:
    """Return whether a run was recorded before its gradients were measured one by one."""
    return column.gradients and not has_plane(column.steps)


def _submit(column: Column, label: str, store: RunStore) -> None:
    spec = column.spec
    numbers_alone = spec.id in store and not store.whole(spec.id)  # as a sweep keeps it
    anew = lacks_measures(column) or numbers_alone
    try:
        QUEUE.submit(spec.id, label, lambda: watch(spec, store, anew=anew), **mine())
    except ValueError as error:  # said after the rerun, which would take it away
        st.toast(str(error), icon=":material/hourglass:", duration="long")


def show_state(column: Column) -> None:
    """Say where a column's run comes from, and how far it is."""
    updates, entry = column.spec.updates, column.entry
    done = column.steps[-1].update if column.steps else 0
    if entry is not None and entry.job is None:
        name = f"cancel-{column.name}"
        show_waiting(QUEUE, column.spec.id, name, "Take this run off the queue.")
    elif column.active and not done:
        st.progress(0.0, "Running the episodes before the first update")
    elif column.active:
        every = column.spec.eval_every
        evaluates = done + 1 == updates or (every and (done + 1) % every == 0)
        then = f", then {column.spec.episodes} episodes" if evaluates else ""
        st.progress(done / updates, f"Tuning: update {done} of {updates}{then}")
    elif entry is not None and entry.job.error is not None:
        st.error(f"The run ended early: {entry.job.error}", icon=":material/error:")
    else:
        st.caption(_words(column, done))


def _words(column: Column, done: int) -> str:
    entry, updates = column.entry, column.spec.updates
    if column.origin == "job" and entry.job.stopped and (done < updates or not column.newest):
        why = ", for nobody looked at it for five minutes" if entry.abandoned else ""
        if not done:
            return f"**Stopped before the first update**: nothing kept{why}."
        return (
            f"**Stopped after {done} of {updates} updates**{why}. Press **Tune** to run it whole."
        )
    if column.origin == "nothing":
        return f"**This cannot be run:** {column.problem}"
    if column.origin == "preview":
        return "**Not run yet**: this is the prompt before any update. Press **Tune**."
    kind = {"recorded": "Recorded run, shipped with the workbench", "own": "Your run, read back"}
    updates = f" · {updates} updates" if updates else " · nothing is tuned"
    return f"**{kind.get(column.origin, 'Your run')}**{updates}"
