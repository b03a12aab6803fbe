"""The published rewards, as pure functions of recorded quantities.

Nothing here touches a simulator, so a stored trajectory can be checked against the
reward that produced it. Each function returns its terms by name; their sum is the reward.
"""

from __future__ import annotations

import numpy as np

CONTROL_COST = 0.05


def cheetah_velocity(velocity: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward running at a target speed: ``-|v - v*| - 0.05 Σ a²`` (arXiv 2206.13499, code).

    Args:
        velocity: World velocity of the torso over one environment step, (..., 3) m/s.
        actions: Motor commands of the step, (..., A) in [-1, 1].
        goal: ``(v*,)``, the target forward velocity in m/s.

    Returns:
        Terms ``speed`` and ``control``, each (...).
    """
    return {
        "speed": -np.abs(velocity[..., 0] - goal[0]),
        "control": -CONTROL_COST * np.square(actions).sum(-1),
    }


def cheetah_direction(velocity: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward running in a direction: ``dir · v - 0.05 Σ a²`` (arXiv 2206.13499, code).

    Args:
        velocity: World velocity of the torso over one environment step, (..., 3) m/s.
        actions: Motor commands of the step, (..., A) in [-1, 1].
        goal: ``(dir,)``, 1 to run forward and -1 to run backward.

    Returns:
        Terms ``speed`` and ``control``, each (...).
    """
    return {
        "speed": goal[0] * velocity[..., 0],
        "control": -CONTROL_COST * np.square(actions).sum(-1),
    }
