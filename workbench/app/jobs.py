"""Where the runs of a page are: the queue of this process, the reader's store, what ships."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Hashable
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from workbench.app import sharing
from workbench.runs.jobs import JobQueue
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tuning.loop import run
from workbench.tuning.presets import OPENING_QUALITY, Side, first_task

MAX_JOBS = sharing.jobs_at_a_time(2)
QUEUE = JobQueue(MAX_JOBS, patience=300.0)
"""The one queue of the process: jobs belong to it, not to the tab that began them."""
OWN = RunStore("runs")
"""The reader's own runs."""
SHIPPED = RunStore(assets.ROOT / "runs")
"""Runs that ship whole."""


def mine() -> dict[str, Any]:
    """Return whose a job is and how many its owner may have; nobody's where nothing is shared."""
    context = get_script_run_ctx()
    if not sharing.shared() or context is None:
        return {}
    return {"owner": context.session_id, "each": sharing.JOBS_EACH}


def tune_once(family: str) -> None:
    """Do one update and two episodes, and keep nothing.

    What the first one leaves, the simulator's models and the kernels with their buffers, is there
    before a shared server's visitors, and its memory does not grow by it later: by 80 MB of reach.
    """
    usual = Side().spec(family, first_task(family), OPENING_QUALITY, updates=1)
    spec = dataclasses.replace(usual, episodes=1)
    deque(run(spec), maxlen=0)


def show_at_work() -> None:
    """Say on every page, at the top of the sidebar, what this machine is at."""
    active = bool(QUEUE.running or QUEUE.waiting)
    with st.sidebar:
        # of a class every visitor asks
        st.fragment(_at_work, run_every=(5.0 if sharing.shared() else 2.0) if active else None)()


def _at_work() -> None:
    running, waiting = len(QUEUE.running), len(QUEUE.waiting)
    if running or waiting:
        words = [f"{running} running"] * bool(running) + [f"{waiting} waiting"] * bool(waiting)
        st.badge(", ".join(words), icon=":material/progress_activity:", color="blue")


def show_queue() -> None:
    """List what runs and waits on this machine, while anything waits."""
    if not QUEUE.waiting:
        return
    running = "".join(f"\n- runs: {entry.label}" for entry in QUEUE.running)
    waiting = "".join(f"\n- {i}: {entry.label}" for i, entry in enumerate(QUEUE.waiting, 1))
    with st.expander(f"Queue: {len(QUEUE.waiting)} waiting", icon=":material/list:"):
        st.markdown(running + waiting)


def show_waiting(queue: JobQueue, key: Hashable, name: str, words: str) -> None:
    """Say which place a waiting job has, with a button that takes it off its queue.

    Args:
        queue: Where it waits.
        key: Of the job.
        name: Streamlit's identity of the button.
        words: Its help text.
    """
    place = queue.place(key)
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.info(
        f"Waits for a free place: number {place} in the queue." if place else "Begins now.",
        icon=":material/hourglass_top:",
    )
    if right.button("Cancel", key=name, width="stretch", help=words):
        queue.stop(key)
        st.rerun()
