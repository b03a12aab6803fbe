"""Meta-World's Sawyer arm reaching a goal that it cannot see: the simulator of the family reach.

The package's own ``reach-v3`` with its Python cost cut: the same states and observations to the
last bit, and the same rewards but for how a processor's BLAS rounds a sum of three squares (a test
steps both), about four times as fast. Imported when the first environment is made, because
importing the package takes a second.
"""

from __future__ import annotations

import functools
import math

import mujoco
import numpy as np
from gymnasium.utils import seeding
from metaworld.asset_path_utils import full_V3_path_for
from metaworld.envs.sawyer_reach_v3 import SawyerReachEnvV3

from workbench.tasks import rewards
from workbench.tasks.family import Environment

PUCK_LOW, PUCK_HIGH = (-0.1, 0.6, 0.02), (0.1, 0.65, 0.02)
"""Where the puck may lie, in metres; at least 0.15 from every goal, as the package asks."""
_SUB_STEPS = 5  # Meta-World's frame_skip
_EVERYTHING = mujoco.mjtState.mjSTATE_INTEGRATION


class Reach(SawyerReachEnvV3, Environment):  # type: ignore[misc]  # the package's bases disagree
    """Move the hand to a hidden point; the puck lies about and does not matter.

    Meta-World fixes the puck together with the goal, so that its position, which is observed, would
    give the task away. Here it is drawn anew for every episode: all that differs between episodes.
    """

    goal: tuple[float, ...]  # type: ignore[assignment]  # an array in the package

    def __init__(self, goal: tuple[float, ...]):
        super().__init__()
        self.goal = goal
        self._set_task_called = True  # Meta-World refuses to step before ``set_task``
        self.observation_space = self.sawyer_observation_space
        self._hand, self._puck = self.model.body("hand").id, self.model.body("obj").id
        self._claws = self.model.body("rightclaw").id, self.model.body("leftclaw").id
        self._tips = self.model.site("rightEndEffector").id, self.model.site("leftEndEffector").id
        self._puck_geom = self.model.geom("objGeom").id
        self._low, self._high = self.observation_space.low, self.observation_space.high
        # Views into the simulator's memory: looking them up in every step would cost a tenth of it.
        self._at, self._site_at = self.data.xpos, self.data.site_xpos
        self._span = float(np.linalg.norm(rewards.HAND_START - np.asarray(goal)))

    def _initialize_simulation(self):
        model = _compiled()
        return model, mujoco.MjData(model)

    def reset(self, *, seed: int | None = None, options=None):  # type: ignore[override]
        """Put the arm where the package puts it, and the puck at random."""
        if seed is not None:
            self.np_random, _ = seeding.np_random(seed)
        mujoco.mj_resetData(self.model, self.data)
        mujoco.mj_setState(self.model, self.data, _settled(), _EVERYTHING)
        self.data.qpos[9:12] = self.np_random.uniform(PUCK_LOW, PUCK_HIGH)
        self.data.qvel[9:15] = 0
        mujoco.mj_forward(self.model, self.data)
        now = self._observe()
        self._prev_obs = now
        return np.concatenate([now, now, np.zeros(3)]), {}

    def step(self, action: np.ndarray):
        """Advance by 0.0125 s; there is no early end."""
        action = np.asarray(action, np.float32)
        data = self.data
        # Meta-World's ``set_xyz_action``, in its order and precision, so that every bit agrees. An
        # action moves the mocap body that drags the hand by at most 1 cm along each axis.
        push = np.minimum(np.maximum(action[:3], -1), 1) * self.action_scale
        moved = data.mocap_pos[0] + push
        data.mocap_pos[0] = np.minimum(np.maximum(moved, self.mocap_low), self.mocap_high)
        data.mocap_quat[0] = (1, 0, 1, 0)
        data.ctrl[:] = action[3], -action[3]
        mujoco.mj_step(self.model, data, nstep=_SUB_STEPS)
        mujoco.mj_forward(self.model, data)
        now = self._observe()
        observation = np.zeros(39)  # now, the step before, and zeros where the goal is hidden
        observation[:18], observation[18:36] = now, self._prev_obs
        np.maximum(observation, self._low, out=observation)
        np.minimum(observation, self._high, out=observation)
        self._prev_obs = now
        tip = (self._site_at[self._tips[0]] + self._site_at[self._tips[1]]) / 2.0
        reward = rewards.reach_at(tip, self.goal, self._span)
        return observation, reward, False, False, {"measured": tip}

    def _observe(self) -> np.ndarray:
        """Return hand (3), gripper opening, puck position (3), its quaternion (4), zeros (7)."""
        at, now = self._at, np.zeros(18)
        apart = at[self._claws[0]] - at[self._claws[1]]
        now[:3] = at[self._hand]
        now[3] = min(math.sqrt(apart.dot(apart)) / 0.1, 1.0)  # 10 cm apart is fully open
        now[4:7] = at[self._puck]
        now[7:11] = _quaternion(self.data.geom_xmat[self._puck_geom])
        return now

    def state(self) -> np.ndarray:
        """Return ``(qpos, qvel, mocap, previous)``, (52,): m, rad, their rates, m, as observed."""
        data = self.data
        return np.concatenate([data.qpos, data.qvel, data.mocap_pos[0], self._prev_obs])

    def put(self, state: np.ndarray) -> None:
        """Set ``(qpos, qvel, mocap, previous)``, (52,)."""
        state = np.asarray(state, np.float64)
        nq, nv = self.model.nq, self.model.nv
        self.data.mocap_pos[0], self._prev_obs = state[nq + nv : nq + nv + 3], state[-18:].copy()
        self.data.mocap_quat[0] = (1, 0, 1, 0)
        self.set_state(state[:nq], state[nq : nq + nv])


@functools.cache
def _compiled() -> mujoco.MjModel:
    """Compile the arm once; environments share the model and only read it."""
    return mujoco.MjModel.from_xml_path(full_V3_path_for("sawyer_xyz/sawyer_reach_v3.xml"))


@functools.cache
def _settled() -> np.ndarray:
    """Let the hand travel to its start as the package does: 50 steps, the same every time."""
    env = SawyerReachEnvV3()
    mujoco.mj_resetData(env.model, env.data)
    env._reset_hand()
    state = np.empty(mujoco.mj_stateSize(env.model, _EVERYTHING))
    mujoco.mj_getState(env.model, env.data, state, _EVERYTHING)
    return state


def _quaternion(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """Return the quaternion (x, y, z, w) of a rotation matrix, (9,): the largest part is positive.

    SciPy's ``Rotation.as_quat``, which Meta-World calls, without its overhead for one matrix.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.tolist()
    trace = m00 + m11 + m22
    largest = max(m00, m11, m22, trace)
    if largest == trace and trace > max(m00, m11, m22):
        q = (m21 - m12, m02 - m20, m10 - m01, 1 + trace)
    elif largest == m00:
        q = (1 - trace + 2 * m00, m10 + m01, m20 + m02, m21 - m12)
    elif largest == m11:
        q = (m10 + m01, 1 - trace + 2 * m11, m21 + m12, m02 - m20)
    else:
        q = (m20 + m02, m21 + m12, 1 - trace + 2 * m22, m10 - m01)
    norm = sum(x * x for x in q) ** 0.5
    return tuple(x / norm for x in q)


def fingertips(states: np.ndarray) -> np.ndarray:
    """Return the point between the fingers in states, (..., 52) -> (..., 3) metres."""
    states = np.asarray(states, np.float64)
    model = _compiled()
    data, tips = mujoco.MjData(model), []
    sites = model.site("rightEndEffector").id, model.site("leftEndEffector").id
    for qpos in states.reshape(-1, states.shape[-1])[:, : model.nq]:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        tips.append((data.site_xpos[sites[0]] + data.site_xpos[sites[1]]) / 2.0)
    return np.reshape(tips, (*states.shape[:-1], 3))
