"""How a store grows: what it costs to list more and more runs. They are made, not computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.benchmarks.growth import Point
from workbench.runs import index
from workbench.runs.run_folder import RESULT
from workbench.tuning.identity import id_of, untuned

AXIS = "runs in a store"
_UPDATES, _EPISODES = 20, 20
_FILES = {"demos": "0123456789ab", "model": "ba9876543210"}


def make(root: Path, seed: int) -> Path:
    """Write the folder of a made run as a sweep leaves it, without its tensors, and return it."""
    rng = np.random.default_rng(seed)
    spec = {
        "family": "cheetah-vel", "task": (2, 7, 15, 23, 26)[seed // 10 % 5], "quality": "medium",
        "method": "soft-prompt", "settings": {"lr": 0.01 + seed % 10 / 1_000, "batch_size": 16},
        "updates": _UPDATES, "seed": seed // 10, "eval_every": 0, "episodes": _EPISODES,
        "prompts": "", "split": "test", "precision": "bf16", "assets": _FILES,
    }  # fmt: skip
    if seed % 10 == 0:  # nine settings beside the untuned prompt of the same task and seed
        spec = untuned(spec)
    folder = root / id_of(spec)
    folder.mkdir(parents=True, exist_ok=True)
    updates = range(spec["updates"] + 1)
    lines = [{"update": u, "seconds": 0.01, "loss_dt": float(rng.random())} for u in updates]
    lines[-1] |= {"returns": rng.normal(-40, 9, _EPISODES).round(4).tolist()}
    lines[-1] |= {"seeds": list(range(5_000, 5_000 + _EPISODES))}
    (folder / "spec.json").write_text(json.dumps(spec, indent=1))
    (folder / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "made.json").write_text('{"commit": "made", "machine": "made", "seconds": 1.0}')
    (folder / RESULT).write_text(
        json.dumps({"format": 3, "id": folder.name, "n_trainable": 675, "update_seconds": 0.2})
    )
    return folder


def listing(sizes: tuple[int, ...] = (100, 1_000, 10_000, 20_000, 100_000)) -> Iterator[Point]:
    """List ever larger stores: with the index lost, with it, and after one more run."""
    with tempfile.TemporaryDirectory() as folder:
        root, n = Path(folder), 0
        for size in sizes:
            for seed in range(n, size):
                make(root, seed)
            n = size + 1
            (root / index.FILE).unlink(missing_ok=True)
            yield Point(AXIS, "`workbench runs`, index lost", size, _seconds(root), "s")
            yield Point(AXIS, "`workbench runs`", size, _seconds(root), "s")
            yield Point(AXIS, "one more run", size, _one_more(root, size), "s")


def _seconds(root: Path) -> float:
    """Return the CPU time of the verb in a process of its own."""
    before = os.times()
    command = [sys.executable, "-m", "workbench", "runs", "--store", str(root), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def _one_more(root: Path, seed: int) -> float:
    """Return the CPU time that one more finished run costs its writer."""
    folder, began = make(root, seed), time.process_time()
    index.add(folder)
    return time.process_time() - began


PARTS = (listing,)
