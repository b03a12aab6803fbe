"""What many runs say: the protocol of rliable (arXiv 2108.13264), its metrics and its bootstrap.

A cell of a table is a matrix of scores, (S, M): seeds by tasks, each the mean return of a run's
last evaluation. Within one family scores are raw returns, so its tasks weigh by their range;
over families they are ``normalised`` first.

The metrics are rliable's own. Its bootstrap is done here, equal in distribution and vectorised:
``rliable.library`` imports ``arch``, which does not load beside pandas 3, resamples one by one
in Python (seconds per table) and draws from NumPy's global generator, whatever seed it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from workbench.shipped import assets

RESAMPLES = 2_000
_SEED = 0  # of the bootstrap: the same runs give the same interval everywhere
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; without one (nan) where a single seed shows no spread."""

    value: float
    low: float
    high: float


def matrix(runs: pd.DataFrame, tasks: Sequence[int]) -> pd.DataFrame:
    """Return mean returns, a row per seed that has run all of ``tasks``, a column per task."""
    table = runs.pivot(index="seed", columns="task", values="return_mean")
    return table.reindex(columns=list(tasks)).dropna()


def iqm(scores: np.ndarray, resamples: int = RESAMPLES) -> Estimate:
    """Return the interquartile mean over seeds and tasks with its stratified bootstrap interval.

    Every task is a stratum: its seeds are resampled, the tasks stay. So the interval says how far
    other seeds might lie, not other tasks.

    Args:
        scores: (S, M).
        resamples: How many the bootstrap draws.
    """
    from rliable import metrics

    drawn = np.sort(_resampled(scores, resamples).reshape(resamples, -1), axis=1)
    cut = scores.size // 4  # a quarter is dropped at each end
    values = drawn[:, cut : scores.size - cut].mean(1)
    return _estimate(metrics.aggregate_iqm(scores), values, len(scores) > 1)


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
    student = special.stdtrit(len(means) - 1, 0.975)
    half = student * np.sqrt(of_seeds + of_episodes)
    return Estimate(float(means.mean()), float(means.mean() - half), float(means.mean() + half))


def over_seeds(scores: np.ndarray) -> tuple[float, float]:
    """Return the paper's form: mean over tasks for each seed, then mean and sd over seeds."""
    means = scores.mean(1)
    return float(means.mean()), float(means.std(ddof=1)) if len(means) > 1 else float("nan")


def improvement(scores: np.ndarray, baseline: np.ndarray, resamples: int = RESAMPLES) -> Estimate:
    """Return the probability that a run beats one of ``baseline`` on the same task.

    The mean over tasks of P(X > Y) + P(X = Y) / 2; both sides are resampled independently.

    Args:
        scores: (S, M).
        baseline: (S', M), of the same tasks.
        resamples: Of the bootstrap.
    """
    from rliable import metrics

    x, y = _resampled(scores, resamples, 1), _resampled(baseline, resamples, 2)
    x, y = x[:, :, None], y[:, None]
    values = ((x > y) + 0.5 * (x == y)).mean((1, 2, 3))
    enough = len(scores) > 1 and len(baseline) > 1
    return _estimate(metrics.probability_of_improvement(scores, baseline), values, enough)


def difference(scores: np.ndarray, other: np.ndarray, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean paired difference of runs of the same seed and task, with its interval.

    Args:
        scores: (S, M).
        other: (S, M), of the same seeds and tasks; what is subtracted.
        resamples: Of the bootstrap, stratified by task as in ``iqm``.
    """
    pairs = scores - other
    values = _resampled(pairs, resamples).mean((1, 2))
    return _estimate(pairs.mean(), values, len(pairs) > 1)


def profile(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the share of runs above each of ``levels``, (L,): a performance profile."""
    return (scores.reshape(-1, 1) > levels).mean(0)


def profile_band(
    scores: np.ndarray, levels: np.ndarray, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval of a performance profile at each of ``levels``, (L,) and (L,).

    It holds level by level; its bootstrap is stratified by task as in ``iqm``. A single seed shows
    no spread: then it is nan.
    """
    if len(scores) < 2:
        nothing = np.full(len(levels), np.nan)
        return nothing, nothing
    drawn = np.sort(_resampled(scores, resamples).reshape(resamples, -1), axis=1)
    shares = np.stack([1 - np.searchsorted(d, levels, side="right") / d.size for d in drawn])
    low, high = np.percentile(shares, _PERCENTILES, axis=0)
    return low, high


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


def _resampled(scores: np.ndarray, resamples: int, stream: int = 0) -> np.ndarray:
    """Draw seeds with replacement, anew for each task, (resamples, S, M)."""
    draw = np.random.default_rng((_SEED, stream))
    n_seeds, n_tasks = scores.shape
    index = draw.integers(n_seeds, size=(resamples, n_seeds, n_tasks))
    return scores[index, np.arange(n_tasks)]


def _estimate(value: float, values: np.ndarray, enough: bool) -> Estimate:
    low, high = np.percentile(values, _PERCENTILES) if enough else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))
