"""What a task and a task family are: plain data, with no simulator inside.

A new family is one ``Family`` in a file of its own, named in ``FAMILIES`` (``tasks/__init__.py``).
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

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


VELOCITY = (
    Variable("forward velocity", "m/s"),
    Variable("sideways velocity", "m/s"),
    Variable("vertical velocity", "m/s"),
)
"""What most locomotion rewards are a function of: the torso's world velocity over a step."""


def plain_goal(goal: tuple[float, ...]) -> tuple[float, ...]:
    """Return the goal itself."""
    return goal


@dataclass(frozen=True)
class Script:
    """A hand-written expert, ``action = clip([observation, goal features] · matrix + bias)``.

    Attributes:
        matrix: (O + G, A).
        bias: (A,).
    """

    matrix: np.ndarray
    bias: np.ndarray


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
        target_return: Return-to-go that a Prompt-DT is conditioned on at the first step, raw.
        return_scale: Divisor that brings returns-to-go near 1.
        observations: The O variables of an observation, in order.
        actions: The A variables of an action, in order, each in [-1, 1].
        build: Makes the environment of a goal.
        reward_terms: The published reward as a pure function of what was recorded:
            ``(measured (..., M), actions (..., A), goal) -> {term: (...)}``;
            the reward is the sum of the terms.
        position_of: World position of what moves (the torso, the hand) in a state,
            ``(..., S) -> (..., 3)`` metres.
        state_of: Recovers the simulator state from observations, ``(..., O) -> (..., S)``, up to
            what they leave out (set to 0); None where they leave out too much.
        measured: The M variables of ``info["measured"]``.
        goal_features: How a behaviour policy observes the goal, ``goal -> (G,)``: an angle by its
            cosine and sine, say.
        training_weights: Factors on reward terms while a behaviour policy learns, at the
            beginning and at the end; 1 where a term is not named. Evaluations and recorded data
            always carry the published reward.
        script: The expert, where it is written by hand and not learned.
        succeeded: Whether an episode's rewards (..., T) say that it reached its goal,
            ``-> (...)`` bool; None where the published task has no such notion.
        hint: One sentence for people who meet the family for the first time.
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
    position_of: Callable[[np.ndarray], np.ndarray]
    state_of: Callable[[np.ndarray], np.ndarray] | None = None
    measured: tuple[Variable, ...] = VELOCITY
    goal_features: Callable[[tuple[float, ...]], tuple[float, ...]] = plain_goal
    training_weights: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    script: Script | None = None
    succeeded: Callable[[np.ndarray], np.ndarray] | None = None
    hint: str = ""

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

    def rewards(self, measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
        """Return the published reward ``(...)`` of what was measured and done."""
        return sum(self.reward_terms(measured, actions, goal).values())


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a hint that ends an error about a misspelt name."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
