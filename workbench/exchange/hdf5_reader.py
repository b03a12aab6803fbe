"""HDF5 of Minari, D4RL, robomimic → arrays, in a process that a hostile file may bring down.

HDF5 is a large C library, and a file can name others: links, virtual data sets and external
storage would read whatever the user may read. So the file is opened by a child process with
limits on memory and time that may not write, and only plain arrays of numbers in the file itself
are read. ``separate_process`` starts it; it imports nothing of the workbench.

``python hdf5_reader.py FILE MAX_BYTES`` writes safetensors to stdout: ``<i>.<array>`` for episode
i, or flat arrays of all; and, as JSON, which layout it is and the episodes' attributes. A refusal
is exit status 3 and a sentence on stderr.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys

MAX_EPISODES = 100_000
REFUSED = 3
MEMORY_BYTES, CPU_SECONDS = 2 << 30, 20
MINARI, D4RL, ROBOMIMIC = "minari", "d4rl", "robomimic"

# Minari's name, ours, and whether an episode must have it.
_ARRAYS = (
    ("observations", "observations", True),
    ("actions", "actions", True),
    ("rewards", "rewards", True),
    ("terminations", "terminations", False),
    ("truncations", "truncations", False),
    ("infos/state", "states", False),
)
_FLAT = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")


class Refused(Exception):
    """Why a file is not read, in one sentence."""


def _limit() -> None:
    """Give up the right to write files, to grow and to run long, where the system knows how."""
    try:
        import resource
    except ImportError:
        return
    for kind, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def _member(group, path: str):
    """Return a member of a group in the same file, or None; nothing that a link leads out of."""
    import h5py

    for name in path.split("/"):
        link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            kind = {h5py.ExternalLink: "an external link", h5py.SoftLink: "a soft link"}
            where = getattr(link, "filename", None) or getattr(link, "path", "")
            what = kind.get(type(link), "a link of its own kind")
            raise Refused(
                f"`{name}` is {what} to {where[:80]!r}. It was not followed: write the data itself."
            )
        group = group[name]
    return group


def _array(dataset, label: str, left: int):
    """Read an array of numbers of at most ``left`` bytes that lies in this very file."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"{label} is a group (a Dict or Tuple space). Flatten it to one array.")
    if dataset.is_virtual:
        raise Refused(f"{label} is a virtual data set, put together from other files. Copy them.")
    if dataset.external:
        raise Refused(f"{label} is stored in another file, {dataset.external[0][0][:80]!r}.")
    if dataset.dtype.kind not in "biuf" or dataset.dtype.itemsize > 8:
        raise Refused(f"{label} must hold plain numbers: got {str(dataset.dtype)[:80]}.")
    if dataset.size * dataset.dtype.itemsize > left:
        raise Refused("its arrays are too large when read. Split it into smaller files.")
    values = dataset[()]
    return values.astype(values.dtype.newbyteorder("="))


def _attributes(group) -> dict:
    """Return our own attributes of an episode, as JSON."""
    import numpy as np

    found = {}
    for name in group.attrs:
        if name.startswith("workbench/"):
            value = group.attrs[name]
            plain = isinstance(value, np.ndarray | np.generic | bytes)
            found[name] = np.asarray(value).tolist() if plain else str(value)[:200]
    return found


def _words(value) -> str:
    """Return what JSON has no notion of as text; other programs write text as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)[:200]


def read(path: str, max_bytes: int) -> tuple[dict, dict]:
    """Return arrays by name and what is said of them, of whichever layout the file has."""
    import h5py

    with h5py.File(path, "r") as file:
        if numbers := _numbers(file, "episode_"):
            return _minari(file, numbers, max_bytes)
        if {"observations", "actions", "rewards"} & set(file):
            return _d4rl(file, max_bytes)
        data = _member(file, "data")
        if isinstance(data, h5py.Group) and (numbers := _numbers(data, "demo_")):
            return _robomimic(data, numbers, max_bytes)
        names = ", ".join(repr(name[:40]) for name, _ in zip(file, range(8), strict=False))
        raise Refused(
            "it holds no `episode_0`, …, as Minari writes, no flat `observations`, `actions`, "
            f"`rewards` as D4RL, no `data/demo_0` as robomimic: got {names or 'nothing'}. "
            "Export it in one of these forms."
        )


def _numbers(group, prefix: str) -> list[int]:
    """Return the numbers of the members called after ``prefix``, in order."""
    found = sorted(int(m[1]) for n in group if (m := re.fullmatch(prefix + r"(\d{1,9})", n)))
    if len(found) > MAX_EPISODES:
        raise Refused(f"it has more than {MAX_EPISODES} episodes. Split it.")
    return found


class _Arrays(dict):
    """Arrays by name, of no more bytes in all than the limit."""

    def __init__(self, max_bytes: int):
        self.left = max_bytes

    def take(self, name: str, group, theirs: str, label: str, must: bool = True) -> None:
        """Read a member of a group, if it is there."""
        found = _member(group, theirs)
        if found is None and must:
            raise Refused(f"{label} is missing. Export the data set again.")
        if found is not None:
            self[name] = _array(found, label, self.left)
            self.left -= self[name].nbytes


def _minari(file, numbers: list[int], max_bytes: int) -> tuple[dict, dict]:
    arrays, attributes = _Arrays(max_bytes), []
    for i, number in enumerate(numbers):
        group = _member(file, f"episode_{number}")
        for theirs, ours, must in _ARRAYS:
            arrays.take(f"{i}.{ours}", group, theirs, f"`{theirs}` of episode {number}", must)
        attributes.append(_attributes(group))
    return arrays, {"layout": MINARI, "attributes": attributes}


def _d4rl(file, max_bytes: int) -> tuple[dict, dict]:
    """Read flat arrays of all episodes behind each other."""
    arrays = _Arrays(max_bytes)
    for name in _FLAT:
        arrays.take(name, file, name, f"`{name}`", must=False)
    return arrays, {"layout": D4RL}


def _robomimic(data, numbers: list[int], max_bytes: int) -> tuple[dict, dict]:
    """Read ``data/demo_<i>``; of its observations, which are named arrays, there must be one.

    Format: https://robomimic.github.io/docs/datasets/overview.html
    """
    import h5py

    arrays = _Arrays(max_bytes)
    for i, number in enumerate(numbers):
        demo = _member(data, f"demo_{number}")
        observed = _member(demo, "obs")
        names = list(observed) if isinstance(observed, h5py.Group) else []
        if len(names) != 1:
            got = ", ".join(repr(name[:40]) for name in names[:12]) or "none"
            raise Refused(
                f"it is a robomimic file whose observations are several arrays (demo_{number}: "
                f"{got}), which make an observation here only in the right order. Put them into "
                "one array `obs/flat`, or write `observations`, `actions`, `rewards` into an .npz."
            )
        label = f"`obs/{names[0][:40]}` of demo_{number}"
        arrays.take(f"{i}.observations", observed, names[0], label)
        for name in ("actions", "rewards"):
            arrays.take(f"{i}.{name}", demo, name, f"`{name}` of demo_{number}")
    return arrays, {"layout": ROBOMIMIC, "episodes": len(numbers)}


def answer(read) -> None:
    """Read the file named on the command line; write what ``read`` returns to stdout."""
    path, max_bytes = sys.argv[1], int(sys.argv[2])
    from safetensors.numpy import save

    _limit()
    try:
        arrays, about = read(path, max_bytes)
        sys.stdout.buffer.write(save(dict(arrays), {"about": json.dumps(about, default=_words)}))
    except Refused as refusal:
        reason = str(refusal)
    except MemoryError:
        reason = "it needs more memory than a file of demonstrations may."
    except Exception as error:  # whatever a damaged file makes h5py raise
        reason = f"it is truncated or damaged ({type(error).__name__}: {str(error)[:160]})."
        if "lock file" in str(error) or "already open" in str(error):
            reason = "another program has it open, or did not close it. Close it there and retry."
    else:
        return
    sys.stderr.reconfigure(encoding="utf-8")
    sys.stderr.write(reason)
    raise SystemExit(REFUSED)


if __name__ == "__main__":
    import h5py  # noqa: F401  (before the limits: loading libraries takes address space)

    answer(read)
