"""What a sweep costs beside the runs themselves: engine and store, in seconds a run.

    python tests/benchmarks/sweep_overhead.py [--workers 2] [--runs 20] [--engine ray]

The engine is measured with runs that only sleep, the store by writing the steps of a real run.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
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
    """A run that takes a known time."""

    seconds: float = 0.5

    def __call__(self, due):
        """Sleep."""
        time.sleep(self.seconds)
        return Done(*due, self.seconds)


def main(workers: int = 2, runs: int = 20, engine: Literal["process", "ray"] = "process") -> None:
    """Print what a run costs beside itself, and the share of a run of ten seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store, spec = RunStore(folder), RunSpec("cheetah-dir", 0, updates=50, episodes=4)
        if engine == "ray":
            from workbench.runs.ray_cluster import RayCluster

            place = RayCluster(workers=workers)
        else:
            place = Processes(workers)
        attempt = Sleeping(store, False, os.getpid())
        due = [(f"{i:016x}", spec) for i in range(runs)]
        list(place.outcomes(attempt, due[:workers]))  # the start, once a sweep
        began = time.perf_counter()
        list(place.outcomes(attempt, due))
        spent = time.perf_counter() - began
        by_engine = (spent * workers - runs * attempt.seconds) / runs
        steps = list(run(spec))
        began = time.perf_counter()
        list(store.record(spec, steps))  # the writing alone
        by_store = time.perf_counter() - began
    for name, seconds in (("engine", by_engine), ("store", by_store)):
        print(f"{name:<8}{1000 * seconds:8.1f} ms a run  {seconds / USUAL:7.2%} of {USUAL:g} s")


if __name__ == "__main__":
    tyro.cli(main)
