"""Cheetah-vel and Cheetah-dir, as published with Prompt-DT, on gymnasium's HalfCheetah.

The observation is that of the released code, 20 numbers: ``qpos[1:]`` (8), ``qvel`` (9) and the
world position of the torso (3). Gymnasium leaves out ``qpos[0]``, the world x, so that a gait does
not depend on how far the robot has come; PEARL's environments, on which Prompt-DT builds, append
the torso's position, which brings x back. That position is read right after the integration step,
so it is one simulator sub-step (0.01 s) older than ``qpos``. Body inertias are those of the
simulator of the time (``inertia.py``): the published demonstrations replay exactly.

Released code: https://github.com/mxu34/prompt-dt,
``envs/mujoco-control-envs/mujoco_control_envs/tp_envs/half_cheetah*.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Self

import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.spaces import Box

from workbench.tasks import rewards
from workbench.tasks.family import Family, Variable
from workbench.tasks.gymnasium_robot import GymnasiumRobot

_JOINTS = ("back thigh", "back shin", "back foot", "front thigh", "front shin", "front foot")


class Cheetah(GymnasiumRobot, HalfCheetahEnv):
    """HalfCheetah with the published 20-d observation and a goal-dependent reward."""

    def __init__(self, goal: tuple[float, ...], reward_terms):
        self.goal = goal
        self.reward_terms = reward_terms
        super().__init__()
        self.observation_space = Box(-np.inf, np.inf, (20,), np.float64)

    @classmethod
    def _measure(cls, envs: Sequence[Self], velocities: np.ndarray) -> np.ndarray:
        # A planar robot: only the forward velocity of its root joint counts.
        measured = np.zeros((len(envs), 3))
        measured[:, 0] = velocities[:, 0]
        return measured

    @classmethod
    def _observe(
        cls, envs: Sequence[Self], qpos: np.ndarray, qvel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        torsos = np.array([env.data.xpos[1] for env in envs])  # body 0 is the world
        never_ends = np.zeros(len(envs), bool)
        return np.concatenate([qpos[:, 1:], qvel, torsos], 1), never_ends


def _state_of(observations: np.ndarray) -> np.ndarray:
    """Put the torso's x (column 17) back in front of ``qpos[1:]`` and ``qvel``, (..., 18)."""
    return np.concatenate([observations[..., 17:18], observations[..., :17]], axis=-1)


def _position_of(states: np.ndarray) -> np.ndarray:
    """Return (x, 0, z offset) of the torso: ``qpos`` begins with x, z, pitch."""
    return np.stack([states[..., 0], np.zeros_like(states[..., 0]), states[..., 1]], axis=-1)


_OBSERVATIONS = (
    Variable("torso height offset", "m"),
    Variable("torso pitch", "rad"),
    *(Variable(f"{joint} angle", "rad") for joint in _JOINTS),
    Variable("forward velocity", "m/s"),
    Variable("vertical velocity", "m/s"),
    Variable("pitch rate", "rad/s"),
    *(Variable(f"{joint} rate", "rad/s") for joint in _JOINTS),
    Variable("torso x", "m"),
    Variable("torso y", "m"),
    Variable("torso z", "m"),
)
_ACTIONS = tuple(Variable(f"{joint} torque", "of maximum") for joint in _JOINTS)


def _cheetah(name: str, label: str, reward_terms, **fields) -> Family:
    return Family(
        name=name,
        label=label,
        horizon=200,
        dt=0.05,
        observations=_OBSERVATIONS,
        actions=_ACTIONS,
        build=functools.partial(Cheetah, reward_terms=reward_terms),
        reward_terms=reward_terms,
        state_of=_state_of,
        position_of=_position_of,
        **fields,
    )


_VEL_TEST = (2, 7, 15, 23, 26)
CHEETAH_VEL = _cheetah(
    "cheetah-vel",
    "Cheetah-vel",
    rewards.cheetah_velocity,
    goals=tuple((round(0.075 * (i + 1), 3),) for i in range(40)),  # np.linspace(0.075, 3, 40)
    goal_label="target forward velocity",
    hint="A frozen transformer steers a cheetah that should run at one speed. It was never "
    "trained on this speed.",
    goal_unit="m/s",
    train_indices=tuple(i for i in range(40) if i not in _VEL_TEST),
    test_indices=_VEL_TEST,
    target_return=0.0,  # the best there is: the reward is a penalty
    return_scale=500.0,
)

CHEETAH_DIR = _cheetah(
    "cheetah-dir",
    "Cheetah-dir",
    rewards.cheetah_direction,
    goals=((1.0,), (-1.0,)),
    goal_label="direction to run",
    hint="A frozen transformer steers a cheetah that should run one way. It learned both ways; "
    "only the prompt says which is wanted.",
    goal_unit="sign",
    train_indices=(0, 1),
    test_indices=(0, 1),
    target_return=1500.0,
    return_scale=1000.0,
)
