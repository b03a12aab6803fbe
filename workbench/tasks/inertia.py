"""The body masses and inertias of the simulator that the published data were recorded in.

Before MuJoCo 2.1.1 (December 2021: "computed capsule inertias are now exact") a capsule had the
mass and inertia of a cylinder longer by half a radius at each end. The published Prompt-DT
demonstrations predate it: with these inertias they replay to float32 precision, with the exact
ones HalfCheetah's torso is 1.7 % too light and rewards are off by 0.001 to 0.008 a step.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from workbench.tasks.family import Environment


class PublishedBody(Environment, MujocoEnv):
    """What a robot of gymnasium needs to move as the published one; mixed in before its class.

    Python between two ``mj_step`` finds cold caches, so that what follows the simulation is done
    for all of a batch at once; one environment is a batch of one.
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


@functools.cache
def published_model(path: str) -> mujoco.MjModel:
    """Compile a model with the capsule inertias of MuJoCo before 2.1.1.

    Geometry, contacts and rendering are those of the file; only the inertias differ. Compiled
    once per file: environments share the model and only read it.

    Args:
        path: MJCF file of the model.
    """
    old = _weighed_as_cylinders(path)
    spec = _named(path)
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    for body in spec.bodies[1:]:
        i = old.body(body.name).id
        body.explicitinertial = True
        body.mass, body.inertia = old.body_mass[i], old.body_inertia[i]
        body.ipos, body.iquat = old.body_ipos[i], old.body_iquat[i]
    return spec.compile()


def _weighed_as_cylinders(path: str) -> mujoco.MjModel:
    """Compile with a cylinder beside each capsule that takes over its mass."""
    spec = _named(path)
    for body in spec.bodies:
        for capsule in list(body.geoms):
            if capsule.type != mujoco.mjtGeom.mjGEOM_CAPSULE:
                continue
            radius = capsule.size[0]
            cylinder = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, contype=0, conaffinity=0)
            if np.isnan(capsule.fromto[0]):
                cylinder.pos, cylinder.alt.axisangle = capsule.pos, capsule.alt.axisangle
                cylinder.size = [radius, capsule.size[1] + radius / 2, 0]
            else:
                begin, end = np.split(np.array(capsule.fromto), 2)
                extra = (end - begin) / np.linalg.norm(end - begin) * radius / 2
                cylinder.fromto = np.concatenate([begin - extra, end + extra])
                cylinder.size = [radius, 0, 0]
            capsule.mass = 0
    return spec.compile()


def _named(path: str) -> mujoco.MjSpec:
    """Read a model and give every body a name."""
    spec = mujoco.MjSpec.from_file(path)
    for i, body in enumerate(spec.bodies):
        body.name = body.name or f"body {i}"
    return spec
