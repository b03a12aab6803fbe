"""What a task and a task family are: plain data, with no simulator inside."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Task:
    """Name one Markov decision process of a family: hashable, picklable, JSON.

    Attributes:
        family: Name of the family, such as ``"cheetah-vel"``.
        index: Position of the task in the published list of goals.
        goal: What the task asks for, in the family's unit (m/s for Cheetah-vel).
        split: ``"test"`` when the published protocol evaluates on the task.
    """

    family: str
    index: int
    goal: tuple[float, ...]
    split: Split

    def __str__(self) -> str:
        return f"{self.family} {self.index}"


@dataclass(frozen=True)
class Variable:
    """Name one number of an observation or action, with its unit for axis labels."""

    name: str
    unit: str

    def __str__(self) -> str:
        return f"{self.name} [{self.unit}]"


class Environment(gymnasium.Env):
    """What a rollout needs of a simulator beyond gymnasium's ``Env``.

    A *state* is everything that determines the future of the simulation and what
    rendering needs: the joint positions and velocities, ``(nq + nv,)``.
    """

    def state(self) -> np.ndarray:
        """Return the current state, ``(nq + nv,)`` float64."""
        raise NotImplementedError

    def put(self, state: np.ndarray) -> None:
        """Set the simulator to ``state``, ``(nq + nv,)``."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Family:
    """Describe a set of tasks that share everything but their goal.

    Attributes:
        name: Key in ``FAMILIES``, used in commands and files.
        label: The papers' name.
        goals: One goal per task, each a tuple in ``goal_unit``.
        goal_label: What the goal is, in words.
        goal_unit: Unit of the goal.
        train_indices: Tasks the published protocol pretrains on.
        test_indices: Tasks it adapts to and evaluates; the same ones in Cheetah-dir.
        horizon: T, environment steps per episode.
        dt: Seconds of simulated time per environment step.
        target_return: Return asked of a Prompt-DT at the start of an episode, raw.
        return_scale: Divisor that brings returns-to-go near 1.
        observations: The O variables of an observation, in order.
        actions: The A variables of an action, in order, each in [-1, 1].
        build: Makes the environment of a goal.
        reward_terms: The published reward as a pure function of what was recorded:
            ``(velocity (..., 3) m/s, actions (..., A), goal) -> {term: (...)}``;
            the reward is the sum of the terms.
        state_of: Recovers the simulator state from observations, ``(..., O) -> (..., nq + nv)``.
        position_of: World position of the robot in a state, ``(..., nq + nv) -> (..., 3)`` metres.
    """

    name: str
    label: str
    goals: tuple[tuple[float, ...], ...]
    goal_label: str
    goal_unit: str
    train_indices: tuple[int, ...]
    test_indices: tuple[int, ...]
    horizon: int
    dt: float
    target_return: float
    return_scale: float
    observations: tuple[Variable, ...]
    actions: tuple[Variable, ...]
    build: Callable[[tuple[float, ...]], Environment]
    reward_terms: Callable[[np.ndarray, np.ndarray, tuple[float, ...]], Mapping[str, Any]]
    state_of: Callable[[np.ndarray], np.ndarray]
    position_of: Callable[[np.ndarray], np.ndarray]

    def task(self, index: int) -> Task:
        """Return the task at ``index``.

        Raises:
            ValueError: if the family has no such task.
        """
        if not 0 <= index < len(self.goals):
            raise ValueError(
                f"`index` must name a task of {self.name}: got {index}. "
                f"Choose 0 to {len(self.goals) - 1}; test tasks are {list(self.test_indices)}."
            )
        split: Split = "test" if index in self.test_indices else "train"
        return Task(self.name, index, self.goals[index], split)

    def tasks(self, split: Split) -> tuple[Task, ...]:
        """Return the tasks of one split, in order."""
        indices = self.train_indices if split == "train" else self.test_indices
        return tuple(self.task(index) for index in indices)

    def rewards(self, velocity: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
        """Return the published reward ``(...)`` of recorded velocities and actions."""
        return sum(self.reward_terms(velocity, actions, goal).values())


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a hint that ends an error about a misspelt name."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
