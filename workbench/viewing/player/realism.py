"""How far a prompt is from what was recorded: beside the demonstrations, and in the simulator.

All values are in the frozen model's normalised units, ``[s; a; r]`` in D columns: 1 is one standard
deviation over its training tasks. A distance is a root mean square over the variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from workbench.data.rollout import step_from
from workbench.data.trajectory import Normalizer, Trajectory
from workbench.tasks import Family, find

PERCENTILES = (5, 50, 95)
_PAIRS = 40  # real transitions that say how exact the simulator is, at most


@dataclass(frozen=True, eq=False)
class DemoStatistics:
    """Statistics of the demonstrations of one task, to compare prompts of K* rows with.

    Attributes:
        family: Of the task.
        mean: (D,) raw.
        scale: (D,) raw units per normalised unit.
        parts: Every recorded transition, one array a demonstration, (R_i, D) normalised.
        band: The windows' ``PERCENTILES``, (3, K*, D) normalised.
        spacing: ``PERCENTILES`` of the distance from a recorded transition to the nearest of
            another demonstration, (3,); nan where there is only one demonstration.
        recorded_error: Median one-step error of recorded transitions, see ``one_step_errors``; nan
            where the observations do not determine the state.
    """

    family: Family
    mean: np.ndarray
    scale: np.ndarray
    parts: tuple[np.ndarray, ...]
    band: np.ndarray
    spacing: np.ndarray
    recorded_error: float

    @classmethod
    def of(cls, demos: Sequence[Trajectory], normalizer: Normalizer, length: int) -> DemoStatistics:
        """Measure demonstrations of one task.

        Args:
            demos: Raw, as recorded.
            normalizer: The frozen model's.
            length: K*.

        Raises:
            ValueError: if no demonstration has ``length`` rows.
        """
        if not any(len(t) >= length for t in demos):
            longest = max((len(t) for t in demos), default=0)
            raise ValueError(
                f"`demos` must hold a trajectory of at least {length} rows, the prompt's length: "
                f"the longest has {longest}. Pass longer ones."
            )
        family = find(demos[0].task.family)
        mean, scale = (x.numpy().astype(np.float64) for x in (normalizer.mean, normalizer.scale))
        parts = [(_transitions(t) - mean) / scale for t in demos]
        windows, spacing = _windows(parts, length), np.full(3, np.nan)
        if len(parts) > 1:
            others = (np.concatenate(parts[:i] + parts[i + 1 :]) for i in range(len(parts)))
            gaps = [nearest(part, other) for part, other in zip(parts, others, strict=True)]
            spacing = np.percentile(np.concatenate(gaps), PERCENTILES)
        pairs = windows[:: -(-len(windows) // _PAIRS), :2]
        errors = one_step_errors(family, mean, scale, pairs)
        return cls(
            family=family,
            mean=mean,
            scale=scale,
            parts=tuple(parts),
            band=np.percentile(windows, PERCENTILES, axis=0),
            spacing=spacing,
            recorded_error=float("nan") if errors is None else float(np.median(errors)),
        )

    @property
    def rows(self) -> np.ndarray:
        """Every recorded transition, (R, D) normalised."""
        return np.concatenate(self.parts)

    @property
    def windows(self) -> np.ndarray:
        """Every K* consecutive ones, (M, K*, D) normalised: K* times as large, made anew."""
        return _windows(self.parts, self.band.shape[1])

    def distances(self, prompts: np.ndarray) -> np.ndarray:
        """Return how far the rows of prompts (B, K*, D) are from recorded ones on average, (B,).

        For each row the nearest recorded transition counts.
        """
        flat = nearest(prompts.reshape(-1, prompts.shape[-1]), self.rows)
        return flat.reshape(prompts.shape[:2]).mean(1)

    def one_step_errors(self, prompts: np.ndarray) -> np.ndarray | None:
        """Return the one-step error of each of the prompts (B, K*, D), (B,), or None."""
        return one_step_errors(self.family, self.mean, self.scale, prompts)


@dataclass(frozen=True, eq=False)
class PrincipalPlane:
    """The two directions in which windows of demonstrations differ most (principal components).

    Attributes:
        centre: Their mean, (K*·D,).
        axes: Orthonormal, (2, K*·D).
        share: Of their variance that each axis holds, (2,).
    """

    centre: np.ndarray
    axes: np.ndarray
    share: np.ndarray

    @classmethod
    def of(cls, windows: np.ndarray) -> PrincipalPlane | None:
        """Fit windows (M, K*, D); None where they do not span a plane."""
        flat = windows.reshape(len(windows), -1)
        centre = flat.mean(0)
        _, spread, axes = np.linalg.svd(flat - centre, full_matrices=False)
        variance = np.square(spread)
        if len(variance) < 2 or variance[1] <= 1e-12 * max(variance[0], 1e-12):
            return None
        # An axis's sign is arbitrary: the largest entry is made positive, so that the map does not
        # flip from one machine to the next.
        largest = np.abs(axes[:2]).argmax(1)
        signs = np.sign(axes[[0, 1], largest])
        return cls(centre, axes[:2] * signs[:, None], variance[:2] / variance.sum())

    def project(self, prompts: np.ndarray) -> np.ndarray:
        """Return where prompts (..., K*, D) lie in the plane, (..., 2)."""
        flat = prompts.reshape(*prompts.shape[:-2], -1)
        return (flat - self.centre) @ self.axes.T


def nearest(rows: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return the distance from each of the rows (N, D) to the nearest of ``real`` (R, D), (N,)."""
    squares = np.square(rows).sum(1)[:, None] - 2 * rows @ real.T + np.square(real).sum(1)
    # ‖a - b‖² = ‖a‖² - 2 ab + ‖b‖² finds the nearest row by one matrix product, but loses the
    # digits of small distances: that of the nearest row is computed again, by the difference
    # itself.
    closest = squares.argmin(1)
    return np.sqrt(np.square(rows - real[closest]).mean(1))


def one_step_errors(
    family: Family, mean: np.ndarray, scale: np.ndarray, prompts: np.ndarray
) -> np.ndarray | None:
    """Return how far the rows of prompts are from what the simulator makes of the rows before.

    For each two consecutive rows the simulator is put where o_t says, acts a_t once, and its
    observation is compared with o_{t+1}: root mean square over the O variables.

    Args:
        family: Says how observations determine the simulator's state.
        mean: (D,) raw.
        scale: (D,) raw units per normalised unit.
        prompts: (B, K*, D) normalised.

    Returns:
        The mean over the K* - 1 pairs, (B,), without those that end in no finite numbers; None
        where the observations do not determine the state, or a prompt has one row.
    """
    if family.state_of is None or prompts.ndim != 3 or prompts.shape[1] < 2:
        return None
    o, a = len(family.observations), len(family.actions)
    raw = mean + scale * np.asarray(prompts, np.float64)
    states = family.state_of(raw[:, :-1, :o])
    actions = raw[:, :-1, o : o + a].clip(-1, 1).reshape(-1, a)
    steps = step_from(family.task(0), states.reshape(-1, states.shape[-1]), actions)
    after = np.array([step.observation for step in steps])
    wanted = raw[:, 1:, :o].reshape(-1, o)
    errors = np.sqrt(np.square((after.reshape(-1, o) - wanted) / scale[:o]).mean(1))
    errors = np.where(np.isfinite(errors), errors, np.nan).reshape(len(prompts), -1)
    known = np.isfinite(errors)
    totals = np.where(known, errors, 0).sum(1)
    return np.where(known.any(1), totals / np.maximum(known.sum(1), 1), np.nan)


def reward_terms(trajectory: Trajectory) -> dict[str, np.ndarray]:
    """Return the terms of the reward of every step by name, (T,) each; they sum to the reward.

    What a reward is a function of is not recorded: every step is simulated again from its state.
    A family with one term needs none of that: the term is the reward.

    Raises:
        ValueError: if the trajectory has no states.
    """
    family = find(trajectory.task.family)
    one = np.zeros((1, len(family.measured))), np.zeros((1, len(family.actions)))
    names = list(family.reward_terms(*one, trajectory.task.goal))
    if len(names) == 1:
        return {names[0]: np.asarray(trajectory.rewards, np.float64)}
    if trajectory.states is None:
        raise ValueError(
            "The terms of the reward need the simulator's states: this trajectory has none. "
            "Record it with `rollout`, which keeps them."
        )
    actions = np.asarray(trajectory.actions, np.float64)
    steps = step_from(trajectory.task, np.asarray(trajectory.states, np.float64), actions)
    measured = np.array([step.measured for step in steps])
    terms = family.reward_terms(measured, actions, trajectory.task.goal)
    return {name: np.broadcast_to(values, len(actions)) for name, values in terms.items()}


def _transitions(trajectory: Trajectory) -> np.ndarray:
    columns = trajectory.observations, trajectory.actions, trajectory.rewards[:, None]
    return np.concatenate(columns, 1).astype(np.float64)


def _windows(parts: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Return every ``length`` consecutive rows of each part, (M, length, D)."""
    windows = [sliding_window_view(p, length, 0) for p in parts if len(p) >= length]
    return np.concatenate(windows).swapaxes(1, 2)
