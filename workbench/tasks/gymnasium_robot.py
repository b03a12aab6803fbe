"""What HalfCheetah and Ant share: gymnasium's robots with the published inertias, in batches.

Python that runs between two calls of ``mj_step`` finds cold processor caches. So all B environments
are simulated first, and rewards and observations are then computed for the batch at once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from workbench.tasks.family import Environment
from workbench.tasks.inertia import published_model


class GymnasiumRobot(Environment, MujocoEnv):
    """Batched steps, recorded states and published inertias for one of gymnasium's robots.

    A mix-in that stands before gymnasium's class: ``class Ant(GymnasiumRobot, AntEnv)``. A subclass
    says what its reward is a function of (``_measure``) and what is observed (``_observe``).
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    reward_terms: Callable[..., Mapping[str, np.ndarray]]

    @classmethod
    def step_all(cls, envs: Sequence[Self], actions: np.ndarray):
        """Step B environments of one goal, by actions (B, A); see ``Environment``."""
        return cls._steps(envs, actions)[:3]

    def step(self, action: np.ndarray):
        """Advance by one step; the third value says whether the robot has fallen."""
        (observed,), (reward,), (ended,), (measured,) = self._steps(
            [self], np.asarray(action)[None]
        )
        return observed, float(reward), bool(ended), False, {"measured": measured}

    @classmethod
    def _steps(cls, envs: Sequence[Self], actions: np.ndarray):
        first = envs[0]
        before = np.array([env.data.qpos for env in envs])
        for env, action in zip(envs, actions, strict=True):
            env.do_simulation(action, env.frame_skip)
        qpos, qvel = (np.array([getattr(env.data, n) for env in envs]) for n in ("qpos", "qvel"))
        measured = cls._measure(envs, (qpos - before) / first.dt)
        terms = first.reward_terms(measured, np.asarray(actions, np.float64), first.goal)
        observed, ended = cls._observe(envs, qpos, qvel)
        return observed, sum(terms.values()), ended, measured

    @classmethod
    @abstractmethod
    def _measure(cls, envs: Sequence[Self], velocities: np.ndarray) -> np.ndarray:
        """Return what rewards are a function of, (B, M), from mean rates of qpos, (B, nq)."""

    @classmethod
    @abstractmethod
    def _observe(
        cls, envs: Sequence[Self], qpos: np.ndarray, qvel: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what is observed, (B, O), and which robots have fallen, (B,) bool."""

    def _get_obs(self) -> np.ndarray:
        return self._observe([self], self.data.qpos[None], self.data.qvel[None])[0][0]

    def _initialize_simulation(self):
        model = published_model(self.fullpath)
        return model, mujoco.MjData(model)

    def state(self) -> np.ndarray:
        """Return ``(qpos, qvel)``, (nq + nv,) in metres, radians (or quaternions), their rates."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def put(self, state: np.ndarray) -> None:
        """Set ``(qpos, qvel)``, (nq + nv,)."""
        state = np.asarray(state, np.float64)
        self.set_state(state[: self.model.nq], state[self.model.nq :])
