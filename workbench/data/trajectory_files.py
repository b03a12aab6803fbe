"""Trajectories on disk: what `collect` writes, what the few-shot sets ship as.

One safetensors file per (family, task, quality): plain arrays with a JSON header, read without
executing anything. Format 2 compresses columns that shrink to half by it.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workbench.data.atomic_files import whole_file
from workbench.data.films import Film
from workbench.data.trajectory import Trajectory
from workbench.tasks import find

_COLUMNS = ("observations", "actions", "rewards", "states")
_FILM = "film."


def save_trajectories(path: Path, trajectories: Sequence[Trajectory], **metadata: object) -> None:
    """Write trajectories of one task, in order; every number is kept exactly (float32)."""
    task = trajectories[0].task
    if any(t.task != task for t in trajectories):
        raise ValueError("`trajectories` must all be of one task: write one file per task.")
    columns = [c for c in _COLUMNS if all(getattr(t, c) is not None for t in trajectories)]
    tensors = {
        c: np.concatenate([getattr(t, c) for t in trajectories]).astype(np.float32) for c in columns
    }
    packed = {c: _compressed(x) for c, x in tensors.items()}
    films = {i: t.film.packed() for i, t in enumerate(trajectories) if t.film is not None}
    packed |= {f"{_FILM}{i}": film for i, film in films.items()}
    shapes = {c: x.shape for c, x in tensors.items() if packed[c] is not x}
    header = {
        "format": 2 if shapes else 1,
        "family": task.family,
        "task": task.index,
        "lengths": [len(t) for t in trajectories],
        **metadata,
    }
    if shapes:
        header["shapes"] = shapes
    with whole_file(path) as partial:
        save_file(packed, partial, {"workbench": json.dumps(header)})


def _compressed(column: np.ndarray) -> np.ndarray:
    """Return a column's bytes compressed if that halves them, else the column itself.

    It does in reach, whose observations hold each step twice and many zeros.
    """
    small = zlib.compress(column.tobytes(), 9)
    return np.frombuffer(small, np.uint8) if 2 * len(small) < column.nbytes else column


def _decompressed(name: str, packed: np.ndarray, shape: object) -> np.ndarray:
    """Return a column that ``_compressed`` made smaller; never more bytes than ``shape`` says.

    Raises:
        ValueError: if that is no shape of a column, or the bytes are others.
    """
    if (
        not isinstance(shape, list)
        or not all(type(n) is int and 0 < n <= _MOST_ROWS for n in shape)
        or len(shape) > 2
        or math.prod(shape) > _MOST_NUMBERS
    ):
        raise ValueError(f"its header gives {name!r} no possible shape: {str(shape)[:60]}")
    size = 4 * math.prod(shape)
    stream = zlib.decompressobj()
    raw = stream.decompress(packed.astype(np.uint8).tobytes(), size + 1)
    if len(raw) != size or not stream.eof:
        raise ValueError(f"its column {name!r} does not have the size that the header says")
    return np.frombuffer(raw, np.float32).reshape(shape).copy()


_MOST_ROWS, _MOST_NUMBERS = 10**7, 10**9  # a header may not ask for more memory than that


def header_of(path: Path) -> dict[str, object]:
    """Return what a trajectory file says of itself; nothing if it is missing or damaged."""
    try:
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get("workbench", "{}"))
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def load_trajectories(path: Path) -> tuple[Trajectory, ...]:
    """Read what ``save_trajectories`` wrote.

    Raises:
        ValueError: if the file is missing, truncated or not one of ours, with what to do.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"There is no trajectory file {path}. Make it with `collect`.")
    try:
        with safe_open(path, "np") as file:
            header = json.loads((file.metadata() or {}).get("workbench", "{}"))
            there = set(file.keys())
            tensors = {name: file.get_tensor(name) for name in _COLUMNS if name in there}
            films = {
                name.removeprefix(_FILM): Film.unpacked(file.get_tensor(name))
                for name in there
                if name.startswith(_FILM)
            }
        shapes = header.get("shapes", {}) if isinstance(header, dict) else {}
        for name in tensors.keys() & set(shapes):
            tensors[name] = _decompressed(name, tensors[name], shapes[name])
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} cannot be read ({reason}). Collect or copy it again.") from error
    known = isinstance(header, dict) and header.get("format") in (1, 2)
    if not known or not {"observations", "actions", "rewards"} <= tensors.keys():
        raise ValueError(f"{path} does not hold trajectories of this workbench (format 1 or 2).")
    lengths = header.get("lengths")
    whole = isinstance(lengths, list) and all(type(n) is int and n > 0 for n in lengths)
    if not whole or any(x.ndim == 0 or len(x) != sum(lengths) for x in tensors.values()):
        raise ValueError(f"{path} is damaged: its header and its rows disagree.")
    try:
        task = find(header.get("family")).task(header.get("task"))
    except (ValueError, TypeError) as error:
        named = f"{header.get('family')!s:.40} {header.get('task')!s:.40}"
        raise ValueError(f"{path} names the task {named}, which is none of ours.") from error
    cuts = np.cumsum(lengths)[:-1]
    parts = {name: np.split(tensor, cuts) for name, tensor in tensors.items()}
    episodes: list[dict[str, Any]] = [
        {**{c: parts[c][i] if c in parts else None for c in _COLUMNS}, "film": films.get(str(i))}
        for i in range(len(lengths))
    ]
    return tuple(Trajectory(**columns, task=task) for columns in episodes)
