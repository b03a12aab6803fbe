"""Trajectories of the user's own in place of behaviour policies: training data and few-shot sets.

A folder holds a file for each task, ``3.hdf5``, or one for each task and quality,
``3-expert.hdf5``: any form that ``import`` reads. Where no file says its quality, the episodes of a
task are ordered by their return: the best third is expert, the worst random, the rest medium.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workbench.data.qualities import QUALITIES, Quality
from workbench.data.trajectory import Trajectory
from workbench.data.trajectory_files import save_trajectories
from workbench.exchange.received import receive
from workbench.shipped import assets
from workbench.tasks import Family, Task
from workbench.upkeep.making import FEW_SHOT, data_path

Sets = dict[Quality, list[Trajectory]]


def training_data(
    family: Family, source: Path, folder: Path
) -> Iterator[tuple[Task, Quality, float]]:
    """Write the training data of every training task from the user's files, as `collect` does.

    Args:
        family: Whose.
        source: The user's folder.
        folder: Where the files go.

    Yields:
        Task, quality and mean return of each file as it is written.

    Raises:
        ValueError: if a task has no file, or a file cannot be used.
    """
    for task in family.tasks("train"):
        for quality, items in sets_of(task, source).items():
            save_trajectories(
                data_path(folder, task, quality), items, quality=quality, source=str(source)
            )
            yield task, quality, float(np.mean([t.episode_return for t in items]))


def few_shot_sets(
    family: Family, source: Path, command: str
) -> Iterator[tuple[Task, Quality, float]]:
    """Write the few-shot sets of every test task from the user's files, as `demos` does."""
    for task in family.tasks("test"):
        for quality, items in sets_of(task, source).items():
            few, path = items[:FEW_SHOT], assets.demos_path(task, quality)
            mean = float(np.mean([t.episode_return for t in few]))
            save_trajectories(path, few, quality=quality, source=str(source))
            assets.record(path, command=command, seed=0, return_mean=round(mean, 2))
            yield task, quality, mean


def sets_of(task: Task, source: Path) -> Sets:
    """Return the user's trajectories of a task by quality.

    Raises:
        ValueError: if there are none or too few, some qualities lack, or a file cannot be used.
    """
    if not source.is_dir():
        raise ValueError(f"There is no folder {source}.")
    named = {q: _files(source, f"{task.index}-{q}") for q in QUALITIES}
    if all(named.values()):
        return {q: _read(files, task) for q, files in named.items()}
    if any(named.values()):
        lacking = ", ".join(q for q, files in named.items() if not files)
        raise ValueError(
            f"{source} has no {lacking} file of {task}: give a file for each of "
            f"{', '.join(QUALITIES)}, or one file {task.index}.* without a quality."
        )
    files = _files(source, str(task.index))
    if not files:
        raise ValueError(
            f"{source} has no file of {task}: name it {task.index}.* (any form that `import` "
            f"reads), or {task.index}-expert.*, {task.index}-medium.* and {task.index}-random.*."
        )
    items = sorted(_read(files, task), key=lambda t: -t.episode_return)
    if len(items) < len(QUALITIES):
        raise ValueError(
            f"{source} has {len(items)} episode(s) of {task}: at least {len(QUALITIES)} are "
            "needed, to learn from good and from bad ones."
        )
    parts = np.array_split(np.arange(len(items)), len(QUALITIES))
    return {q: [items[i] for i in part] for q, part in zip(QUALITIES, parts, strict=True)}


def _files(source: Path, stem: str) -> list[Path]:
    return sorted([*source.glob(stem), *source.glob(f"{stem}.*")])


def _read(files: list[Path], task: Task) -> list[Trajectory]:
    reports = [receive(path, task.family, task.index) for path in files]
    return [trajectory for report in reports for trajectory in report.trajectories]
