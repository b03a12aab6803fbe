"""Whether a family of tasks tells its goal elsewhere than in the prompt: observed, or rewarded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from workbench.tasks import Family
from workbench.upkeep.trial_episodes import Episode

Episodes: TypeAlias = dict[int, list[Episode]]
"""Some episodes of some tasks, under the same actions and seeds in each."""
_TOLD = 0.9  # share of the goal's variance that one observation may not predict
_SHIFTED = 3.0  # how far rewards of tasks lie apart, beside half of the steps' spread of that


def told_by_observations(
    family: Family, recorded: Episodes, every: Iterable[int], seeds: int
) -> str:
    """Say which observation tells the goal; "" if none was found.

    Args:
        family: The tasks.
        recorded: Episodes of some of them.
        every: Tasks whose first observations are looked at.
        seeds: First observations of each.
    """
    told = "The prompt alone may tell the task: leave it out of what is observed."
    columns = {i: np.concatenate([e.observations for e in items]) for i, items in recorded.items()}
    still = np.all([np.ptp(rows, 0) == 0 for rows in columns.values()], 0)
    means = np.stack([rows[0] for rows in columns.values()])
    for i in np.flatnonzero(still & (np.ptp(means, 0) > 0)):
        return (
            f"Observation {i} ({family.observations[i].name}) is the same throughout a task and "
            f"differs between tasks: it tells the goal. {told}"
        )
    if len(tuple(every)) * seeds < 3 * (len(family.observations) + 1):
        return ""  # too few to tell
    starts, goals = [], []
    for index in every:
        with contextlib.closing(family.build(family.goals[index])) as env:
            starts += [np.asarray(env.reset(seed=s)[0], float) for s in range(100, 100 + seeds)]
            goals += [family.goals[index]] * seeds
    share = _predicted(np.array(starts), np.array(goals, float))
    if share > _TOLD:
        return (
            f"The first observation of an episode predicts {share:.0%} of the goal, before "
            f"anything was done. {told}"
        )
    return ""


def _predicted(x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of the variance of goals that a linear fit predicts, of rows held back."""
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    y = (y - y.mean(0)) / np.maximum(y.std(0), 1e-9)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    held = np.arange(len(x)) % 2 == 0
    fitted = x[~held]
    weights = np.linalg.solve(fitted.T @ fitted + 1e-3 * np.eye(x.shape[1]), fitted.T @ y[~held])
    errors = np.square(y[held] - x[held] @ weights).mean(0) / y[held].var(0).clip(1e-9)
    return float(1 - errors.min())


def told_by_rewards(family: Family, recorded: Episodes) -> str:
    """Say which part of the reward tells the goal, or that it tells nothing; "" if it is sound."""
    rewards = {i: np.concatenate([e.rewards for e in items]) for i, items in recorded.items()}
    if all(np.ptp(r) == 0 for r in rewards.values()):
        return "The reward is the same whatever is done: there is nothing to learn from."
    if family.formula:
        return _offsets(family, recorded)
    first, *others = recorded.values()
    for items in others:
        pairs = list(zip(first, items, strict=True))
        if any(len(a.rewards) != len(b.rewards) for a, b in pairs):
            return _shifted(recorded)
        gaps = np.concatenate([b.rewards - a.rewards for a, b in pairs])
        size = max(1.0, float(np.abs(np.concatenate([a.rewards for a, _ in pairs])).max()))
        if np.abs(gaps.mean()) < 1e-6 * size:
            return ""
        if np.ptp(gaps) > 1e-6 * size:
            return _shifted(recorded)
    return (
        f"The rewards of tasks differ by the same in every step ({gaps[0]:.4g} between task "
        f"{next(iter(recorded))} and task {list(recorded)[-1]}), whatever is done: the reward "
        "itself tells the goal. Take that term out."
    )


def _shifted(recorded: Episodes) -> str:
    """Look for such a term where the tasks move differently too.

    The same actions then lead elsewhere, so that rewards are compared at the same steps by what
    a quadratic fit says of them: a sum that only the goal decides is much the same everywhere.
    """
    steps = {i: _quadratic(items) for i, items in recorded.items()}
    rewards = {i: np.concatenate([e.rewards for e in items]) for i, items in recorded.items()}
    x = np.concatenate(list(steps.values()))
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    mean[0], scale[0] = 0, 1  # the constant
    said = {}
    for i, rows in steps.items():
        z = (rows - mean) / scale
        weights = np.linalg.solve(z.T @ z + 1e-3 * np.eye(z.shape[1]), z.T @ rewards[i])
        said[i] = (x - mean) / scale @ weights
    first, *others = said
    spread = np.concatenate(list(rewards.values())).std()
    apart = {i: np.percentile(said[i] - said[first], (25, 50, 75)) for i in others}
    if all(abs(mid) > max(_SHIFTED * (up - low), 0.01 * spread) for low, mid, up in apart.values()):
        words = ", ".join(f"{mid:.3g} in task {i}" for i, (_, mid, _) in apart.items())
        return (
            "At like steps the rewards of tasks differ by much the same from those of task "
            f"{first} ({words}): the reward itself tells the goal. Take that term out."
        )
    return ""


def _quadratic(items: list[Episode]) -> np.ndarray:
    """Return of each step 1, what it began with, did and led to, and their squares: (T, F)."""
    rows = []
    for e in items:
        before = np.concatenate([e.first[None], e.observations[:-1]])
        rows.append(np.hstack([before, e.actions, e.observations]).astype(np.float64))
    x = np.concatenate(rows)
    return np.hstack([np.ones((len(x), 1)), x, np.square(x)])


def _offsets(family: Family, recorded: Episodes) -> str:
    """Look for a term that differs between tasks by the same whatever is measured and done."""
    seen = np.concatenate([e.measured for items in recorded.values() for e in items])
    rng = np.random.default_rng(0)
    # far beyond what random actions reach: there every goal is passed
    wide = seen.mean(0) + 10 * (seen.std(0) + 1) * rng.standard_normal((512, seen.shape[1]))
    actions = rng.uniform(-1, 1, (512, len(family.actions)))
    terms = {i: dict(family.reward_terms(wide, actions, family.goals[i])) for i in recorded}
    base, *others = terms
    for name in terms[base]:
        gaps = [np.asarray(terms[i][name], float) - terms[base][name] for i in others]
        gaps = [np.broadcast_to(gap, 512) for gap in gaps]
        if gaps and all(np.ptp(g) < 1e-9 < np.abs(g).max() for g in gaps):
            return (
                f"The term {name!r} of the reward differs between tasks by the same amount "
                "whatever is done: it tells the goal. Take it out."
            )
    return ""
