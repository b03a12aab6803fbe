"""What many runs say: the metrics of rliable (arXiv 2108.13264), and Student's t over seeds.

A cell of a table is a matrix of scores, (S, M): seeds by tasks, each the mean return of a run's
last evaluation. Within one family scores are raw returns, so its tasks weigh by their range;
over families they are ``normalised`` first.

The seed is the unit: runs of one seed draw the same noise on every task, so an interval comes of
one number per seed, t of S - 1 degrees of freedom times their standard error. rliable's percentile
bootstrap resamples each task by itself and knows no degrees of freedom: of three seeds it covers
far less than it says (lesson 5). Where there are several pretraining seeds, they are the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from workbench.shipped import assets

LEVEL = 0.95
"""How often an interval is to cover, where nothing else is said."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; without one (nan) where a single seed shows no spread."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """Return it as cells of a table: ``name``, ``name_low`` and ``name_high``."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def matrix(runs: pd.DataFrame, tasks: Sequence[int]) -> pd.DataFrame:
    """Return mean returns, a row per seed that has run all of ``tasks``, a column per task."""
    table = runs.pivot(index="seed", columns="task", values="return_mean")
    return table.reindex(columns=list(tasks)).dropna()


def iqm(scores: np.ndarray) -> Estimate:
    """Return the interquartile mean over seeds and tasks with its interval over seeds.

    The interval lies around the value of all and is as wide as the seeds' own interquartile means
    over tasks scatter. The jackknife of the whole would be nearer at hand, but covers nine in ten
    where tasks are few: without one seed of three there are four scores on two tasks, the IQM of
    all is that of two, and three such values hardly scatter. It is of other seeds, not other tasks.

    Args:
        scores: (S, M).
    """
    return _student(_middle(scores.ravel()), *_spread(_middle(scores)))


def another_seed(runs: pd.DataFrame, tasks: Sequence[int]) -> Estimate:
    """Return the mean return over ``tasks``, and where that of one more seed lies in 95 %.

    The interval is Student's prediction interval, of the seeds' spread and of the episodes': on
    another machine the same seed rounds differently, and its episodes take another course.

    Args:
        runs: Rows with ``seed``, ``task``, ``return_mean`` and ``returns``.
        tasks: Those that count.
    """
    means = matrix(runs, tasks).mean(axis=1).to_numpy()
    if len(means) < 2:
        return Estimate(float(means.mean()) if len(means) else np.nan, np.nan, np.nan)
    chosen = runs[runs["task"].isin(list(tasks))]
    errors = [np.var(r, ddof=1) / len(r) if len(r) > 1 else 0.0 for r in chosen["returns"]]
    of_episodes = np.mean(errors) / len(tasks)
    of_seeds = means.var(ddof=1) * (1 + 1 / len(means))
    return _student(means.mean(), np.sqrt(of_seeds + of_episodes), len(means) - 1)


def over_seeds(scores: np.ndarray) -> tuple[float, float]:
    """Return the paper's form: mean over tasks for each seed, then mean and sd over seeds."""
    means = scores.mean(1)
    return float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else float("nan")


def mean(scores: np.ndarray, level: float = LEVEL) -> Estimate:
    """Return the mean over seeds and tasks with Student's interval over seeds.

    Args:
        scores: (S, M).
        level: How often the interval is to cover.
    """
    by_seed = scores.mean(1)
    return _student(by_seed.mean(), *_spread(by_seed), level=level)


def improvement(scores: np.ndarray, baseline: np.ndarray) -> Estimate:
    """Return the probability that a run beats one of ``baseline`` on the same task.

    The mean over tasks of P(X > Y) + P(X = Y) / 2. Two independent samples of seeds: how the wins
    of each seed scatter, and of each of the baseline's, is the jackknife of this mean of pairs
    (DeLong 1988). Its degrees of freedom are those of the smaller sample: Welch and Satterthwaite's
    are more, and cover nine in ten where seeds share luck over tasks. Near 0 and 1 few seeds show
    too little spread whatever is done: where all pairs agree the interval has no width.

    Args:
        scores: (S, M).
        baseline: (S', M), of the same tasks.
    """
    x, y = scores[:, None], baseline[None]
    wins = ((x > y) + 0.5 * (x == y)).mean(2)  # (S, S')
    (first, n), (second, m) = _spread(wins.mean(1)), _spread(wins.mean(0))
    error = float(np.hypot(first, second))
    return _student(wins.mean(), error, min(n, m), within=(0.0, 1.0))


def difference(scores: np.ndarray, other: np.ndarray, level: float = LEVEL) -> Estimate:
    """Return the mean paired difference of runs of the same seed and task, with its interval.

    Student's paired t, a pair being a seed: its mean difference over tasks.

    Args:
        scores: (S, M).
        other: (S, M), of the same seeds and tasks; what is subtracted.
        level: How often the interval is to cover.
    """
    return mean(scores - other, level)


def paired_difference(matrix: pd.DataFrame, other: pd.DataFrame) -> Estimate | None:
    """Return ``difference`` of two ``matrix`` over the seeds that both have; None without any."""
    seeds = matrix.index.intersection(other.index)
    if not len(seeds):
        return None
    return difference(matrix.loc[seeds].to_numpy(), other.loc[seeds].to_numpy())


def p_value(scores: np.ndarray, other: np.ndarray, limit: float = 0.0) -> float:
    """Return the two-sided p of the paired t test of ``difference`` against ``limit``.

    It is at most 1 - level exactly where the interval of that level leaves ``limit`` out; nan of a
    single seed.
    """
    by_seed = (scores - other).mean(1)
    error, freedom = _spread(by_seed)
    distance = abs(by_seed.mean() - limit)
    if error == 0:
        return float(distance == 0)
    return float(2 * special.stdtr(freedom, -distance / error)) if freedom else float("nan")


def holm(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Holm's step-down p-values, and the level at which each comparison's interval stands.

    Of m comparisons the one with the r-th smallest p is judged at 0.05 / (m - r + 1), as long as
    all before it were decided; from the first that is not, all are judged at that one's level. So
    one of all decided comparisons is wrong by chance in at most one of twenty tables (Holm 1979).

    Args:
        p: (m,); a nan is no comparison and stays nan.

    Returns:
        p-values, (m,), of which those up to 0.05 are decided, and levels, (m,).
    """
    adjusted, levels = np.full((2, len(p)), np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    rest = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(rest * p[order]))
    decided = int((adjusted[order] <= 1 - LEVEL).sum())
    last = rest[min(decided, len(rest) - 1)] if len(rest) else 1
    levels[order] = 1 - (1 - LEVEL) / np.maximum(rest, last)
    return adjusted, levels


def profile(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the share of runs above each of ``levels``, (L,): a performance profile."""
    return (scores.reshape(-1, 1) > levels).mean(0)


def profile_band(scores: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval of a performance profile at each of ``levels``, (L,) and (L,).

    It holds level by level, by Student's t over the seeds' own profiles. A single seed shows no
    spread: then it is nan.
    """
    by_seed = [profile(seed, levels) for seed in scores]
    bands = [
        _student(np.mean(shares), *_spread(np.array(shares)), within=(0.0, 1.0))
        for shares in zip(*by_seed, strict=True)
    ]
    return np.array([e.low for e in bands]), np.array([e.high for e in bands])


def can_normalise(family: str, tasks: Sequence[int]) -> bool:
    """Return whether the manifest says what the behaviour policies earn on all of ``tasks``."""
    return all(_bounds(family, task) is not None for task in tasks)


def normalised(family: str, task: int, returns: np.ndarray) -> np.ndarray:
    """Return returns where 0 is the random behaviour policy and 1 the expert, on the same task.

    Raises:
        ValueError: if the manifest says nothing of the behaviour policies on that task.
    """
    bounds = _bounds(family, task)
    if bounds is None:
        raise ValueError(
            f"assets/manifest.json has no return of {family}'s behaviour policies on task {task}: "
            f"scores of {family} cannot be normalised there."
        )
    low, high = bounds
    return (np.asarray(returns, float) - low) / (high - low)


def _bounds(family: str, task: int) -> tuple[float, float] | None:
    """Return what the random and the expert behaviour policy earn on a task, None if unknown."""
    home, bounds = assets.home_of(family), []
    entries = assets.manifest(home)
    for quality in ("random", "expert"):
        name = assets.policy_path(family, quality).relative_to(home).as_posix()
        known = entries.get(name, {}).get("measured", {}).get("return_by_test_task", {})
        if str(task) not in known:
            return None
        bounds.append(known[str(task)])
    low, high = bounds
    return low, high


def _middle(scores: np.ndarray) -> np.ndarray:
    """Return the interquartile mean over the last axis, as rliable has it: whole scores are cut."""
    cut = scores.shape[-1] // 4
    return np.sort(scores)[..., cut : scores.shape[-1] - cut].mean(-1)


def _spread(by_seed: np.ndarray) -> tuple[float, int]:
    """Return the standard error of a mean over seeds, (S,), and its degrees of freedom.

    Seeds that differ by rounding alone do not differ.
    """
    if len(by_seed) < 2:
        return float("nan"), 0
    error = by_seed.std(ddof=1) / np.sqrt(len(by_seed))
    return float(error if error > 1e-12 * np.abs(by_seed).max() else 0.0), len(by_seed) - 1


def _student(
    value: float,
    error: float,
    freedom: float,
    level: float = LEVEL,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Estimate:
    """Return a value with the interval of Student's t, cut to what is possible."""
    half = special.stdtrit(freedom, (1 + level) / 2) * error
    low, high = np.clip((value - half, value + half), *within)
    return Estimate(float(value), float(low), float(high))
