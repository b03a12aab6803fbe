"""Runs on disk. The result is written last: its presence means that the run is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench.diffusion import DenoisingTrace
from workbench.methods import Snapshot
from workbench.model import PromptDT, PromptedPolicy
from workbench.rollout import Evaluation
from workbench.tasks import find
from workbench.trajectory import Segment, Trajectory
from workbench.tune import RunSpec, TuneStep

_TRACE = ("x", "x0_hat", "y")
_PROMPT = ("returns_to_go", "observations", "actions", "rewards", "timesteps", "mask")
_EPISODE = ("observations", "actions", "rewards", "states")


class RunStore:
    """A folder of runs, ``<id>/``, each with

    * ``spec.json``: what determines the result,
    * ``steps.jsonl``: one line per update, appended as they come,
    * ``evaluated/<update>.safetensors``: prompts, denoising trace and first episode,
    * ``result.json``: written last, so its presence means complete.
    """

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def ids(self) -> list[str]:
        """Return the ids of all complete runs, newest first."""
        done = self.root.glob("*/result.json")
        return [p.parent.name for p in sorted(done, key=lambda p: -p.stat().st_mtime)]

    def record(self, spec: RunSpec, steps: Iterable[TuneStep]) -> Iterator[TuneStep]:
        """Pass ``steps`` through while writing them; the result follows the last one.

        A stream that is closed early leaves a folder without a result: an incomplete run,
        which the next recording of the same spec replaces.
        """
        folder = self.root / spec.id
        (folder / "evaluated").mkdir(parents=True, exist_ok=True)
        (folder / "result.json").unlink(missing_ok=True)
        _write(folder / "spec.json", spec.canonical)
        evaluations, seconds = [], 0.0
        with open(folder / "steps.jsonl", "w") as file:
            for step in steps:
                file.write(json.dumps(_line(step)) + "\n")
                file.flush()
                seconds += step.seconds
                if step.evaluation is not None:
                    _save_evaluated(folder / "evaluated" / f"{step.update}.safetensors", step)
                    evaluations.append({"update": step.update, **step.evaluation.summary()})
                yield step
        result = {"id": spec.id, "evaluations": evaluations}
        result |= {"n_trainable": step.n_trainable, "update_seconds": round(seconds, 3)}
        _write(folder / "result.json", result)

    def __contains__(self, run_id: str) -> bool:
        return (self.root / run_id / "result.json").exists()

    def forget(self, run_id: str) -> None:
        """Make a run incomplete, so that it is run anew."""
        (self.root / run_id / "result.json").unlink(missing_ok=True)

    def spec(self, run_id: str) -> RunSpec:
        """Return the spec of a run.

        Raises:
            ValueError: if the store has no such run or the spec cannot be read.
        """
        path = self.root / run_id / "spec.json"
        try:
            plain = json.loads(path.read_text())
            plain.pop("assets", None)
            return RunSpec(**plain)
        except (OSError, json.JSONDecodeError, TypeError, AttributeError) as error:
            raise ValueError(
                f"There is no readable run {run_id!r} in {self.root}: {error}."
            ) from error

    def returns(self, run_id: str) -> list[np.ndarray]:
        """Return the returns of every evaluation of a run, in order, (episodes,) each."""
        return [np.array(line["returns"]) for line in self.lines(run_id) if "returns" in line]

    def measured(self, run_id: str, name: str) -> np.ndarray:
        """Return what the updates of a run measured under ``name``, in order."""
        return np.array([line[name] for line in self.lines(run_id) if name in line])

    def lines(self, run_id: str) -> list[dict]:
        """Return the lines of ``steps.jsonl``: what is known of every update.

        Raises:
            ValueError: if they cannot be read.
        """
        try:
            text = (self.root / run_id / "steps.jsonl").read_text()
            return [json.loads(line) for line in text.splitlines()]
        except (OSError, ValueError) as error:
            raise ValueError(f"Run {run_id!r} in {self.root} is damaged: {error!r}.") from error

    def load(self, run_id: str, model: PromptDT) -> list[TuneStep]:
        """Return the steps of a run, evaluated ones with their policy, trace and first episode.

        Args:
            run_id: Id of the run.
            model: The frozen model that it acts with, as ``tune.acting_model`` gives it.
        """
        spec, folder = self.spec(run_id), self.root / run_id
        try:
            lines = self.lines(run_id)
            return [_step(line, spec, folder / "evaluated", model) for line in lines]
        except (OSError, KeyError, TypeError, SafetensorError) as error:
            raise ValueError(f"Run {run_id!r} in {self.root} is damaged: {error!r}.") from error


def _write(path: Path, value: object) -> None:
    """Write JSON so that a reader sees all of it or nothing."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    partial.replace(path)


def _line(step: TuneStep) -> dict:
    line = {"update": step.update, "seconds": round(step.seconds, 5), **step.measured}
    if step.evaluation is not None:
        line["returns"] = [round(float(r), 4) for r in step.evaluation.returns]
        line["seeds"] = list(step.evaluation.seeds)
    return line


def _save_evaluated(path: Path, step: TuneStep) -> None:
    prompt, trace = step.snapshot.policy.prompt, step.snapshot.trace
    tensors = {f"prompt.{n}": getattr(prompt, n) for n in _PROMPT}
    tensors |= {f"weights.{n}": w for n, w in step.snapshot.weights.items()}
    if trace is not None:
        tensors |= {f"trace.{n}": getattr(trace, n) for n in _TRACE}
    first = step.evaluation.trajectories[0]
    tensors |= {f"episode.{n}": torch.from_numpy(getattr(first, n)) for n in _EPISODE}
    save_file({n: t.contiguous() for n, t in tensors.items()}, path)


def _step(line: dict, spec: RunSpec, folder: Path, model: PromptDT) -> TuneStep:
    line = dict(line)
    update, seconds = line.pop("update"), line.pop("seconds")
    returns, seeds = line.pop("returns", None), line.pop("seeds", ())
    if returns is None:
        return TuneStep(update, line, seconds)
    tensors = load_file(folder / f"{update}.safetensors")
    prompt = Segment(**{n: tensors[f"prompt.{n}"] for n in _PROMPT})
    trace = None
    if "trace.x" in tensors:
        trace = DenoisingTrace(**{n: tensors[f"trace.{n}"] for n in _TRACE})
    task = find(spec.family).task(spec.task)
    episode = {n: tensors[f"episode.{n}"].numpy() for n in _EPISODE}
    evaluation = Evaluation(
        task, tuple(seeds), np.array(returns), (Trajectory(**episode, task=task),)
    )
    weights = _below(tensors, "weights.")
    policy = PromptedPolicy(model.with_weights(weights) if weights else model, prompt)
    return TuneStep(update, line, seconds, Snapshot(policy, trace, weights), evaluation)


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
