"""The published rewards, as pure functions of recorded quantities.

Nothing here touches a simulator, so a stored trajectory can be checked against the
reward that produced it. Each function returns its terms by name; their sum is the reward.

Cheetah and Ant are those of the code released with Prompt-DT (arXiv 2206.13499,
https://github.com/mxu34/prompt-dt, folder ``envs/mujoco-control-envs``), which took them from PEARL
(arXiv 1903.08254) and MAML (arXiv 1703.03400). Reach is Meta-World's (arXiv 1910.10897).
"""

from __future__ import annotations

import math

import numpy as np

CONTROL_COST = 0.05
"""Of the cheetah, per squared action; gymnasium's own HalfCheetah weighs it by 0.1."""
REACH_RADIUS = 0.05
"""Metres: Meta-World calls a goal reached within this distance (``_TARGET_RADIUS``)."""


def cheetah_velocity(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward running at a target speed: ``-|v - v*| - 0.05 Σ a²`` (``half_cheetah_vel.py``).

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
    """Reward running in a direction: ``dir · v - 0.05 Σ a²`` (``half_cheetah_dir.py``).

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
    """Reward walking along a heading (``ant_dir.py``).

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
"""Where Meta-World's hand begins (``hand_init_pos``), in metres."""


def reach(measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
    """Reward being near a point (Meta-World ``reach-v3`` with ``reward_function_version="v2"``).

    10 within the radius ρ = ``REACH_RADIUS``, else ``10 / (1 + (3 (d - ρ) / m)²)`` at distance d,
    where m is the distance of the goal from the hand's start: Meta-World's ``tolerance`` with a
    "long tail", which falls to 0.1 at ρ + m, whence the 3 = √(1 / 0.1 - 1).

    Args:
        measured: Position of the fingertips after the step, (..., 3) metres.
        actions: Not used, (..., A).
        goal: The point, in metres.

    Returns:
        The only term, ``near`` (...).
    """
    distance = np.linalg.norm(measured - np.asarray(goal), axis=-1)
    outside = np.maximum(distance - REACH_RADIUS, 0) / np.linalg.norm(HAND_START - np.asarray(goal))
    return {"near": 10 * (1 / ((outside * np.sqrt(1 / 0.1 - 1)) ** 2 + 1))}


def reach_at(tip: np.ndarray, goal: tuple[float, ...], span: float) -> float:
    """Return ``reach`` of one step in plain floats: the same to the last bit, at less cost.

    The simulator calls it in every step, where NumPy's overhead on three numbers would show.

    Args:
        tip: Position of the fingertips after the step, (3,) metres.
        goal: The point, in metres.
        span: Distance of the goal from ``HAND_START``, in metres.
    """
    x, y, z = tip.tolist()
    x, y, z = x - goal[0], y - goal[1], z - goal[2]
    outside = max(math.sqrt(x * x + y * y + z * z) - REACH_RADIUS, 0) / span
    return 10 * (1 / ((outside * 3.0) ** 2 + 1))
