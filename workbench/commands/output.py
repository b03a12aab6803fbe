"""What every verb shares: its flags' types, and how it prints."""

from __future__ import annotations

import json
import os
import resource
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from tyro.conf import arg

from workbench.commands.environment import under_torchrun

Json = Annotated[bool, arg(name="json", help="Print one JSON value on stdout, all else on stderr.")]
FamilyName = Annotated[str, arg(help="Task family, such as cheetah-vel.")]
Data = Annotated[Path, arg(help="Folder of the training data that `collect` writes.")]
Split = Annotated[
    str,
    arg(help="Which tasks are held back: test (published), validation, out-of-distribution."),
]
Model = Annotated[
    str, arg(help="Frozen model that is prompted: prompt-dt, multi-game-dt, harmodt or gato.")
]
Variant = Annotated[
    str,
    arg(
        help="Other networks: n-5, k-2, …, banded, lam-3-none, seed-2, kept below data/variants; "
        "some ship."
    ),
]
Seed = Annotated[int, arg(help="Seed of everything random.")]


def command() -> str:
    """Return the command line that runs, as the manifest keeps it."""
    begin = ["python"]
    if under_torchrun():
        begin = ["torchrun", "--nproc-per-node", os.environ["WORLD_SIZE"]]
    return shlex.join([*begin, "-m", "workbench", *sys.argv[1:]])


def peak_memory() -> float:
    """Peak resident memory of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def report_made(
    path: Path, parameters: int, losses, began: float, seed: int, as_json: bool
) -> None:
    """Report a checkpoint, and enter it into the manifest when it is one that ships."""
    from workbench.shipped import assets  # with the simulator, which most verbs do without

    figures = {
        "parameters": parameters,
        "loss_last_tenth": round(float(np.mean(losses[-max(1, len(losses) // 10) :])), 5),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_memory_mb": peak_memory(),
    }
    if assets.holding(path.resolve()) is not None:
        assets.record(path.resolve(), command=command(), seed=seed, **figures)
    print_result({"file": os.path.relpath(path), **figures}, as_json)


def entries_of(paths: Iterable[Path]) -> list[dict]:
    """Return what the manifest measured of shipped files."""
    from workbench.shipped import assets

    found = []
    for path in paths:
        root = assets.holding(path) or assets.ROOT
        name = path.relative_to(root).as_posix()
        found.append({"file": name, **assets.manifest(root)[name]["measured"]})
    return found


def records(table: pd.DataFrame) -> list[dict]:
    """Return a table as plain JSON, one object per row, numbers to two digits."""
    return json.loads(table.round(2).to_json(orient="records"))


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def print_result(value: object, as_json: bool) -> None:
    """Print a result: one JSON value, or a table or list for people."""
    if as_json:
        print(json.dumps(value))
    elif isinstance(value, pd.DataFrame):
        print(value.to_string(index=False, na_rep="–"))
    elif isinstance(value, list):
        print(pd.DataFrame(value).to_string(index=False) if value else "nothing")
    else:
        width = max(map(len, value))
        print("\n".join(f"{name:<{width}}  {item}" for name, item in value.items()))
