"""What sets of demonstrations cover: where their transitions lie, on one plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data.trajectory import Trajectory

LIMIT = 400
"""Transitions of each set on the map, evenly over its episodes: more would only overplot."""
_CONSTANT = 1e-6  # a variable with a smaller standard deviation never changes, but for rounding


@dataclass(frozen=True, eq=False)
class Coverage:
    """Sets of transitions, (observation, action), on one plane.

    Attributes:
        points: Name of a set → where its transitions lie, (n, 2).
        shares: Share of the variance of all sets together along each axis of the plane, (2,).
    """

    points: Mapping[str, np.ndarray]
    shares: np.ndarray

    @classmethod
    def of(cls, sets: Mapping[str, Sequence[Trajectory]], limit: int = LIMIT) -> Coverage:
        """Project transitions on their two principal axes (PCA of the correlation matrix).

        Every set counts the same, whatever its size; every variable is divided by its standard
        deviation over all sets, and one that never changes is left out.

        Args:
            sets: Name of a set → its trajectories.
            limit: Transitions of each.

        Raises:
            ValueError: if there is no set.
        """
        rows = {name: _thinned(transitions(demos), limit) for name, demos in sets.items()}
        if not rows:
            raise ValueError("`sets` must hold at least one set of demonstrations.")
        mean = np.mean([r.mean(0) for r in rows.values()], axis=0)
        square = np.mean([np.square(r - mean).mean(0) for r in rows.values()], axis=0)
        moving = square > _CONSTANT**2
        scaled = {n: ((r - mean) / np.sqrt(square + ~moving))[:, moving] for n, r in rows.items()}
        spread = np.mean([r.T @ r / len(r) for r in scaled.values()], axis=0)
        values, vectors = np.linalg.eigh(spread)
        axes, shares = vectors[:, ::-1][:, :2], values[::-1][:2] / values.sum()
        # An eigenvector's sign is arbitrary: the largest entry is made positive, so that the map
        # does not flip from one machine to the next.
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
        return cls({name: r @ axes for name, r in scaled.items()}, shares)


def transitions(demos: Sequence[Trajectory]) -> np.ndarray:
    """Return all rows of trajectories, observation and action side by side, (n, O+A) raw."""
    return np.concatenate(
        [np.concatenate([t.observations, t.actions], axis=1) for t in demos]
    ).astype(float)


def _thinned(rows: np.ndarray, limit: int) -> np.ndarray:
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]
