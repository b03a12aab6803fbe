"""How a store grows: what it costs to list more and more runs, and how much room each takes.

The runs are made, not computed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.growth import Point
from workbench.data.rollout import Evaluation
from workbench.data.trajectory import Trajectories
from workbench.methods import GradientReport, Snapshot
from workbench.methods.projection import Agreement, Plane
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.runs import index, step_columns
from workbench.runs.run_folder import FORMAT, NUMBERS, RESULT
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tuning.identity import id_of, untuned
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec, acting_model

AXIS, ROOM = "runs in a store", "updates of a run"
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
    (folder / "steps.jsonl").touch()
    (folder / step_columns.FILE).write_bytes(step_columns.packed(step_columns.lean(lines)))
    (folder / "made.json").write_text('{"commit": "made", "machine": "made", "seconds": 1.0}')
    result = {"format": FORMAT, "kept": NUMBERS, "id": folder.name}
    (folder / RESULT).write_text(json.dumps(result | {"n_trainable": 675, "update_seconds": 0.2}))
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


def room(sizes: tuple[int, ...] = (50, 100, 200, 400)) -> Iterator[Point]:
    """Write Prompt Diffuser's runs of ever more updates, all of each and its numbers alone."""
    for size in sizes:
        spec = RunSpec("cheetah-vel", 2, updates=size)
        for line, alone in (("all of it", False), ("its numbers alone", True)):
            with tempfile.TemporaryDirectory() as folder:
                store = RunStore(folder, numbers_alone=alone)
                list(store.record(spec, _steps(spec)))
                files = [path for path in store.folder(spec.id).rglob("*") if path.is_file()]
                held = sum(path.stat().st_size for path in files) / 1_000
                yield Point(ROOM, f"a run on disk, {line}", size, held, "kB")


def _steps(spec: RunSpec) -> Iterator[TuneStep]:
    """Yield steps as Prompt Diffuser's, with numbers that nothing can guess."""
    rng, demos = np.random.default_rng(0), assets.demos(spec.resolved_task, spec.quality)
    prompt = Trajectories(demos).segments(np.zeros(5, int), np.arange(5), 5)
    width = demos[0].observations.shape[1] + demos[0].actions.shape[1] + 1
    chain = torch.randn(21, 1, 5, width)
    trace = DenoisingTrace(chain, chain[1:].clone(), torch.zeros(1, 5, 2))
    snapshot = Snapshot(PromptedPolicy(acting_model(spec), prompt), trace)
    for update in range(spec.updates + 1):
        agreed = [Agreement(*(float(f"{v:.4g}") for v in row)) for row in rng.normal(size=(8, 4))]
        plane = Plane(*(float(f"{v:.4g}") for v in rng.normal(size=6)))
        tensors = {f"hidden.{n}.weight": one for n, one in enumerate(agreed)}
        told = GradientReport(float(rng.normal()), False, 0.0, plane, tensors)
        losses = dict(
            zip(("loss_dm", "loss_dt"), map(float, np.float32(rng.random(2))), strict=True)
        )
        seconds = abs(float(rng.normal(0.05, 0.01)))
        step = TuneStep(update, losses, seconds, gradients=told, n_trainable=1)
        if update in (0, spec.updates):
            returns = rng.normal(-40, 9, _EPISODES)
            found = Evaluation(spec.resolved_task, tuple(range(_EPISODES)), returns, demos[:1])
            step = dataclasses.replace(step, snapshot=snapshot, evaluation=found, trace=trace)
        yield step


PARTS = (listing, room)
