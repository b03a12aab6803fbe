"""Which task was it? Every recorded transition is replayed one step in our environments.

The errors say how well a task explains the recording: about 1e-7, the precision of the file, for
the published demonstrations and their own task. They are judged by how much the rewards of an
episode vary, since good ones may all lie near 0; ``reward_look`` says what others look like.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.data.rollout import step_from
from workbench.exchange.pickle_reader import refuse
from workbench.exchange.raw_episodes import Episode
from workbench.exchange.reward_look import LIMIT, looks_like, misfit
from workbench.tasks import FAMILIES, Family, Task, find, make

CLEARLY = 3.0
"""A task fits clearly better than another if its median error is a third as large."""


@dataclass(frozen=True)
class Fit:
    """How well a task reproduces recorded episodes.

    Attributes:
        task: The task.
        reward_error: Median over all transitions of ``|replayed - recorded reward|``, each
            replayed one step from its recorded state and action; nan where the observations
            do not determine the state and no states were recorded.
        state_error: Median, over all transitions with a recorded next state and all state
            variables but the world x and y, of ``|replayed - recorded next state|``; positions
            (m, rad) and velocities (m/s, rad/s) together; nan if none is recorded.
        misfit: See ``reward_look.misfit``: the largest of an episode; nan likewise.
        look: What the rewards look like if not like the task's own, see ``looks_like``.
    """

    task: Task
    reward_error: float
    state_error: float
    misfit: float = float("nan")
    look: str = ""

    @property
    def fits(self) -> bool:
        """Whether the rewards are the task's own, or could not be replayed."""
        return not self.misfit > LIMIT and not self.look


class OneStepReplay:
    """Recorded transitions, replayed one step each in one family's environment."""

    def __init__(self, family: Family, episodes: Sequence[Episode]):
        self.family = family
        self.actions = np.concatenate([e["actions"] for e in episodes])
        self.recorded = np.concatenate([e["rewards"] for e in episodes]).astype(np.float64)
        states = np.concatenate([_states(family, e) for e in episodes])
        # The goal changes the reward alone, so one replay serves all tasks of the family.
        self.measured, after = _replayed(family, states, self.actions)
        self.state_error = _state_error(family, episodes, after)
        self.cuts = np.cumsum([len(e["rewards"]) for e in episodes])[:-1]

    def fit(self, index: int) -> Fit:
        """Return how well task ``index`` reproduces the episodes."""
        task, replayed = self.family.task(index), self.rewards(index)
        error = float(np.median(np.abs(np.concatenate(replayed) - self.recorded)))
        worst = max(map(misfit, np.split(self.recorded, self.cuts), replayed))
        return Fit(task, error, self.state_error, worst)

    def rewards(self, index: int) -> list[np.ndarray]:
        """Return the rewards of task ``index`` for what each episode did, (T,) each."""
        goal = self.family.task(index).goal
        rewards = self.family.rewards(self.measured, self.actions.astype(np.float64), goal)
        return np.split(rewards, self.cuts)

    def looked_at(self, fit: Fit) -> Fit:
        """Return the fit of a task with what the rewards look like, if not quite like its own."""
        indices = [fit.task.index, *range(len(self.family.goals))]
        candidates = {str(self.family.task(i)): self.rewards(i) for i in dict.fromkeys(indices)}
        look = looks_like(np.split(self.recorded, self.cuts), candidates)
        return dataclasses.replace(fit, look=look)


def _states(family: Family, episode: Episode, name: str = "observations") -> np.ndarray:
    """Return the states before each action, (T, S), from the observations where they say."""
    if family.state_of is not None:
        return family.state_of(episode[name].astype(np.float64))
    return episode["states"].astype(np.float64)


def _replayed(family: Family, states: np.ndarray, actions: np.ndarray):
    """Step once from each state; return what was measured (N, M) and the next states (N, S)."""
    steps = []
    for i, step in enumerate(step_from(family.task(0), states, actions)):
        if not step.stable:
            refuse(
                f"transition {i} cannot be replayed in {family.name}: the simulation is unstable "
                "from its state. Drop the transition, or name the family it was recorded in."
            )
        steps.append(step)
    measured = np.array([step.measured for step in steps], np.float64)
    return measured, np.array([step.state for step in steps])


def _state_error(family: Family, episodes: Sequence[Episode], after: np.ndarray) -> float:
    """Return the median one-step error of the states, see ``Fit.state_error``."""
    at, errors = 0, []
    # State variables that move the robot in x or y are left out: an observation may hold none of
    # them, or one of an earlier moment. Which they are shows in the position's derivatives.
    unit = family.position_of(np.eye(after.shape[1])) - family.position_of(0 * after[:1])
    local = ~unit[:, :2].any(1)
    for e in episodes:
        if family.state_of is not None and "next_observations" in e:
            recorded = _states(family, e, "next_observations")
        else:
            recorded = _states(family, e)[1:]
        errors.append(np.abs(after[at : at + len(recorded)] - recorded)[:, local].ravel())
        at += len(e["rewards"])
    errors = np.concatenate(errors)
    return float(np.median(errors)) if len(errors) else float("nan")


@functools.lru_cache(maxsize=32)
def state_size(family: Family) -> int:
    """Return S, the numbers in a state of the family."""
    env = make(family.task(0))
    env.reset(seed=0)
    size = len(env.state())
    env.close()
    return size


def fitting_families(
    episodes: Sequence[Episode], family: str | None = None, *, wanted: str | None = None
) -> list[Family]:
    """Return the families whose observations and actions have the episodes' columns.

    Args:
        episodes: One or more, all of the same columns.
        family: The only family to consider, if given.
        wanted: A family that must be among them, if given.

    Raises:
        RefusedFile: if there is none, with the sizes of all.
    """
    columns = tuple(episodes[0][name].shape[1] for name in ("observations", "actions"))
    sizes = {f: (len(f.observations), len(f.actions)) for f in FAMILIES.values()}
    fitting = [f for f in sizes if sizes[f] == columns and family in (None, f.name)]
    if not fitting or (wanted and find(wanted) not in fitting):
        named, others = wanted or family, [f.name for f in sizes if sizes[f] == columns]
        if named and others:
            refuse(
                f"observations and actions must have the columns of {named}, "
                f"{sizes[find(named)]}: got {columns}, which are those of {' and '.join(others)}. "
                "Name a task of that family instead, or none."
            )
        refuse(
            f"observations and actions must have the columns of {named or 'a task family'}: got "
            f"{columns}. Known: {', '.join(f'{f.name} {size}' for f, size in sizes.items())}."
        )
    if "states" in episodes[0]:
        got = episodes[0]["states"].shape[1]
        by_state = [f for f in fitting if state_size(f) == got]
        if not by_state:
            known = ", ".join(f"{f.name} {state_size(f)}" for f in fitting)
            refuse(f"`states` must have the columns of the family: got {got}. Known: {known}.")
        fitting = by_state
    return fitting


def nearest_tasks(families: Sequence[Family], episodes: Sequence[Episode]) -> list[Fit]:
    """Replay the episodes in every family that can, and return all its tasks, best first."""
    return _best_first(_replays(families, episodes).values())


def _replays(families: Sequence[Family], episodes: Sequence[Episode]) -> dict[str, OneStepReplay]:
    return {f.name: OneStepReplay(f, episodes) for f in families if _replayable(f, episodes)}


def _best_first(replays: Iterable[OneStepReplay]) -> list[Fit]:
    fits = [replay.fit(index) for replay in replays for index in range(len(replay.family.goals))]
    return sorted(fits, key=lambda fit: fit.reward_error)


def _replayable(family: Family, episodes: Sequence[Episode]) -> bool:
    if not family.formula:
        return False  # each task may have a simulator and a reward of its own
    return family.state_of is not None or all("states" in e for e in episodes)


def find_task(
    episodes: Sequence[Episode],
    family: str | None = None,
    task: int | None = None,
    *,
    claim: tuple[str, int] | None = None,
    claimed_by: str = "its name",
) -> Fit:
    """Choose the task: as the caller names it, else as the file does, else by the rewards.

    Args:
        episodes: Of one task.
        family: Name of the family, if the claim does not say or is not to be trusted.
        task: Index of the task, likewise.
        claim: Family and index that the file itself names; believed if its rewards agree.
        claimed_by: The part of the file that makes the claim, for errors.

    Raises:
        RefusedFile: if no family or task fits, several do equally, or the claim is another
            task than the rewards say.
        ValueError: if there is no such ``family`` or ``task``.
    """
    if family is not None:
        find(family)  # a misspelt name is the caller's mistake, not the file's
    wanted, index = family, task
    if claim and family in (None, claim[0]):
        wanted, index = claim[0], claim[1] if task is None else task
    fitting = fitting_families(episodes, family, wanted=wanted)
    claimed = None
    if wanted and index is not None:
        chosen = find(wanted)
        if task is None and not 0 <= index < len(chosen.goals):
            refuse(
                f"{claimed_by} says {wanted} {index}, which does not exist. Name the task yourself."
            )
        if not _replayable(chosen, episodes):
            return Fit(chosen.task(index), float("nan"), float("nan"))
        replay = OneStepReplay(chosen, episodes)
        claimed = replay.looked_at(replay.fit(index))
        if task is not None or claimed.fits:
            return claimed
    if not any(_replayable(f, episodes) for f in fitting):
        names = ", ".join(f.name for f in fitting)
        refuse(
            f"its columns fit {names}, whose observations leave out part of the state, so that "
            "its rewards cannot be replayed. Name family and task yourself."
        )
    replays = _replays(fitting, episodes)
    fits = [f for f in _best_first(replays.values()) if task in (None, f.task.index)]
    if not fits:
        refuse(f"no family that fits has a task {task}. Name another task.")
    best = replays[fits[0].task.family].looked_at(fits[0])
    nearest = ", ".join(f"{f.task} ({f.reward_error:.4f})" for f in fits[:3])
    advice = f"Nearest, with median errors: {nearest}. Name family and task yourself."
    if not best.fits:
        others = (replay.looked_at(replay.fit(0)).look for replay in replays.values())
        looks = [claimed.look if claimed is not None else "", best.look, *others]
        look = next(filter(None, looks), "They look like nothing of ours.")
        refuse(
            f"its rewards fit no task: replayed, those of an episode are off by {best.misfit:.2g} "
            f"standard deviations of their own, where {LIMIT:g} is the limit. {look} {advice}"
        )
    if claimed is not None:
        error = claimed.reward_error
        refuse(
            f"{claimed_by} says {wanted} {index}, with error {error:.4f}; not its rewards. {advice}"
        )
    if len(fits) > 1 and fits[1].reward_error < CLEARLY * best.reward_error:
        refuse(f"its rewards fit several tasks. {advice}")
    return best
