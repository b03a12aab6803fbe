"""A sweep that somebody watches: how far the run in flight is, an end at any update, and how long
all of it will take.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.runs.store import RunStore
from workbench.runs.sweep import Done, sweep
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec


class WatchedStore(RunStore):
    """A store that tells what is being recorded in it, and lets go between two updates.

    Attributes:
        now: The run in flight and its last update; None where there is none.
    """

    def __init__(self, root: Path | str):
        super().__init__(root)
        self.now: tuple[RunSpec, int] | None = None
        self._end = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether somebody asked for the end."""
        return self._end.is_set()

    def end(self) -> None:
        """End after the update in flight; the run stays incomplete, as after any kill."""
        self._end.set()

    def record(self, spec: RunSpec, steps: Iterable[TuneStep]) -> Generator[TuneStep]:
        """See ``RunStore.record``."""
        if self.ended:
            return
        self.now = (spec, 0)
        try:
            with contextlib.closing(super().record(spec, steps)) as recorded:
                for step in recorded:
                    self.now = (spec, step.update)
                    yield step
                    if self.ended:
                        return
        finally:
            self.now = None


def watched(specs: Sequence[RunSpec], store: WatchedStore) -> Iterator[Done]:
    """Run what ``store`` lacks of ``specs`` in this process, until it is ended.

    Args:
        specs: What to run.
        store: Where runs are kept; its ``end`` is the end of the sweep.
    """
    with contextlib.closing(sweep(specs, store)) as stream:
        for done in stream:
            if store.ended:
                return
            yield done


def seconds_of(
    specs: Iterable[RunSpec], table: pd.DataFrame, quantile: float | None = None
) -> float:
    """Return how long runs will take one after another, by runs like them.

    Like a run is one of the same family, method and number of updates; where there is none, one of
    any family.

    Args:
        specs: What is to be run.
        table: Of ``results.rows``, with ``seconds``.
        quantile: Which of the runs alike to go by, in [0, 1]; None for their mean.

    Returns:
        Seconds; nan where nothing like one of them was ever timed.
    """
    timed, total = table[table["seconds"].notna()], 0.0
    names = ["family", "method", "updates"]
    near, far = (
        (g.mean() if quantile is None else g.quantile(quantile)).to_dict()
        for g in (timed.groupby(names)["seconds"], timed.groupby(names[1:])["seconds"])
    )
    for spec in specs:
        what = (spec.method, spec.updates)
        total += near.get((spec.family, *what), far.get(what, np.nan))
    return total


def duration(seconds: float) -> str:
    """Return seconds as people say them, such as ``"about 4 minutes"``."""
    if not np.isfinite(seconds):
        return "unknown time"
    if seconds < 90:
        return f"about {max(1, round(seconds))} seconds"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"


def duration_between(low: float, high: float) -> str:
    """Return a range of seconds as people say it, such as ``"4 to 7 minutes"``."""
    if not np.isfinite(low + high):
        return duration(high)
    for unit, name, below in (
        (1, "seconds", 90),
        (60, "minutes", 90 * 60),
        (3600, "hours", np.inf),
    ):
        if high < below:
            digits = 1 if name == "hours" else 0
            ends = [f"{max(end / unit, 10.0**-digits):.{digits}f}" for end in (low, high)]
            break
    return duration(high) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]} {name}"
