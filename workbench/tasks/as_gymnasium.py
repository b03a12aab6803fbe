"""A task as an environment of Gymnasium: ``gymnasium.make("workbench/Cheetah-vel-v0", task=2)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from workbench.tasks import find, make


class TaskEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One task of a family, with the family's horizon as its time limit.

    Observations are float64, actions lie in [-1, 1], and the goal is in neither:
    ``info["goal"]`` says it.

    Args:
        family: Name of the family.
        task: Index of the task.
        render_mode: None: nothing is drawn here.

    Raises:
        ValueError: if there is no such family or task.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as in gymnasium

    def __init__(self, family: str, task: int = 0, render_mode: str | None = None) -> None:
        self.family, self.render_mode = find(family), render_mode
        self.task = self.family.task(task)
        self._env, self._steps = make(self.task), 0
        space = self._env.observation_space
        assert isinstance(space, Box)  # of every family
        self.observation_space = Box(space.low, space.high, dtype=np.float64)
        self.action_space = Box(-1, 1, (len(self.family.actions),), np.float32)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None):
        """Begin an episode; a seed makes it begin in the same way again."""
        super().reset(seed=seed)
        self._steps = 0
        # without a seed each episode begins in a way of its own, drawn from ours
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        observation, _ = self._env.reset(seed=drawn)
        return np.asarray(observation, np.float64), {"goal": self.task.goal}

    def step(self, action: np.ndarray):
        """Advance by one step; the episode is truncated at the family's horizon."""
        limited = np.clip(np.asarray(action, np.float32), -1, 1)
        observation, reward, ended, _, info = self._env.step(limited)
        self._steps += 1
        truncated = self._steps >= self.family.horizon
        info = {"goal": self.task.goal, "measured": info["measured"]}
        observed = np.asarray(observation, np.float64)
        return observed, float(reward), bool(ended), truncated, info

    def close(self) -> None:
        """Close the simulator."""
        self._env.close()
