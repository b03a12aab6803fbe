"""The published Prompt-DT demonstrations: read without running them, replayed in our tasks.

The median errors of ``import_published`` say how well our task is the one that was recorded:
about 1e-7, the precision of the file, for the published demonstrations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from workbench.pickled import MAX_ARRAY_BYTES, PickledArray, RefusedFile, read_pickle, refuse
from workbench.tasks import FAMILIES, Family, Task, find, make
from workbench.trajectory import Trajectory

MAX_TRANSITIONS = 500_000
MAX_OBSERVATION = 1e4
ACTION_TOLERANCE = 1e-3

# Median one-step reward errors: above the first, a task is no fit; above the second, the task
# of the file's name is doubted. A task fits clearly better if its error is a third as large.
POOR_FIT, WRONG_NAME, CLEARLY = 0.1, 0.03, 3.0

_UNSTABLE = [getattr(mujoco.mjtWarning, f"mjWARN_BADQ{x}") for x in ("POS", "VEL", "ACC")]
_NAME = re.compile(r"([A-Za-z]\w*)-(\d{1,4})-(?:prompt-)?[a-z]+\.pkl", re.ASCII)

# name: (dimensions, whether a file must have it)
_FIELDS = {
    "observations": (2, True),
    "next_observations": (2, False),
    "actions": (2, True),
    "rewards": (1, True),
    "terminals": (1, False),
}


def _validated(value: Any) -> tuple[dict[str, np.ndarray], ...]:
    if type(value) not in (list, tuple) or not value or any(type(e) is not dict for e in value):
        refuse("it must hold a list of dicts, one per episode. Save it in that form.")
    names = [name for name, (_, must) in _FIELDS.items() if must or name in value[0]]
    n_rows = n_cells = 0
    episodes = []
    for i, raw in enumerate(value):
        if sorted(names) != sorted(raw.keys() & _FIELDS.keys()):
            got = ", ".join(repr(key[:40]) for key in sorted(raw)[:12])
            refuse(f"episode {i} must have the arrays {', '.join(names)}: got {got or 'none'}.")
        arrays = {}
        for name in names:
            x = raw[name].values if type(raw[name]) is PickledArray else None
            if x is None:
                refuse(f"`{name}` of episode {i} must be an array: got {type(raw[name]).__name__}.")
            n_cells += x.size
            n_rows += len(x) if x.ndim and name == "actions" else 0
            if n_rows > MAX_TRANSITIONS or n_cells * 4 > MAX_ARRAY_BYTES:
                refuse(
                    f"it has more than {MAX_TRANSITIONS} transitions, or too wide ones. Split it."
                )
            arrays[name] = _field(name, x, f"`{name}` of episode {i}")
        first = episodes[0] if episodes else arrays
        for name, x in arrays.items():
            like = arrays["observations"] if name == "next_observations" else first[name]
            if len(x) != len(arrays["rewards"]) or x.shape[1:] != like.shape[1:]:
                refuse(
                    f"`{name}` of episode {i} must have one row per reward and the same columns "
                    f"throughout: got {x.shape} with {len(arrays['rewards'])} rewards."
                )
        episodes.append(arrays)
    return tuple(episodes)


def _field(name: str, x: np.ndarray, label: str) -> np.ndarray:
    ndim = _FIELDS[name][0]
    flat = x.reshape(-1) if ndim == 1 and x.ndim == 2 and x.shape[1] == 1 else x
    if flat.ndim != ndim:
        refuse(f"{label} must have {ndim} dimension(s), (T,) or (T, 1) if 1: got {x.shape}.")
    if name == "terminals":
        return flat != 0
    with np.errstate(over="ignore"):
        flat = flat.astype(np.float32)
    bound = {"actions": 1 + ACTION_TOLERANCE}.get(name, MAX_OBSERVATION)
    wrong = np.flatnonzero(~(np.abs(flat) <= bound).reshape(len(flat), -1).all(1))
    if len(wrong):
        refuse(
            f"{label} must be finite and within ±{bound:g}: row {wrong[0]} is not "
            f"({len(wrong)} such rows). Drop or repair these rows."
        )
    return flat.clip(-1, 1) if name == "actions" else flat


def read_published(path: str | Path) -> tuple[dict[str, np.ndarray], ...]:
    """Read a published demonstration file; nothing in it is run.

    Args:
        path: A pickled list of dicts of arrays, one dict per episode; other keys are ignored.

    Returns:
        One dict per episode, in the file's order: ``observations`` (T, O), ``actions`` (T, A)
        in [-1, 1] and ``rewards`` (T,); where the file has them ``next_observations`` (T, O)
        and ``terminals`` (T,) bool. Float32, raw units.

    Raises:
        RefusedFile: if the file is damaged, holds anything but plain containers and arrays of
            numbers (the error names it), or its arrays do not fit together.
    """
    try:
        return _validated(read_pickle(path))
    except RefusedFile as refusal:
        raise RefusedFile(f"{path} was refused: {refusal}") from None


@dataclass(frozen=True, eq=False)
class Imported:
    """One published file, its task, and how well our environment reproduces it.

    Attributes:
        file: The path as it was given.
        family: Name of the task family.
        task: The task it was recorded in.
        trajectories: One per episode, with the states recovered from the observations.
        reward_error_median: Median over all transitions of ``|replayed - recorded reward|``,
            each replayed one step from its recorded state and action.
        state_error_median: Median, over all transitions with a recorded next observation and
            all state variables but the world x and y, of ``|replayed - recorded next state|``;
            positions (m, rad) and velocities (m/s, rad/s) together; nan if none is recorded.
    """

    file: str
    family: str
    task: Task
    trajectories: tuple[Trajectory, ...]
    reward_error_median: float
    state_error_median: float

    def row(self) -> dict[str, Any]:
        """Return one row of a table of files, as plain JSON."""
        returns = [trajectory.episode_return for trajectory in self.trajectories]
        return {
            "file": self.file,
            "family": self.family,
            "task": self.task.index,
            "episodes": len(self.trajectories),
            "steps": sum(map(len, self.trajectories)),
            "return_mean": round(float(np.mean(returns)), 3),
            "reward_error_median": round(self.reward_error_median, 7),
            "state_error_median": round(self.state_error_median, 7),
        }


class _Replay:
    """Every recorded transition of a file, replayed one step in one family's environment."""

    def __init__(self, family: Family, episodes: Sequence[dict[str, np.ndarray]]):
        self.family = family
        self.actions = np.concatenate([e["actions"] for e in episodes])
        self.recorded = np.concatenate([e["rewards"] for e in episodes]).astype(np.float64)
        states = [family.state_of(e["observations"].astype(np.float64)) for e in episodes]
        # The goal changes the reward alone, so one replay serves all tasks of the family.
        self.goal = family.goals[0]
        self.rewards, after = _step_each(family, np.concatenate(states), self.actions)
        moved = family.position_of(after) - family.position_of(np.concatenate(states))
        self.velocity = moved / family.dt
        self.state_error = _state_error(family, episodes, after)

    def error(self, index: int) -> float:
        """Return the median reward error if the file was recorded in task ``index``."""
        args = self.velocity, self.actions.astype(np.float64)
        of_goal = self.family.rewards(*args, self.family.task(index).goal)
        replayed = self.rewards - self.family.rewards(*args, self.goal) + of_goal
        return float(np.median(np.abs(replayed - self.recorded)))


def _step_each(family: Family, states: np.ndarray, actions: np.ndarray):
    """Step once from each state in task 0; return rewards (N,) and next states."""
    env = make(family.task(0))
    rewards, after = np.empty(len(states)), np.empty_like(states)
    for i, (state, action) in enumerate(zip(states, actions, strict=True)):
        env.put(state)
        _, rewards[i], *_ = env.step(action)
        after[i] = env.state()
        if any(env.data.warning[kind].number for kind in _UNSTABLE):
            refuse(
                f"transition {i} cannot be replayed in {family.name}: the simulation is unstable "
                "from its state. Drop the transition, or name the family it was recorded in."
            )
    env.close()
    return rewards, after


def _state_error(family: Family, episodes, after: np.ndarray) -> float:
    at, errors = 0, []
    unit = family.position_of(np.eye(after.shape[1])) - family.position_of(0 * after[:1])
    local = ~unit[:, :2].any(1)  # an observation may hold no world x, y, or an older one
    for e in episodes:
        following = e.get("next_observations", e["observations"][1:])
        recorded = family.state_of(following.astype(np.float64))
        errors.append(np.abs(after[at : at + len(recorded)] - recorded)[:, local].ravel())
        at += len(e["rewards"])
    errors = np.concatenate(errors)
    return float(np.median(errors)) if len(errors) else float("nan")


def _named(path: str | Path) -> tuple[str, int] | None:
    """Return family and index if the file is called ``cheetah_vel-2-prompt-expert.pkl``."""
    match = _NAME.fullmatch(Path(path).name)
    family = match[1].lower().replace("_", "-") if match else None
    return (family, int(match[2])) if match and family in FAMILIES else None


def _find_task(path, episodes, family: str | None, task: int | None) -> tuple[_Replay, int]:
    """Choose the task: as asked, else by the file's name, else by the recorded rewards."""
    wanted, index = family, task
    if (named := _named(path)) and family in (None, named[0]):
        wanted, index = named[0], named[1] if task is None else task
    columns = tuple(episodes[0][name].shape[1] for name in ("observations", "actions"))
    sizes = {f: (len(f.observations), len(f.actions)) for f in FAMILIES.values()}
    fitting = [f for f in sizes if sizes[f] == columns and family in (None, f.name)]
    if not fitting or (wanted and find(wanted) not in fitting):
        refuse(
            f"observations and actions must have the columns of {wanted or 'a task family'}: got "
            f"{columns}. Known: {', '.join(f'{f.name} {size}' for f, size in sizes.items())}."
        )
    error = None
    if wanted and index is not None:
        if task is None and index >= len(find(wanted).goals):
            refuse(f"its name says {wanted} {index}, which does not exist. Name the task yourself.")
        replay = _Replay(find(wanted), episodes)
        error = replay.error(index)
        if task is not None or error <= WRONG_NAME:
            return replay, index
    fits = sorted(_fits(fitting, task, episodes), key=lambda fit: fit[0])
    if not fits:
        refuse(f"no family that fits has a task {task}. Name another task.")
    nearest = ", ".join(f"{r.family.name} {i} ({e:.4f})" for e, r, i in fits[:3])
    advice = f"Nearest, with median errors: {nearest}. Name family and task yourself."
    if fits[0][0] > POOR_FIT:
        refuse(f"its rewards fit no task: a median error of {POOR_FIT} is the limit. {advice}")
    if error is not None and error <= CLEARLY * fits[0][0]:
        return replay, index
    if error is not None:
        refuse(f"its name says {wanted} {index}, with error {error:.4f}; not its rewards. {advice}")
    if len(fits) > 1 and fits[1][0] < CLEARLY * fits[0][0]:
        refuse(f"its rewards fit several tasks. {advice}")
    return fits[0][1:]


def _fits(families: Sequence[Family], task: int | None, episodes):
    """Yield (median reward error, replay, task index) of every candidate."""
    for family in families:
        indices = [i for i in range(len(family.goals)) if task in (None, i)]
        replay = _Replay(family, episodes) if indices else None
        yield from ((replay.error(i), replay, i) for i in indices)


def import_published(
    path: str | Path, family: str | None = None, task: int | None = None
) -> Imported:
    """Read a published file and replay each transition one step in our environment.

    Args:
        path: The file; see ``read_published``.
        family: Name of the task family, if the file's name does not say or is not to be trusted.
        task: Index of the task, likewise. What is not given here is taken from a name such as
            ``cheetah_vel-2-prompt-expert.pkl``, else from the rewards: that task which
            reproduces them clearly best.

    Raises:
        RefusedFile: if the file is not read (``read_published``), fits no family or task or
            several equally, or its name says another task than its rewards.
        ValueError: if there is no such ``family`` or ``task``.
    """
    if family is not None:
        find(family)  # a misspelt name is the caller's mistake, not the file's
    episodes = read_published(path)
    try:
        replay, index = _find_task(path, episodes, family, task)
    except RefusedFile as refusal:
        raise RefusedFile(f"{path} was refused: {refusal}") from None
    chosen = replay.family.task(index)
    trajectories = tuple(
        Trajectory(
            observations=e["observations"],
            actions=e["actions"],
            rewards=e["rewards"],
            states=replay.family.state_of(e["observations"]),
            task=chosen,
        )
        for e in episodes
    )
    return Imported(
        str(path), chosen.family, chosen, trajectories, replay.error(index), replay.state_error
    )
