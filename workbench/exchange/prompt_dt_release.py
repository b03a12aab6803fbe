"""The demonstrations released with Prompt-DT: pickled lists of episodes, named after their task.

The README of https://github.com/mxu34/prompt-dt links them. They are read without running them
(``pickle_reader``); ``received.examine`` replays them in our tasks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from workbench.exchange.flat_arrays import KNOWN, cut
from workbench.exchange.pickle_reader import PickledArray, read_pickle, refuse
from workbench.exchange.raw_episodes import FIELDS, Episode
from workbench.tasks import FAMILIES

_FLAT = ("observations", "actions", "rewards")
_NAME = re.compile(r"([A-Za-z]\w*)-(\d{1,4})-(?:prompt-)?[a-z]+\.pkl", re.ASCII)


def pickled_episodes(path: str | Path) -> tuple[Episode, ...]:
    """Return a pickled list of dicts of arrays, one per episode, as it is in the file.

    One dict of flat arrays of all episodes is cut into them.

    Raises:
        RefusedFile: if it is damaged or holds anything but plain containers and arrays.
    """
    value = read_pickle(path)
    if type(value) is dict and set(_FLAT) <= value.keys():
        return cut({n: _array(x, f"`{n}`") for n, x in value.items() if n in KNOWN})
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


def named_task(path: str | Path) -> tuple[str, int] | None:
    """Return family and index if the file is called ``cheetah_vel-2-prompt-expert.pkl``."""
    match = _NAME.fullmatch(Path(path).name)
    family = match[1].lower().replace("_", "-") if match else None
    return (family, int(match[2])) if match and family in FAMILIES else None
