"""What a rollout needs of a simulator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import gymnasium
import numpy as np


class Environment(gymnasium.Env, ABC):
    """What a rollout needs of a simulator beyond gymnasium's ``Env``.

    A *state* is everything that determines the future of the simulation and what rendering
    needs: the joint positions (nq) first, the velocities (nv), then what else the family has,
    (S,) in all. ``step`` puts into ``info["measured"]`` what the reward is a function of, (M,):
    the variables of ``Family.measured``.
    """

    goal: tuple[float, ...]

    @classmethod
    def step_all(
        cls, envs: Sequence[Self], actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step B environments of one goal, by actions (B, A).

        Returns:
            What ``step`` returns of each: observations (B, O), rewards (B,), ended (B,) bool.
        """
        steps = [env.step(action)[:3] for env, action in zip(envs, actions, strict=True)]
        observations, rewards, ended = map(np.array, zip(*steps, strict=True))
        return observations, rewards, ended

    @abstractmethod
    def state(self) -> np.ndarray:
        """Return the current state, ``(S,)`` float64."""

    @abstractmethod
    def put(self, state: np.ndarray) -> None:
        """Set the simulator to ``state``, ``(S,)``."""

    def picture(self) -> np.ndarray | None:
        """Return what there is to see now, (H, W, 3) uint8; None where states say all of it."""
        return None
