"""The published Prompt-DT demonstrations: read without running them, replayed in our tasks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.data.trajectory import Trajectory
from workbench.exchange.pickle_reader import PickledArray, RefusedFile, read_pickle, refuse
from workbench.exchange.raw_episodes import FIELDS, Episode, to_trajectories, validated
from workbench.exchange.task_match import find_task
from workbench.tasks import FAMILIES, Task, find

_NAME = re.compile(r"([A-Za-z]\w*)-(\d{1,4})-(?:prompt-)?[a-z]+\.pkl", re.ASCII)


def pickled_episodes(path: str | Path) -> tuple[Episode, ...]:
    """Return a pickled list of dicts of arrays, one per episode, as it is in the file.

    Raises:
        RefusedFile: if it is damaged or holds anything but plain containers and arrays.
    """
    value = read_pickle(path)
    if type(value) not in (list, tuple) or not value or any(type(e) is not dict for e in value):
        refuse("it must hold a list of dicts, one per episode. Save it in that form.")
    return tuple(
        {
            name: _array(x, f"`{name}` of episode {i}") if name in FIELDS else x
            for name, x in raw.items()
            if name != "states"
        }
        for i, raw in enumerate(value)
    )


def _array(x: Any, label: str) -> np.ndarray:
    if type(x) is not PickledArray or x.values is None:
        refuse(f"{label} must be an array: got {type(x).__name__}.")
    return x.values


def read_published(path: str | Path) -> tuple[Episode, ...]:
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
        episodes, problems = validated(pickled_episodes(path))
        if problems:
            refuse(problems[0])
        return episodes
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
        reward_error_median, state_error_median: See ``Fit``.
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


def named_task(path: str | Path) -> tuple[str, int] | None:
    """Return family and index if the file is called ``cheetah_vel-2-prompt-expert.pkl``."""
    match = _NAME.fullmatch(Path(path).name)
    family = match[1].lower().replace("_", "-") if match else None
    return (family, int(match[2])) if match and family in FAMILIES else None


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
        find(family)  # before the file's own faults
    episodes = read_published(path)
    try:
        fit = find_task(episodes, family, task, claim=named_task(path))
    except RefusedFile as refusal:
        raise RefusedFile(f"{path} was refused: {refusal}") from None
    trajectories = to_trajectories(episodes, fit.task)
    return Imported(
        str(path), fit.task.family, fit.task, trajectories, fit.reward_error, fit.state_error
    )
