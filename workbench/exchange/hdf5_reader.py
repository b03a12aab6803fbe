"""Minari's HDF5 file → arrays, in a process of its own that a hostile file may bring down.

HDF5 is a large C library, and a file can name others: links, virtual data sets and external
storage would read whatever the user may read. So the file is opened by a child process with
limits on memory and time that may not write, and only plain arrays of numbers in the file itself
are read. ``minari_format.py`` starts it; it imports nothing of the workbench.

``python hdf5_reader.py FILE MAX_BYTES`` writes safetensors to stdout, ``<i>.<array>`` for episode i
and its attributes as JSON. A refusal is exit status 3 and a sentence on stderr.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys

MAX_EPISODES = 100_000
REFUSED = 3
MEMORY_BYTES, CPU_SECONDS = 2 << 30, 20

# Minari's name, ours, and whether an episode must have it.
_ARRAYS = (
    ("observations", "observations", True),
    ("actions", "actions", True),
    ("rewards", "rewards", True),
    ("terminations", "terminations", False),
    ("truncations", "truncations", False),
    ("infos/state", "states", False),
)


class _Refused(Exception):
    pass


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
            raise _Refused(
                f"`{name}` is {what} to {where[:80]!r}. It was not followed: write the data itself."
            )
        group = group[name]
    return group


def _array(dataset, label: str, left: int):
    """Read an array of numbers of at most ``left`` bytes that lies in this very file."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise _Refused(f"{label} is a group (a Dict or Tuple space). Flatten it to one array.")
    if dataset.is_virtual:
        raise _Refused(f"{label} is a virtual data set, put together from other files. Copy them.")
    if dataset.external:
        raise _Refused(f"{label} is stored in another file, {dataset.external[0][0][:80]!r}.")
    if dataset.dtype.kind not in "biuf" or dataset.dtype.itemsize > 8:
        raise _Refused(f"{label} must hold plain numbers: got {str(dataset.dtype)[:80]}.")
    if dataset.size * dataset.dtype.itemsize > left:
        raise _Refused("its arrays are too large when read. Split it into smaller files.")
    values = dataset[()]
    return values.astype(values.dtype.newbyteorder("="))


def _attributes(group) -> dict:
    """Return our own attributes of an episode, as JSON."""
    import numpy as np

    found = {}
    for name in group.attrs:
        if name.startswith("workbench/"):
            value = group.attrs[name]
            plain = isinstance(value, np.ndarray | np.generic)
            found[name] = value.tolist() if plain else str(value)[:200]
    return found


def read(path: str, max_bytes: int) -> tuple[dict, dict]:
    """Return arrays by ``<i>.<name>`` and ``{"attributes": [...]}``, episodes in order."""
    import h5py

    arrays, attributes, left = {}, [], max_bytes
    with h5py.File(path, "r") as file:
        numbers = sorted(
            int(match[1]) for name in file if (match := re.fullmatch(r"episode_(\d{1,9})", name))
        )
        if not numbers:
            names = ", ".join(repr(name[:40]) for name, _ in zip(file, range(8), strict=False))
            raise _Refused(
                f"it holds no `episode_0`, …, as Minari writes: got {names or 'nothing'}"
            )
        if len(numbers) > MAX_EPISODES:
            raise _Refused(f"it has more than {MAX_EPISODES} episodes. Split it.")
        for i, number in enumerate(numbers):
            group = _member(file, f"episode_{number}")
            for theirs, ours, must in _ARRAYS:
                found = _member(group, theirs)
                label = f"`{theirs}` of episode {number}"
                if found is None and must:
                    raise _Refused(f"{label} is missing. Export the data set again.")
                if found is not None:
                    arrays[f"{i}.{ours}"] = _array(found, label, left)
                    left -= arrays[f"{i}.{ours}"].nbytes
            attributes.append(_attributes(group))
    return arrays, {"attributes": json.dumps(attributes)}


def main() -> None:
    """Read the file named on the command line."""
    path, max_bytes = sys.argv[1], int(sys.argv[2])
    import h5py  # noqa: F401  (before the limits: loading libraries takes address space)
    from safetensors.numpy import save

    _limit()
    try:
        arrays, metadata = read(path, max_bytes)
        sys.stdout.buffer.write(save(arrays, metadata))
    except _Refused as refusal:
        reason = str(refusal)
    except MemoryError:
        reason = "it needs more memory than a file of demonstrations may."
    except Exception as error:  # whatever a damaged file makes h5py raise
        reason = f"it is truncated or damaged ({type(error).__name__}: {str(error)[:160]})."
    else:
        return
    sys.stderr.write(reason)
    raise SystemExit(REFUSED)


if __name__ == "__main__":
    main()
