"""Ant-dir, as published with Prompt-DT, on gymnasium's Ant: walk along a heading.

The observation is 27 numbers: ``qpos[2:]`` (13) and ``qvel`` (14). World x and y, ``qpos[:2]``, are
left out: a gait should not depend on where the ant is. The episode ends when a state is not finite
or the torso leaves 0.2 m to 1.0 m, the "healthy" range of gymnasium's ``Ant-v5``. Body inertias are
those of the simulator of the time (``inertia.py``). Contact forces are computed as gymnasium does
today; in the released code of the time MuJoCo left them at zero, so that its contact cost was
nothing (here it takes well under 0.05 a step).

Released code: https://github.com/mxu34/prompt-dt,
``envs/mujoco-control-envs/mujoco_control_envs/tp_envs/ant_dir.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.spaces import Box

from workbench.tasks import rewards
from workbench.tasks.family import VELOCITY, Family, Variable
from workbench.tasks.gymnasium_robot import GymnasiumRobot

_LOWEST, _HIGHEST = 0.2, 1.0  # metres, of the torso
# Headings in radians, from the released code's task files.
# fmt: off
_HEADINGS = (
    1.2033605945679715, 0.42663053293975295, 4.944775479235424, 4.123865140631488,
    4.005661927041337, 3.6166196447991155, 0.2454395410534735, 2.2482091824000023,
    5.941902704664186, 0.3772718531319245, 5.428936649786095, 5.512178944021152,
    0.32165928764709933, 4.099267058824251, 3.4667560926228758, 3.754286493596681,
    3.0380999478653634, 1.7780670544024204, 1.87066585880318, 3.5280645037970855,
    2.488439431116824, 4.9555527108165744, 2.629414941289294, 0.9041750006610754,
    0.9481747251390378, 0.3470916400248258, 4.511560745487209, 1.8366841068540096,
    1.2489330732603883, 5.223613581580657, 3.5687934580622827, 0.5173559024487111,
    3.42432703215533, 0.9987672483128179, 4.252223478300645, 0.7443831939965014,
    2.795992744398332, 5.579358183330077, 5.009380886994954, 0.42712294662677097,
    6.036807514750099, 4.141909635790574, 4.516203325267859, 4.672030605450681,
    5.577812002817041, 0.8416054504725834, 4.881875268913003, 5.26525595696687,
    5.210675507763471, 0.1831988121347493,
)
# fmt: on


class Ant(GymnasiumRobot, AntEnv):
    """Ant with the published 27-d observation and a reward along a heading."""

    def __init__(self, goal: tuple[float, ...]):
        self.goal = goal
        self.reward_terms = rewards.ant_direction
        super().__init__(include_cfrc_ext_in_observation=False)
        self.observation_space = Box(-np.inf, np.inf, (27,), np.float64)

    @classmethod
    def _measure(cls, envs: Sequence[Self], velocities: np.ndarray) -> np.ndarray:
        forces = np.array([env.data.cfrc_ext for env in envs]).reshape(len(envs), -1)
        lowest, highest = envs[0]._contact_force_range
        forces = np.square(forces.clip(lowest, highest)).sum(-1, keepdims=True)
        return np.concatenate([velocities[:, :3], forces], 1)

    @classmethod
    def _observe(
        cls, envs: Sequence[Self], qpos: np.ndarray, qvel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        finite = np.isfinite(qpos).all(-1) & np.isfinite(qvel).all(-1)
        healthy = finite & (qpos[:, 2] >= _LOWEST) & (qpos[:, 2] <= _HIGHEST)
        return np.concatenate([qpos[:, 2:], qvel], 1), ~healthy


def _state_of(observations: np.ndarray) -> np.ndarray:
    """Return states at x = y = 0: an observation does not say where the ant is."""
    nowhere = np.zeros((*observations.shape[:-1], 2), observations.dtype)
    return np.concatenate([nowhere, observations], axis=-1)


def _position_of(states: np.ndarray) -> np.ndarray:
    """Return x, y, z of the torso: a state begins with the root joint's position."""
    return states[..., :3]


def heading(goal: tuple[float, ...]) -> tuple[float, float]:
    """Return the unit vector of a heading in radians."""
    return float(np.cos(goal[0])), float(np.sin(goal[0]))


_LEGS = ("front left", "front right", "back left", "back right")
_JOINTS = tuple(f"{leg} {joint}" for leg in _LEGS for joint in ("hip", "ankle"))
_OBSERVATIONS = (
    Variable("torso height", "m"),
    *(Variable(f"torso orientation {axis}", "quaternion") for axis in "wxyz"),
    *(Variable(f"{joint} angle", "rad") for joint in _JOINTS),
    *(Variable(f"{axis} velocity", "m/s") for axis in "xyz"),
    *(Variable(f"{axis} rotation rate", "rad/s") for axis in "xyz"),
    *(Variable(f"{joint} rate", "rad/s") for joint in _JOINTS),
)
# Ant's MJCF lists the motors of the fourth leg first: https://gymnasium.farama.org/environments/mujoco/ant/
_ACTIONS = tuple(
    Variable(f"{joint} torque", "of maximum") for joint in (*_JOINTS[6:], *_JOINTS[:6])
)
_TEST = (6, 17, 23, 30, 41)

ANT_DIR = Family(
    name="ant-dir",
    label="Ant-dir",
    goals=tuple((angle,) for angle in _HEADINGS),
    goal_label="heading to walk along",
    hint="A frozen transformer steers an ant that should walk along one heading. It was never "
    "trained on this heading.",
    goal_unit="rad",
    train_indices=tuple(i for i in range(50) if i not in _TEST),
    test_indices=_TEST,
    horizon=200,
    dt=0.05,
    target_return=1000.0,  # published: 500, for experts that earn half of what ours do
    return_scale=500.0,
    observations=_OBSERVATIONS,
    actions=_ACTIONS,
    build=Ant,
    reward_terms=rewards.ant_direction,
    position_of=_position_of,
    state_of=_state_of,
    measured=(*VELOCITY, Variable("contact forces", "squared, clipped at 1")),
    goal_features=heading,  # an angle jumps from 2π to 0, its cosine and sine do not
    # Under the published control cost PPO learns to stand: it learns to walk first, then to save
    # torque.
    training_weights={"control": (0.1, 1.0), "survive": (0.2, 0.2)},
)
