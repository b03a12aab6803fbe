"""Sweeps that a page begins: they belong to the process, and any tab can end them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from workbench.app import jobs
from workbench.app.jobs import QUEUE, mine
from workbench.app.known_runs import known_runs
from workbench.runs.jobs import Entry
from workbench.runs.sweep import Done, missing
from workbench.runs.watched_sweep import WatchedStore, duration_between, seconds_of, watched
from workbench.tuning.spec import RunSpec
from workbench.viewing.scene.appearance import goal_words

EVERY = 1.0
"""Seconds between two looks at a sweep."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep of this process.

    Attributes:
        label: What a reader calls it.
        specs: The runs that it makes.
        store: Where it keeps them.
        entry: Its job.
        expected: Between how many seconds all of it was expected to take.
    """

    label: str
    specs: tuple[RunSpec, ...]
    store: WatchedStore
    entry: Entry[Done]
    expected: tuple[float, float]

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.entry.active and not self.store.ended

    def end(self) -> None:
        """End it after the update in flight; what was finished stays."""
        self.store.end()
        QUEUE.stop(self.entry.key)

    @property
    def share(self) -> float:
        """How much is done, in [0, 1], by updates."""
        total = sum(spec.updates + 1 for spec in self.specs)
        done = sum(item.spec.updates + 1 for item in self.entry.items)
        now = self.store.now
        return min(1.0, (done + (now[1] if now else 0)) / max(1, total))

    @property
    def left(self) -> tuple[float, float]:
        """Between how many seconds are left: by its own speed once it has one, else as expected."""
        if self.entry.job is None or self.share < 0.02:
            return self.expected
        spent = time.perf_counter() - self.entry.job.began
        seconds = spent * (1 - self.share) / self.share
        return seconds, seconds


_SWEEPS: dict[str, Sweep] = {}


def begin(name: str, label: str, specs: Sequence[RunSpec], expected: tuple[float, float]) -> Sweep:
    """Begin a sweep into the reader's own store, or return the one of that name that goes on.

    Args:
        name: What finds it again, from every tab.
        label: What a reader calls it.
        specs: What to run; what the store has already is left out.
        expected: Between how many seconds it should take.
    """
    known = _SWEEPS.get(name)
    if known is not None and known.active:
        return known
    store = WatchedStore(jobs.OWN.root)
    due = tuple(missing(specs, store))
    entry = QUEUE.submit(
        f"sweep:{name}", label, lambda: watched(due, store), watched=False, **mine()
    )
    _SWEEPS[name] = Sweep(label, due, store, entry, expected)
    return _SWEEPS[name]


def sweep_of(name: str) -> Sweep | None:
    """Return the last sweep of a name, running or ended."""
    return _SWEEPS.get(name)


def dismiss(name: str) -> None:
    """Forget a sweep that has ended."""
    if (known := _SWEEPS.get(name)) is not None and not known.active:
        del _SWEEPS[name]


def show_sweep(name: str, key: str) -> None:
    """Draw how far a sweep is, with a button that ends it; or how it ended.

    Args:
        name: Of ``begin``.
        key: Of the widgets.
    """
    known = sweep_of(name)
    if known is None:
        return
    done = known.entry.items
    if known.active:
        _show_progress(known, len(done), key)
        return
    failed = [item for item in done if item.error is not None]
    if known.entry.job is not None and known.entry.job.error is not None:
        st.error(f"The sweep ended early: {known.entry.job.error}", icon=":material/error:")
    elif failed:
        st.error(
            f"{len(failed)} of {len(known.specs)} runs failed. The first: {failed[0].error} "
            f"All of it is in `{known.store.root / failed[0].run / 'error.txt'}`.",
            icon=":material/error:",
        )
    elif known.store.ended:
        st.caption(
            f"**Stopped** after {len(done)} of {len(known.specs)} runs of: {known.label}. What was "
            "finished stays; the next start goes on from there."
        )
    else:
        st.caption(f"**Finished**: {len(done)} runs of: {known.label}.")


def _show_progress(known: Sweep, done: int, key: str) -> None:
    left, right = st.columns([5, 1], vertical_alignment="center")
    if known.entry.job is None:
        place = QUEUE.place(known.entry.key)
        left.info(
            f"Waits for a free place: number {place} in the queue. {known.label}.",
            icon=":material/hourglass_top:",
        )
    else:
        now = known.store.now
        doing = f" · now {_words(now[0])}, update {now[1]}" if now else ""
        left.progress(
            known.share,
            f"{known.label}: {done} of {len(known.specs)} runs, "
            f"{duration_between(*known.left)} left{doing}",
        )
    if right.button(
        "Stop",
        icon=":material/stop:",
        key=f"stop-{key}",
        width="stretch",
        help="Ends within one update. What was finished stays; the next start goes on from there.",
    ):
        known.end()
        st.rerun()


def _words(spec: RunSpec) -> str:
    settings = spec.asked["settings"]
    words = [goal_words(spec.resolved_task), f"seed {spec.seed}"]
    if "projection" in settings:
        words[:0] = [f"λ = {settings['lam']:g}", f"projection {settings['projection']}"]
    return ", ".join(words)


def expected_seconds(specs: Sequence[RunSpec]) -> tuple[float, float]:
    """Return between how many seconds runs should take, as the fast and the slow tenth of such."""
    table = known_runs().table
    return seconds_of(specs, table, 0.1), seconds_of(specs, table, 0.9)
