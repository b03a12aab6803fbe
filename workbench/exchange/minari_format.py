"""Trajectories as Minari data sets, Farama's format, and back bit for bit.

A Minari episode has one observation more than actions. The last row that we write is what the
simulator shows after the last action, replayed from the recorded state; without recorded states
it is the last observation repeated. ``workbench/last_observation`` among an episode's attributes
says which; reading drops the row. States, one more as well, stand in ``infos["state"]``.

Minari's own reader is not used: it builds the environment that ``metadata.json`` names, which
runs whatever code that names (``tests/exchange/test_minari_format.py`` shows it). Files are read by
``hdf5_reader.py``, in a process of its own.

Format: https://minari.farama.org/content/dataset_standards/
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium.spaces import Box

from workbench.data.atomic_files import ask_for_room, whole_folder
from workbench.data.rollout import step_from
from workbench.data.trajectory import Trajectory
from workbench.exchange import hdf5_reader
from workbench.exchange.flat_arrays import cut
from workbench.exchange.pickle_reader import refuse
from workbench.exchange.raw_episodes import Episode, to_trajectories, validated
from workbench.exchange.separate_process import read_apart
from workbench.exchange.task_match import find_task
from workbench.tasks import find

MAIN, METADATA = "main_data.hdf5", "metadata.json"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}-v\d{1,4}", re.ASCII)
_FORM = 1 << 20  # bytes that the form itself takes, and more
_COLUMNS = ("observations", "actions", "rewards", "terminations", "states")
_MAX_METADATA = 4 << 20


def save_minari(
    folder: str | Path, trajectories: Sequence[Trajectory], *, description: str = ""
) -> Path:
    """Write trajectories of one family, of any tasks and lengths, as a Minari data set.

    ``minari.MinariDataset(folder / "data")`` opens it; so does ``minari.load_dataset(name)``
    with ``MINARI_DATASETS_PATH`` set to the folder around it.

    Args:
        folder: The new folder, named as Minari names data sets: ``theirs-v0``.
        trajectories: In order; every number is kept exactly, in its own type.
        description: What they are, for people.

    Returns:
        The folder.

    Raises:
        ValueError: if the name is not Minari's, the folder exists, or there are no trajectories
            or those of several families.
    """
    folder = Path(folder)
    if not _NAME.fullmatch(folder.name):
        raise ValueError(
            f"A Minari data set's folder is named letters, digits, - and _, then its version: "
            f"got {folder.name!r}. Call it `theirs-v0`, say."
        )
    if folder.exists():
        raise ValueError(f"{folder} exists already. Choose another name or version, or remove it.")
    families = sorted({t.task.family for t in trajectories})
    if len(families) != 1:
        got = ", ".join(families) or "no trajectories"
        raise ValueError(f"A data set holds the trajectories of one family: got {got}.")
    # Absolute: Minari counts the bytes of a relative folder wrongly and fails.
    with whole_folder(folder.absolute()) as partial:
        columns = [x for t in trajectories for x in vars(t).values() if isinstance(x, np.ndarray)]
        ask_for_room(partial, _FORM + 2 * sum(x.nbytes for x in columns))
        _write(partial / "data", folder.name, trajectories, description)
    return folder


def _write(data: Path, name: str, trajectories: Sequence[Trajectory], description: str) -> None:
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    first = trajectories[0]
    family = find(first.task.family)
    n, dtype = first.observations.shape[1], first.observations.dtype
    observations = Box(-np.inf, np.inf, (n,), dtype)
    actions = Box(-1, 1, first.actions.shape[1:], first.actions.dtype)
    storage = MinariStorage.new(data, observations, actions, data_format="hdf5")
    storage.update_metadata(
        {
            "dataset_id": name,
            "minari_version": importlib.metadata.version("minari"),
            "description": description or f"{family.label}, by Prompt Diffuser Workbench",
            "workbench": {
                "family": family.name,
                "tasks": sorted({t.task.index for t in trajectories}),
                "goal": f"{family.goal_label} [{family.goal_unit}]",
                "observations": [str(v) for v in family.observations],
                "actions": [str(v) for v in family.actions],
            },
        }
    )
    buffers, attributes = [], []
    for number, trajectory in enumerate(trajectories):
        last = _last_row(trajectory)
        ended = np.zeros((2, len(trajectory)), bool)
        ended[0 if last.terminated else 1, -1] = True
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=_append(trajectory.observations, last.observation),
                actions=trajectory.actions,
                rewards=trajectory.rewards,
                terminations=ended[0],
                truncations=ended[1],
                infos=None
                if trajectory.states is None
                else {"state": _append(trajectory.states, last.state)},
            )
        )
        attributes.append(
            {
                "workbench/family": trajectory.task.family,
                "workbench/task": trajectory.task.index,
                "workbench/goal": list(trajectory.task.goal),
                "workbench/last_observation": last.origin,
            }
        )
    storage.update_episodes(buffers)
    storage.update_episode_metadata(attributes)


@dataclass(frozen=True, eq=False)
class _Last:
    """What follows the last action of a trajectory."""

    observation: np.ndarray
    state: np.ndarray | None
    terminated: bool
    origin: str


def _last_row(trajectory: Trajectory) -> _Last:
    if trajectory.states is None:
        return _Last(trajectory.observations[-1], None, False, "repeated")
    (after,) = step_from(trajectory.task, trajectory.states[-1:], trajectory.actions[-1:])
    terminated = bool(after.terminated)
    if not (np.isfinite(after.observation).all() and np.isfinite(after.state).all()):
        return _Last(trajectory.observations[-1], trajectory.states[-1], terminated, "repeated")
    return _Last(after.observation, after.state, terminated, "replayed")


def _append(rows: np.ndarray, last: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.asarray(last, rows.dtype)[None]])


@dataclass(frozen=True, eq=False)
class MinariFile:
    """What a Minari data set holds, checked for no more than its form.

    Attributes:
        episodes: In order, T rows each, arrays in the file's own types.
        claims: Family and task index that each names, where we wrote it.
        warnings: What is odd about it.
    """

    episodes: tuple[Episode, ...]
    claims: tuple[tuple[str, int] | None, ...]
    warnings: tuple[str, ...] = ()


def read_minari(path: str | Path) -> MinariFile:
    """Read a Minari data set, written by us or not, without running anything that it names.

    Args:
        path: The data set's folder, its ``data`` folder, or ``main_data.hdf5`` alone.

    Raises:
        RefusedFile: if it is damaged, names other files, or is not of Minari's form.
    """
    main, declared = _main_file(Path(path))
    arrays, about = read_apart(hdf5_reader, main)
    if about["layout"] != hdf5_reader.MINARI:
        refuse(f"it holds no `episode_0`, …, as Minari writes: it is of {about['layout']}'s form.")
    return _of_minari(arrays, about["attributes"], declared)


def read_hdf5(path: Path) -> tuple[str, MinariFile]:
    """Read an HDF5 file of Minari, D4RL or robomimic; return which of them, and what it holds.

    Raises:
        RefusedFile: see ``read_minari``.
    """
    arrays, about = read_apart(hdf5_reader, path)
    if about["layout"] == hdf5_reader.D4RL:
        episodes = cut(arrays, "it, a D4RL file,")
    elif about["layout"] == hdf5_reader.ROBOMIMIC:
        columns = ("observations", "actions", "rewards")
        episodes = tuple({c: arrays[f"{i}.{c}"] for c in columns} for i in range(about["episodes"]))
    else:
        return about["layout"], _of_minari(arrays, about["attributes"])
    return about["layout"], MinariFile(episodes, (None,) * len(episodes))


def _of_minari(arrays: dict, attributes: list[dict], declared: object = None) -> MinariFile:
    claims = tuple(_claim(about, i) for i, about in enumerate(attributes))
    episodes = tuple(
        _aligned({c: arrays.get(f"{i}.{c}") for c in _COLUMNS}, i, ours=claim is not None)
        for i, claim in enumerate(claims)
    )
    warnings = ()
    if isinstance(declared, int) and declared != len(episodes):
        warnings = (
            f"{METADATA} speaks of {declared} episode(s), {MAIN} holds {len(episodes)}: "
            "perhaps it was cut short.",
        )
    return MinariFile(episodes, claims, warnings)


def load_minari(
    path: str | Path, family: str | None = None, task: int | None = None
) -> tuple[Trajectory, ...]:
    """Read a Minari data set as trajectories; exactly, if ``save_minari`` wrote it.

    Args:
        path: See ``read_minari``.
        family: Name of the task family of a data set that does not say; else found by its sizes.
        task: Index of the task, likewise; else found by its rewards.

    Raises:
        RefusedFile: see ``read_minari``; or if nothing says or fits the task.
    """
    read = read_minari(path)
    if all(read.claims) and family is None and task is None:
        tasks = [find(name).task(index) for name, index in read.claims]
        return tuple(
            Trajectory(
                **{c: e[c] for c in ("observations", "actions", "rewards")},
                states=e.get("states"),
                task=of,
            )
            for e, of in zip(read.episodes, tasks, strict=True)
        )
    episodes, problems = validated(read.episodes)
    if problems:
        refuse(problems[0])
    return to_trajectories(episodes, find_task(episodes, family, task).task)


def _main_file(path: Path) -> tuple[Path, object]:
    """Return the HDF5 file of a data set and how many episodes its metadata speak of."""
    if not path.is_dir():
        return path, None
    folder = next((f for f in (path / "data", path) if (f / METADATA).is_file()), None)
    if folder is None:
        refuse(f"the folder holds no Minari data set: no {METADATA} in it or in data/.")
    metadata = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if (folder / METADATA).stat().st_size <= _MAX_METADATA:
            metadata = json.loads((folder / METADATA).read_bytes())
    if not isinstance(metadata, dict):
        refuse(f"its {METADATA} is damaged: no JSON object, or a huge one.")
    kind, there = str(metadata.get("data_format", "hdf5"))[:40], (folder / MAIN).is_file()
    if kind != "hdf5" or not there:
        refuse(
            f"its {METADATA} says that the data are {kind!r}, and {MAIN} is "
            f"{'' if there else 'not '}there. Of Minari's formats hdf5 alone is read: write the "
            'data set again with data_format="hdf5".'
        )
    return folder / MAIN, metadata.get("total_episodes")


def _aligned(given: dict[str, np.ndarray | None], number: int, *, ours: bool) -> Episode:
    """Turn Minari's T + 1 observations and states into T, and the observations after each."""
    rewards, observations = given["rewards"], given["observations"]
    n = len(rewards) if rewards.ndim else -1
    if n < 0 or not observations.ndim or len(observations) != n + 1:
        refuse(
            f"episode {number} must have one observation more than rewards, as Minari's have: got "
            f"{observations.shape} with {rewards.shape} rewards."
        )
    episode = {"observations": observations[:-1], "next_observations": observations[1:]}
    episode |= {"actions": given["actions"], "rewards": rewards}
    if given["terminations"] is not None:
        episode["terminals"] = given["terminations"]
    if ours and given["states"] is not None:
        episode["states"] = given["states"][:-1]
    return episode


def _claim(about: dict, number: int) -> tuple[str, int] | None:
    """Return family and index that an episode's attributes name; the task must have that goal."""
    if "workbench/family" not in about:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        task = find(about["workbench/family"]).task(about["workbench/task"])
        if np.allclose(task.goal, about["workbench/goal"]):
            return task.family, task.index
    said = " ".join(str(about.get(f"workbench/{k}"))[:40] for k in ("family", "task", "goal"))
    refuse(f"episode {number} says it is of the task {said}, which is none of this workbench.")
