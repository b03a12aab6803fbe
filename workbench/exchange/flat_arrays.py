"""Flat arrays of many episodes, as D4RL, ``.npz`` files and tables have them, cut into episodes.

One row per step, all episodes behind each other; flags say where one ends. Format:
https://github.com/Farama-Foundation/D4RL#using-d4rl
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from workbench.exchange.pickle_reader import MAX_ARRAY_BYTES, RefusedFile, refuse
from workbench.exchange.raw_episodes import Episode

_MUST = ("observations", "actions", "rewards")
_ENDS = ("terminals", "timeouts", "dones", "terminations", "truncations")
"""Names of flags that are set in the last row of an episode; the first that is there is its
terminals."""
KNOWN = (*_MUST, "next_observations", *_ENDS, "episode_index")


def cut(
    flat: Mapping[str, np.ndarray], whole: str = "the file", there: Sequence[str] = ()
) -> tuple[Episode, ...]:
    """Cut flat arrays into episodes, after every row whose flag is set.

    Args:
        flat: ``observations`` (N, O), ``actions`` (N, A), ``rewards`` (N,); perhaps
            ``next_observations`` (N, O) and flags (N,), or ``episode_index`` (N,) instead of them.
            Others are left out.
        whole: What holds them, for errors.
        there: Names of all arrays, if ``flat`` has not all.

    Raises:
        RefusedFile: if arrays are missing or have not the same number of rows.
    """
    got = ", ".join(f"`{name[:40]}`" for name in list(there or flat)[:12]) or "nothing"
    if lacking := [name for name in _MUST if name not in flat]:
        refuse(
            f"{whole} holds flat arrays without {' and '.join(f'`{n}`' for n in lacking)}: got "
            f"{got}. Write `observations`, `actions`, `rewards`, `terminals` and `timeouts`, one "
            "row per step."
        )
    arrays = {name: np.asarray(flat[name]) for name in KNOWN if name in flat}
    n = len(arrays["rewards"]) if arrays["rewards"].ndim else 0
    for name, x in arrays.items():
        if not x.ndim or len(x) != n:
            refuse(
                f"`{name}` of {whole} must have one row per reward: got {x.shape} with {n} rewards."
            )
    ends = [name for name in _ENDS if name in arrays]
    last = np.zeros(n, bool)
    for name in ends:
        last |= arrays[name].reshape(n, -1).any(1) if n else last
    if "episode_index" in arrays:
        index = arrays["episode_index"].reshape(n, -1)
        last[:-1] |= (index[1:] != index[:-1]).any(1)
    cuts = np.flatnonzero(last) + 1
    kept = {name: arrays[name] for name in (*_MUST, "next_observations") if name in arrays}
    if ends:
        kept["terminals"] = arrays[ends[0]]
    parts = {name: np.split(x, cuts[cuts < n]) for name, x in kept.items()}
    return tuple(
        {name: part[i] for name, part in parts.items()} for i in range(len(parts["rewards"]))
    )


def npz_episodes(path: Path) -> tuple[Episode, ...]:
    """Return the episodes of a NumPy archive of flat arrays, unpickling nothing.

    Raises:
        RefusedFile: if one is damaged, too large, or of objects.
    """
    arrays, left = {}, MAX_ARRAY_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist()]
            for name in archive.namelist():
                if name.removesuffix(".npy") in KNOWN:
                    with archive.open(name) as file:
                        shape, fortran, dtype = _header(file)
                        left -= math.prod(shape) * dtype.itemsize
                        if dtype.kind not in "biuf" or left < 0:
                            refuse(
                                f"its array `{name}` must hold plain numbers, of {left >> 20} MiB "
                                f"at most: got {dtype.name} {shape}. Save it as float32."
                            )
                        raw = file.read(math.prod(shape) * dtype.itemsize)
                        order = "F" if fortran else "C"
                        values = np.frombuffer(raw, dtype).reshape(shape, order=order)
                        arrays[name.removesuffix(".npy")] = values.copy()
    except RefusedFile:
        raise
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        reason = "the archive is truncated or damaged, or holds objects. Save it again."
        refuse(reason, f"{type(error).__name__}: {str(error)[:120]}")
    return cut(arrays, "it, a NumPy archive (.npz),", there)


# What NumPy raises about a header that is no header, the tokenizer's errors included.
_DAMAGE = (
    ValueError, TypeError, EOFError, OSError, KeyError, NotImplementedError, RuntimeError,
    SyntaxError, MemoryError, tokenize.TokenError,
)  # fmt: skip


def _header(file) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    major, _ = np.lib.format.read_magic(file)
    shape, fortran, dtype = read[major](file)
    if any(n < 0 for n in shape) or len(shape) > 4:
        refuse(f"an array must have at most 4 dimensions: got {str(shape)[:60]}.")
    return shape, fortran, dtype
