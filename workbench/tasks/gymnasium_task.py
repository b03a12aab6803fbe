"""Any environment of Gymnasium as a task: its goal, its flat observations, its pictures.

``Family.from_gymnasium`` makes a family of these.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box
from gymnasium.wrappers import FlattenObservation, RescaleAction

from workbench.tasks.environment import Environment

Goal = tuple[float, ...]
SetGoal = str | Sequence[str] | Callable[[Any, Goal], object]
"""Attributes of the unwrapped environment that a goal sets, or a function that sets it."""
_PICTURES = "rgb_array"


class GymnasiumTask(Environment):
    """An environment that pursues a goal; a new ``goal`` may be given to it at any time.

    Args:
        goal: What it pursues.
        environment: Its registered id, or ``goal -> gymnasium.Env``.
        set_goal: How the goal enters an environment that is made by its id.
        horizon: Steps of an episode: a time limit of the environment there is no failure.
    """

    def __init__(
        self,
        goal: Goal,
        *,
        environment: str | Callable[[Goal], gymnasium.Env],
        set_goal: SetGoal | None = None,
        horizon: int | None = None,
    ) -> None:
        if isinstance(environment, str) and set_goal is None:
            raise ValueError(
                "`set_goal` must say how a goal enters the environment: the name of an attribute, "
                "or a function of the unwrapped environment and the goal."
            )
        self._environment, self._set_goal, self._horizon = environment, set_goal, horizon
        self._steps, self._made_for = 0, goal
        self._goal = goal
        self._take(self._made(goal))

    def _made(self, goal: Goal) -> gymnasium.Env:
        if callable(self._environment):
            return self._environment(goal)
        spec = gymnasium.spec(self._environment)
        kind: Any = spec.entry_point
        if isinstance(kind, str):
            kind = gymnasium.envs.registration.load_env_creator(kind)
        modes = getattr(kind, "metadata", {}).get("render_modes", ())
        mode: dict[str, Any] = {"render_mode": _PICTURES} if _PICTURES in modes else {}
        return gymnasium.make(self._environment, disable_env_checker=True, **mode)

    def _take(self, env: gymnasium.Env) -> None:
        """Wrap an environment so that its observations are flat and its actions in [-1, 1]."""
        self.unflattened = env.observation_space
        if not (isinstance(env.observation_space, Box) and len(env.observation_space.shape) == 1):
            env = FlattenObservation(env)
        space, actions = env.observation_space, env.action_space
        if not isinstance(space, Box):
            raise ValueError(
                f"Observations must be numbers, in a `Box` or a `Dict` of them: got {space}. "
                "Return an environment with a wrapper around it that makes them so."
            )
        if not (isinstance(actions, Box) and len(actions.shape) == 1 and actions.is_bounded()):
            raise ValueError(
                f"Actions must be a bounded `Box` of one dimension: got {actions}. "
                "Return an environment with a wrapper around it that makes them so."
            )
        self._env = RescaleAction(env, np.float32(-1), np.float32(1))
        self.observation_space = Box(
            space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64
        )
        self.action_space = Box(-1, 1, actions.shape, np.float32)
        self._own: Any = env.unwrapped
        self._is_mujoco = isinstance(getattr(self._own, "model", None), mujoco.MjModel)

    @property
    def goal(self) -> Goal:  # type: ignore[override]
        """What it pursues."""
        return self._goal

    @goal.setter
    def goal(self, goal: Goal) -> None:
        self._goal = tuple(goal)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Begin an episode in pursuit of the present goal."""
        super().reset(seed=seed)
        if callable(self._environment) and self._goal != self._made_for:
            self._env.close()
            self._take(self._made(self._goal))
            self._made_for = self._goal
        self._enter_goal()
        observation, info = self._env.reset(seed=seed, options=options)
        self._steps = 0
        return np.asarray(observation, np.float64), info

    def _enter_goal(self) -> None:
        if callable(self._set_goal):
            self._set_goal(self._own, self._goal)
        elif self._set_goal is not None:
            names = [self._set_goal] if isinstance(self._set_goal, str) else list(self._set_goal)
            if len(names) != len(self._goal):
                raise ValueError(
                    f"`set_goal` must name an attribute for each number of a goal: got {names} "
                    f"for {self._goal}."
                )
            for name, value in zip(names, self._goal, strict=True):
                if not hasattr(self._own, name):
                    raise ValueError(f"{type(self._own).__name__} has no attribute {name!r}.")
                setattr(self._own, name, value)

    def step(self, action: np.ndarray):
        """Advance by one step; the environment's own reward is what is measured."""
        clipped = np.clip(np.asarray(action, np.float32), -1, 1)
        observation, reward, terminated, truncated, info = self._env.step(clipped)
        self._steps += 1
        early = truncated and self._horizon is not None and self._steps < self._horizon
        info = {**info, "measured": np.array([reward], np.float64)}
        return np.asarray(observation, np.float64), float(reward), terminated or early, False, info

    def state(self) -> np.ndarray:
        """Return ``(qpos, qvel)`` of a MuJoCo environment, nothing of another."""
        if not self._is_mujoco:
            return np.zeros(0)
        return np.concatenate([self._own.data.qpos, self._own.data.qvel])

    def put(self, state: np.ndarray) -> None:
        """Set ``(qpos, qvel)`` of a MuJoCo environment.

        Raises:
            ValueError: if it is another one.
        """
        if not self._is_mujoco:
            raise ValueError("This environment cannot be put into a state: it only runs forward.")
        state = np.asarray(state, np.float64)
        self._own.set_state(state[: self.model.nq], state[self.model.nq :])

    def picture(self) -> np.ndarray | None:
        """Return a picture of an environment whose state is not known, if it draws any."""
        if self._is_mujoco or self._env.render_mode != _PICTURES:
            return None
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would greet on stdout
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # nothing is shown on a screen
        try:
            return np.asarray(self._env.render(), np.uint8)
        except DependencyNotInstalled:  # such as pygame
            return None

    @property
    def model(self) -> mujoco.MjModel:
        """The model of a MuJoCo environment, for what draws it."""
        return self._own.model

    @property
    def data(self) -> mujoco.MjData:
        """What MuJoCo computed last, likewise."""
        return self._own.data

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


@dataclass(frozen=True)
class Facts:
    """What an environment says of itself.

    Attributes:
        observations: Usual names of what is observed.
        actions: Usual names of the actions.
        horizon: Steps after which it ends an episode; None where it does not say.
        dt: Seconds of a step.
    """

    observations: list[str]
    actions: list[str]
    horizon: int | None
    dt: float


def facts_of(task: GymnasiumTask) -> Facts:
    """Look at an environment, and close it."""
    env, own = task._env, task._own
    spec = env.spec
    fps = env.metadata.get("render_fps")
    facts = Facts(
        _names(task.unflattened, ""),
        [f"action {i}" for i in range(env.action_space.shape[0])],  # type: ignore[index]
        spec.max_episode_steps if spec is not None else None,
        float(getattr(own, "dt", 0) or (1 / fps if fps else 0.05)),
    )
    task.close()
    return facts


def _names(space: gymnasium.Space, prefix: str) -> list[str]:
    """Return a name for each number of a flattened space: its key and its place."""
    if isinstance(space, gymnasium.spaces.Dict):
        return [name for key, part in space.items() for name in _names(part, f"{prefix}{key} ")]
    if isinstance(space, gymnasium.spaces.Tuple):
        return [n for i, part in enumerate(space.spaces) for n in _names(part, f"{prefix}{i} ")]
    n = gymnasium.spaces.flatdim(space)
    return [f"{prefix or 'observation '}{i}" for i in range(n)]


def own_reward(measured: np.ndarray, actions: np.ndarray, goal: Goal) -> dict[str, np.ndarray]:
    """Return the reward as the environment gave it, ``(..., 1) -> (...)``."""
    return {"reward": np.asarray(measured)[..., 0]}
