"""The user's own few-shot sets: ``data/own/<family>/<task>-<name>.safetensors``.

Wherever a quality such as ``expert`` can be named, ``own:<name>`` names such a set. One name may
stand for sets of several tasks and families, as ``expert`` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.tasks import Task, did_you_mean

if TYPE_CHECKING:  # reading a set needs torch, which takes seconds; naming and listing do not
    from workbench.data.trajectory import Trajectory

FOLDER = Path("data/own")
PREFIX = "own:"
BIN = ".deleted"
"""Below ``FOLDER``: deleted sets, until one of the same name is deleted again."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


def checked_name(name: str) -> str:
    """Return ``name``; it is part of file names, commands and links.

    Raises:
        ValueError: if it holds anything but a to z, 0 to 9, - and _, or more than 40 of them.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "The name of a set is 1 to 40 of a to z, 0 to 9, - and _, beginning with a letter or "
            f"digit: got {name[:60]!r}."
        )
    return name


def name_of(quality: str) -> str | None:
    """Return the name in ``own:<name>``, or None for any other quality.

    Raises:
        ValueError: if the name cannot be one.
    """
    if not quality.startswith(PREFIX):
        return None
    return checked_name(quality.removeprefix(PREFIX))


def path_of(task: Task, name: str) -> Path:
    """Where the set called ``name`` of a task is kept."""
    return FOLDER / task.family / f"{task.index}-{checked_name(name)}.safetensors"


def qualities(task: Task) -> list[str]:
    """Return ``own:<name>`` for every set that was saved for a task, by name."""
    stems = (path.stem for path in (FOLDER / task.family).glob(f"{task.index}-*.safetensors"))
    names = sorted(stem.split("-", 1)[1] for stem in stems)
    return [f"{PREFIX}{name}" for name in names if _NAME.fullmatch(name)]


def load(task: Task, name: str) -> tuple[Trajectory, ...]:
    """Load the set called ``name`` of a task.

    Raises:
        ValueError: if there is none, or the file holds another task, with what to do.
    """
    from workbench.data.trajectory_files import load_trajectories

    path = path_of(task, name)
    if not path.exists():
        others = sorted(
            f"{p.parent.name} {p.stem.split('-', 1)[0]}"
            for p in FOLDER.glob("*/*-*.safetensors")
            if p.stem.split("-", 1)[1] == name
        )
        known = [quality.removeprefix(PREFIX) for quality in qualities(task)]
        why = did_you_mean(name, known) if known else ""
        if others:
            why = f" It is of {', '.join(others)}."
        raise ValueError(
            f"There is no set {PREFIX}{name} for {task}.{why} Bring one: "
            f"`python -m workbench import FILE --save {name}`."
        )
    trajectories = load_trajectories(path)
    if trajectories[0].task != task:
        raise ValueError(
            f"{path} holds {trajectories[0].task}, not {task}: it was renamed or edited. "
            f"Import it again: `python -m workbench import FILE --save {name}`."
        )
    return trajectories


def save(
    name: str, trajectories: Sequence[Trajectory], *, overwrite: bool = False, **metadata: object
) -> tuple[Path, ...]:
    """Keep trajectories as ``own:<name>``, one file per task, each written at once or not at all.

    Args:
        name: 1 to 40 of a to z, 0 to 9, - and _.
        trajectories: Of one or several tasks; their order within a task is kept.
        overwrite: Replace sets of that name and these tasks.
        metadata: What else to write into the files' headers.

    Raises:
        ValueError: if the name is none, or taken and ``overwrite`` is not set.
    """
    from workbench.data.trajectory_files import save_trajectories

    by_task: dict[Task, list[Trajectory]] = {}
    for trajectory in trajectories:
        by_task.setdefault(trajectory.task, []).append(trajectory)
    paths = {task: path_of(task, name) for task in by_task}
    taken = [str(task) for task, path in paths.items() if path.exists()]
    if taken and not overwrite:
        raise ValueError(
            f"There is a set {PREFIX}{name} for {', '.join(taken)} already. "
            "Choose another name, or overwrite it."
        )
    for task, items in by_task.items():
        save_trajectories(paths[task], items, quality=f"{PREFIX}{name}", **metadata)
    return tuple(paths.values())


def delete(task: Task, name: str) -> None:
    """Delete the set called ``name`` of a task; ``restore`` takes that back.

    Raises:
        ValueError: if there is none.
    """
    path = path_of(task, name)
    if not path.exists():
        raise ValueError(f"There is no set {PREFIX}{name} for {task}: it was deleted already.")
    kept = _binned(task, name)
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.replace(kept)
    kept.touch()  # so that the last deleted one is known


def deleted(task: Task) -> list[str]:
    """Return ``own:<name>`` of the sets of a task that can be restored, last deleted first."""
    paths = (FOLDER / BIN / task.family).glob(f"{task.index}-*.safetensors")
    found = sorted(paths, key=lambda path: -path.stat().st_mtime_ns)
    return [f"{PREFIX}{path.stem.split('-', 1)[1]}" for path in found]


def restore(task: Task, name: str) -> None:
    """Take back the deletion of the set called ``name`` of a task.

    Raises:
        ValueError: if it was not deleted, or there is another one of that name by now.
    """
    kept, path = _binned(task, name), path_of(task, name)
    if path.exists():
        raise ValueError(
            f"There is a set {PREFIX}{name} for {task} again: delete that one first, and the "
            "earlier one is gone for good."
        )
    if not kept.exists():
        raise ValueError(f"There is no deleted set {PREFIX}{name} for {task}.")
    kept.replace(path)


def _binned(task: Task, name: str) -> Path:
    return FOLDER / BIN / path_of(task, name).relative_to(FOLDER)
