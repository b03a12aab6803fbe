"""What is said of a file that a user brings: values that the command line and the page print."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.data.trajectory import Trajectory
from workbench.exchange.task_match import Fit


@dataclass(frozen=True, eq=False)
class TaskSet:
    """What a file holds of one task.

    Attributes:
        fit: The task, and how well our environment reproduces the recorded rewards and states.
        trajectories: In the file's order.
    """

    fit: Fit
    trajectories: tuple[Trajectory, ...]

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted return of each trajectory, raw."""
        return np.array([t.episode_return for t in self.trajectories])

    def row(self) -> dict[str, Any]:
        """Return one row of a table, as plain JSON."""
        return {
            "family": self.fit.task.family,
            "task": self.fit.task.index,
            "episodes": len(self.trajectories),
            "steps": sum(map(len, self.trajectories)),
            **return_summary(self.returns),
            "reward_error_median": _rounded(self.fit.reward_error, 7),
            "reward_misfit": _rounded(self.fit.misfit, 7),
            "state_error_median": _rounded(self.fit.state_error, 7),
        }


@dataclass(frozen=True)
class Range:
    """The values of one variable of the observations.

    Attributes:
        variable: Name and unit.
        low, high: Smallest and largest value, raw.
        deviation: Largest distance from the mean of the model's training data, in its standard
            deviations; nan where no model ships.
    """

    variable: str
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, eq=False)
class Report:
    """What is known of a file.

    Attributes:
        file: Its name, as the user gave it.
        form: What kind of file it is, in words; empty if that is not known.
        errors: Why it cannot be used, one sentence each; none if it is accepted.
        warnings: What to know before it is used.
        sets: Its trajectories by task; none unless it is accepted.
        lengths: Rows of each episode.
        columns: Of observations and of actions.
        families: Names of the families with these columns.
        nearest: The tasks that reproduce the rewards best, best first, where the file names no
            more than one.
        ranges: One for each variable of the observations, where the family is known.
        detail: Where in the file the error is, for whoever wrote it.
    """

    file: str
    form: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sets: tuple[TaskSet, ...] = ()
    lengths: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    families: tuple[str, ...] = ()
    nearest: tuple[Fit, ...] = ()
    ranges: tuple[Range, ...] = ()
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """Whether it can be used."""
        return not self.errors

    @property
    def trajectories(self) -> tuple[Trajectory, ...]:
        """All trajectories, task by task."""
        return tuple(itertools.chain.from_iterable(s.trajectories for s in self.sets))

    def plain(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "file": self.file,
            "accepted": self.accepted,
            "form": self.form,
            "errors": list(self.errors),
            "detail": self.detail,
            "warnings": list(self.warnings),
            "sets": [s.row() for s in self.sets],
            "episodes": len(self.lengths),
            "shortest": min(self.lengths, default=0),
            "longest": max(self.lengths, default=0),
            "columns": list(self.columns),
            "families": list(self.families),
            "nearest": [
                {"task": str(fit.task), "reward_error_median": _rounded(fit.reward_error, 7)}
                for fit in self.nearest
            ],
            "ranges": [
                {
                    "variable": r.variable,
                    "low": _rounded(r.low, 4),
                    "high": _rounded(r.high, 4),
                    "deviation": _rounded(r.deviation, 2),
                }
                for r in self.ranges
            ],
        }


def return_summary(returns: np.ndarray) -> dict[str, float]:
    """Return mean, standard deviation (0 of one), smallest and largest return, as plain JSON."""
    sd = returns.std(ddof=1) if len(returns) > 1 else 0.0
    values = {"mean": returns.mean(), "sd": sd, "min": returns.min(), "max": returns.max()}
    return {f"return_{name}": round(float(value), 3) for name, value in values.items()}


def _rounded(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
