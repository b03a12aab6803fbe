"""What a sweep costs beside the runs themselves: engine and store, in seconds a run.

    python tests/benchmarks/sweep_overhead.py [--workers 2] [--runs 20] [--engine ray]
    python tests/benchmarks/sweep_overhead.py --engine ray --workers 4 --runs 200 --kill-every 10

The engine is measured with runs that only sleep, the store by writing the steps of a real run. With
``--kill-every`` a worker in the midst of a run is killed at that interval, and what counts is that
every run is made, and what it costs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import tyro

sys.path.insert(0, str(Path(__file__).parents[2]))

from workbench.runs.store import RunStore
from workbench.runs.sweep import Attempt, Done, Processes
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

USUAL = 10.0


@dataclasses.dataclass(frozen=True)
class Sleeping(Attempt):
    """A run that takes a known time, and writes down that it begins and ends."""

    seconds: float = 0.5

    def __call__(self, due):
        """Sleep."""
        self.tell(f"begin {due[0]}")
        time.sleep(self.seconds)
        self.tell(f"end {due[0]}")
        return Done(*due, self.seconds)

    def tell(self, what: str) -> None:
        """Add a line to the diary, which all workers share."""
        with open(self.store.root / "diary", "a") as file:
            file.write(f"{os.getpid()} {what}\n")  # one short write is never torn

    def diary(self) -> list[list[str]]:
        """Return the lines so far: process, begin or end, run."""
        path = self.store.root / "diary"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def killer(attempt: Sleeping, every: float) -> Iterator[list[int]]:
    """Kill a worker that is at a run, again and again, and give their processes."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not over.wait(every):
            at_work = {int(pid): what == "begin" for pid, what, _ in attempt.diary()}
            busy = [pid for pid, begun in at_work.items() if begun and pid not in killed]
            if busy:
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(busy[-1], signal.SIGKILL)
                    killed.append(busy[-1])

    thread = threading.Thread(target=kill, daemon=True)
    if every:
        thread.start()
    try:
        yield killed
    finally:
        over.set()


def main(
    workers: int = 2,
    runs: int = 20,
    engine: Literal["process", "ray"] = "process",
    seconds: float = 0.5,
    kill_every: float = 0.0,
) -> None:
    """Print what a run costs beside itself, and the share of a run of ten seconds.

    Args:
        workers: Runs at the same time.
        runs: How many.
        engine: What runs them.
        seconds: That a run sleeps.
        kill_every: Seconds between two kills of a worker; 0 kills none.
    """
    with tempfile.TemporaryDirectory() as folder:
        store, spec = (
            RunStore(folder, numbers_alone=True),
            RunSpec("cheetah-dir", 0, updates=50, episodes=4),
        )
        if engine == "ray":
            from workbench.runs.ray_cluster import RayCluster

            place = RayCluster(workers=workers)
        else:
            place = Processes(workers)
        attempt = Sleeping(store, False, os.getpid(), seconds=seconds)
        due = [(f"{i:016x}", spec) for i in range(runs)]
        list(place.outcomes(attempt, due[:workers]))  # the start, once a sweep
        before = len(attempt.diary())
        with killer(attempt, kill_every) as killed:
            began = time.perf_counter()
            done = list(place.outcomes(attempt, due))
            spent = time.perf_counter() - began
        by_engine = (spent * workers - runs * attempt.seconds) / runs
        if kill_every:
            made = {each.run for each in done if each.error is None}
            begun = [run for _, what, run in attempt.diary()[before:] if what == "begin"]
            ideal = runs * seconds / workers
            print(
                f"{len(made)} of {runs} runs made by {workers} workers, {len(killed)} of them "
                f"killed; {len(begun) - runs} runs begun twice; {spent:.1f} s, "
                f"{ideal / spent:.0%} of the ideal speed-up"
            )
            return
        steps = list(run(spec))
        began = time.perf_counter()
        list(store.record(spec, steps))  # the writing alone
        by_store = time.perf_counter() - began
    for name, seconds in (("engine", by_engine), ("store", by_store)):
        print(f"{name:<8}{1000 * seconds:8.1f} ms a run  {seconds / USUAL:7.2%} of {USUAL:g} s")


if __name__ == "__main__":
    tyro.cli(main)
