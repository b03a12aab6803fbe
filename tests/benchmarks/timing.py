"""Timing on a machine that others use too: interleaved repeats, CPU time, ratios pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median and range of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up one number per repeat."""
        return cls(statistics.median(values), min(values), max(values))


def interleaved(
    cases: Mapping[str, Callable[[], float]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Run all cases in turn, again and again, and return the cost of a unit in each repeat.

    What slows the machine down for a while slows neighbours in the same repeat alike.

    Args:
        cases: Do some work and return how many units of it, by name. Each runs once before.
        repeats: Rounds that count.
        clock: Seconds; of the process by default, ``time.perf_counter`` for several processes.
    """
    costs: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(-1, repeats):
        for name, run in cases.items():
            began = clock()
            units = run()
            if repeat >= 0:
                costs[name].append((clock() - began) / units)
    return costs


def ratio(slow: Sequence[float], fast: Sequence[float]) -> Spread:
    """Return how many times as much the one costs as the other, repeat by repeat."""
    return Spread.of([a / b for a, b in zip(slow, fast, strict=True)])


@dataclass(frozen=True)
class Result:
    """One line of the report.

    Attributes:
        name: What was measured.
        value: With its spread.
        unit: Of the value: ``"×"`` for a ratio.
        goal: What we want; None where there is none.
        at_most: Whether less is better.
        note: How it was measured, one sentence.
    """

    name: str
    value: Spread
    unit: str
    goal: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the median meets the goal."""
        if self.goal is None:
            return None
        return self.value.median <= self.goal if self.at_most else self.value.median >= self.goal
