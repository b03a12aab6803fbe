"""What a task and a task family are: plain data, with no simulator inside.

A new family is one ``Family`` in a file of its own, which ``WORKBENCH_PLUGINS`` names.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium
import numpy as np

from workbench.tasks import gymnasium_task
from workbench.tasks.environment import Environment
from workbench.tasks.gymnasium_task import GymnasiumTask

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


Named = str | tuple[str, str] | Variable
"""A variable: its name, its name and unit, or the thing itself."""
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
        formula: Whether ``reward_terms`` recomputes a recorded reward under any goal. False where
            the reward is the environment's own: recordings cannot be judged under other goals.
        training: Flags of the verbs that make its networks, by verb, such as
            ``{"behaviour": "--env-steps 1000000"}``; see ``reproduce-assets``.
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
    formula: bool = True
    training: Mapping[str, str] = field(default_factory=dict)

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

    @classmethod
    def from_gymnasium(
        cls,
        environment: str | Callable[[tuple[float, ...]], gymnasium.Env],
        *,
        name: str,
        goals: Iterable[float | Sequence[float]],
        test: Sequence[int],
        target_return: float,
        return_scale: float,
        set_goal: gymnasium_task.SetGoal | None = None,
        label: str = "",
        goal_label: str = "goal",
        goal_unit: str = "",
        horizon: int | None = None,
        dt: float | None = None,
        observations: Iterable[Named] | None = None,
        actions: Iterable[Named] | None = None,
        **fields: Any,
    ) -> Family:
        """Make a family of an environment that Gymnasium knows, or that a function makes.

        Observations must be numbers (a ``Box``; ``Dict`` and ``Tuple`` of them are flattened by
        Gymnasium's wrapper), actions a bounded ``Box``, which is scaled to [-1, 1]. The reward is
        the environment's own. A MuJoCo environment is replayed by its poses; of another one the
        pictures of ``render_mode="rgb_array"`` are recorded.

        Args:
            environment: A registered id, such as ``"Pendulum-v1"``, or ``goal -> gymnasium.Env``.
            name: Of the family, in commands and files: a to z, 0 to 9 and -.
            goals: One per task: a number, or several.
            test: Indices of the tasks that are adapted to; the transformer learns from the others.
            target_return: The return of a very good episode: what the transformer is asked for.
            return_scale: About the size of returns: they are divided by it.
            set_goal: How a goal enters, where ``environment`` is an id: the name of an attribute
                of the unwrapped environment, several names for a goal of several numbers, or
                ``(unwrapped environment, goal) -> None``. It is called before every reset, often
                on the same environment: it sets values, and adds to none.
            label: What readers call the family; by default its name.
            goal_label: What the goal is, in words.
            goal_unit: Its unit.
            horizon: Steps of an episode; by default as registered.
            dt: Seconds of a step; by default the environment's ``dt``, or that of its pictures.
            observations: Names of the observed variables: words, or pairs of name and unit.
            actions: Names of the actions, likewise.
            **fields: Other fields of ``Family``, such as ``hint``, ``training``, ``goal_features``.

        Raises:
            ValueError: if the environment does not fit, with what to do.
        """
        several = tuple(
            tuple(float(x) for x in (goal if isinstance(goal, Sequence) else (goal,)))
            for goal in goals
        )
        outside = [i for i in test if not 0 <= i < len(several)]
        if not test or outside or len(set(test)) == len(several):
            raise ValueError(
                f"`test` must be some of the tasks 0 to {len(several) - 1}, and leave some to learn"
                f" from: got {list(test)}."
            )
        build = functools.partial(GymnasiumTask, environment=environment, set_goal=set_goal)
        facts = gymnasium_task.facts_of(build(several[0]))
        steps = horizon or facts.horizon
        if steps is None:
            raise ValueError("`horizon` must be given: the environment is registered without one.")
        if facts.horizon is not None and steps > facts.horizon:
            raise ValueError(
                f"`horizon` must be at most {facts.horizon}, where the environment ends its "
                f"episodes: got {steps}."
            )
        return cls(
            name=name,
            label=label or name,
            goals=several,
            goal_label=goal_label,
            goal_unit=goal_unit,
            train_indices=tuple(i for i in range(len(several)) if i not in test),
            test_indices=tuple(test),
            horizon=steps,
            dt=dt or facts.dt,
            target_return=target_return,
            return_scale=return_scale,
            observations=_variables(observations, facts.observations, "observations"),
            actions=_variables(actions, facts.actions, "actions"),
            build=functools.partial(build, horizon=steps),
            reward_terms=gymnasium_task.own_reward,
            position_of=_nowhere,
            measured=(Variable("reward", "per step"),),
            formula=False,
            **fields,
        )

    def rewards(self, measured: np.ndarray, actions: np.ndarray, goal: tuple[float, ...]):
        """Return the published reward ``(...)`` of what was measured and done."""
        return sum(self.reward_terms(measured, actions, goal).values())


def _variables(given: Iterable[Named] | None, usual: list[str], what: str) -> tuple[Variable, ...]:
    """Return variables as they were named, or by their usual names.

    Raises:
        ValueError: if there are not as many names as variables, or one twice.
    """
    named = usual if given is None else list(given)
    found = []
    for item in named:
        if isinstance(item, str):
            item = Variable(item, "raw")
        found.append(item if isinstance(item, Variable) else Variable(*item))
    if len(found) != len(usual):
        raise ValueError(f"`{what}` must name {len(usual)} variables: got {len(found)}.")
    if len({variable.name for variable in found}) < len(found):
        raise ValueError(f"`{what}` must have names that differ: got {[v.name for v in found]}.")
    return tuple(found)


def _nowhere(states: np.ndarray) -> np.ndarray:
    """Return no position, (..., 3): what moves in an environment of one's own is not known."""
    return np.zeros((*np.shape(states)[:-1], 3))


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a hint that ends an error about a misspelt name."""
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
