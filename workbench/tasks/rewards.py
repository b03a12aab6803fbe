"""The published rewards, as pure functions of recorded quantities.

Nothing here touches a simulator, so a stored trajectory can be checked against the
reward that produced it. Each function returns its terms by name; their sum is the reward.
"""

from __future__ import annotations

import math

import numpy as np

CONTROL_COST = 0.05


def cheetah_velocity(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward running at a target speed: ``-|v - v*| - 0.05 Σ a²`` (arXiv 2206.13499, code).

    Args:
        measured: World velocity of the torso over one environment step, (..., 3) m/s.
        actions: Motor commands of the step, (..., A) in [-1, 1].
        goal: ``(v*,)``, the target forward velocity in m/s.

    Returns:
        Terms ``speed`` and ``control``, each (...).
    """
    return {
        "speed": -np.abs(measured[..., 0] - goal[0]),
        "control": -CONTROL_COST * np.square(actions).sum(-1),
    }


def cheetah_direction(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward running in a direction: ``dir · v - 0.05 Σ a²`` (arXiv 2206.13499, code).

    Args:
        measured: World velocity of the torso over one environment step, (..., 3) m/s.
        actions: Motor commands of the step, (..., A) in [-1, 1].
        goal: ``(dir,)``, 1 to run forward and -1 to run backward.

    Returns:
        Terms ``speed`` and ``control``, each (...).
    """
    return {
        "speed": goal[0] * measured[..., 0],
        "control": -CONTROL_COST * np.square(actions).sum(-1),
    }


def ant_direction(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward walking along a heading (arXiv 2206.13499, code).

    ``v · (cos θ, sin θ) - 0.5 Σ a² - 0.0005 Σ clip(contact force, -1, 1)² + 1``

    Args:
        measured: World velocity of the torso over one environment step (3, m/s) and the sum of
            squares of the clipped contact forces and torques on all bodies (1), (..., 4).
        actions: Motor commands of the step, (..., A) in [-1, 1].
        goal: ``(θ,)``, the heading in radians.

    Returns:
        Terms ``speed``, ``control``, ``contact`` and ``survive``, each (...).
    """
    along = measured[..., 0] * np.cos(goal[0]) + measured[..., 1] * np.sin(goal[0])
    return {
        "speed": along,
        "control": -0.5 * np.square(actions).sum(-1),
        "contact": -0.0005 * measured[..., 3],
        "survive": np.ones_like(along),
    }


HAND_START = np.array([0.0, 0.6, 0.2])
"""Where Meta-World's hand begins, in metres."""


def reach(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward being near a point (Meta-World ``reach-v3``, its version 2).

    10 within 5 cm, else ``10 / (1 + (3 (d - 0.05) / m)²)`` at distance d, where m is the
    distance of the goal from the hand's start.

    Args:
        measured: Position of the fingertips after the step, (..., 3) metres.
        actions: Not used, (..., A).
        goal: The point, in metres.

    Returns:
        The only term, ``near`` (...).
    """
    distance = np.linalg.norm(measured - np.asarray(goal), axis=-1)
    outside = np.maximum(distance - 0.05, 0) / np.linalg.norm(HAND_START - np.asarray(goal))
    return {"near": 10 * (1 / ((outside * np.sqrt(1 / 0.1 - 1)) ** 2 + 1))}


def reach_at(tip: np.ndarray, goal: tuple[float, ...], span: float) -> float:
    """Return ``reach`` of one step in plain floats: every bit is the same, at less cost.

    Args:
        tip: Position of the fingertips after the step, (3,) metres.
        goal: The point, in metres.
        span: Distance of the goal from ``HAND_START``, in metres.
    """
    x, y, z = tip.tolist()
    x, y, z = x - goal[0], y - goal[1], z - goal[2]
    outside = max(math.sqrt(x * x + y * y + z * z) - 0.05, 0) / span
    return 10 * (1 / ((outside * 3.0) ** 2 + 1))
