"""Runs on disk. The result is written last: its presence means that the run is complete."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench.data.atomic_files import disk_errors, sync, whole_file, write_json
from workbench.data.films import Film
from workbench.data.rollout import Evaluation
from workbench.data.trajectory import Segment, Trajectory
from workbench.methods import GradientReport, Snapshot
from workbench.methods.projection import Agreement, Plane
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.fast.processor import has_bf16
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import Precision, PromptedPolicy
from workbench.runs import run_folder, step_columns
from workbench.runs.index import Index, add, index_of
from workbench.runs.locks import held
from workbench.runs.run_folder import FORMAT, MADE, NUMBERS, RESULT, WITH_LINES
from workbench.tuning.identity import id_of
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec

FILES = ".files"
"""In the store's folder: what runs read, by hash, where a sweep sends it to other machines."""
_DAMAGE = (KeyError, TypeError, AttributeError)
_PATIENCE = 5.0  # seconds that another writer of the same run has to end
_TRACE = ("x", "x0_hat", "y")
_PROMPT = ("returns_to_go", "observations", "actions", "rewards", "timesteps", "mask")
_EPISODE = ("observations", "actions", "rewards", "states")


class BeingWrittenError(ValueError):
    """Another process is at this run now."""


class RunStore:
    """A folder of runs, ``<id>/``, each with

    * ``spec.json``: what determines the result,
    * ``steps.jsonl``: one line per update, appended as they come,
    * ``evaluated/<update>.safetensors``: prompts, the first one's denoising and first episode,
    * ``traces/<update>.safetensors``: the first prompt's denoising, in between,
    * ``result.json``: written last, so its presence means complete.

    All but the tensors is JSON: ``pandas.read_json(path, lines=True)`` reads the updates. A kill
    at any moment leaves no run that reads as complete and is not, and costs at most the update in
    flight. Several processes may share a folder; one at a time writes a run.

    A store of very many runs keeps ``numbers_alone``: on completion the updates become columns,
    ``steps.json.xz``, in place of the lines (``step_columns``), and of the tensors only the last
    prompts stay. Such a run is made anew to see its chain and its episodes.

    Args:
        root: The folder.
        numbers_alone: What a run that is recorded keeps; either kind is read.
    """

    def __init__(self, root: Path | str, *, numbers_alone: bool = False):
        self.root, self.numbers_alone = Path(root), numbers_alone

    def ids(self) -> list[str]:
        """Return the ids of all complete runs, newest first."""
        done = self.root.glob("*/result.json")
        return [p.parent.name for p in sorted(done, key=lambda p: -p.stat().st_mtime)]

    def record(self, spec: RunSpec, steps: Iterable[TuneStep]) -> Generator[TuneStep]:
        """Pass ``steps`` through while writing them; the result follows the last one.

        A stream that is closed early leaves a folder without a result: an incomplete run,
        which the next recording of the same spec replaces. Nothing is written where another
        process completes the run while this one waits for it.

        Raises:
            BeingWrittenError: if another process is writing this run.
        """
        canonical = spec.canonical
        run_id = id_of(canonical)
        folder = self.root / run_id
        there = (folder / RESULT).exists()
        # the lock is on the very file that two writers would mix up
        with held(folder / "steps.jsonl", _PATIENCE) as ours:
            if not ours:
                raise BeingWrittenError(
                    f"Run {run_id} in {self.root} is being written by another process. "
                    "Wait until it ends, or choose another folder."
                )
            if not there and (folder / RESULT).exists():
                yield from steps  # as good as recorded, and to be lost by a kill
                return
            _empty(folder)
            write_json(folder / "spec.json", canonical, sort_keys=True)
            yield from self._written(run_id, spec.asked_precision, steps)

    def _written(
        self, run_id: str, precision: Precision, steps: Iterable[TuneStep]
    ) -> Iterator[TuneStep]:
        """Write the steps of a run into its empty folder, then its result."""
        folder, evaluations, seconds = self.root / run_id, [], 0.0
        with open(folder / "steps.jsonl", "w") as file:
            for step in steps:
                seconds += step.seconds
                if step.evaluation is not None:
                    if not self.numbers_alone:
                        _save_evaluated(_made(folder / "evaluated") / _name(step), step)
                    evaluations.append({"update": step.update, **step.evaluation.summary()})
                    evaluated = step
                elif step.trace is not None and not self.numbers_alone:
                    _save_trace(_made(folder / "traces") / _name(step), step.trace)
                # after the files that it stands for: a line promises them
                file.write(json.dumps(_line(step)) + "\n")
                file.flush()
                yield step
        result = {"format": WITH_LINES, "id": run_id, "evaluations": evaluations}
        if self.numbers_alone:
            result |= {"format": FORMAT, "kept": NUMBERS}
            _save_prompts(_made(folder / "evaluated") / _name(evaluated), evaluated)
            with whole_file(folder / step_columns.FILE) as partial:
                partial.write_bytes(step_columns.packed(step_columns.lean(self.lines(run_id))))
        result |= {"n_trainable": step.n_trainable, "update_seconds": round(seconds, 3)}
        result["computed_in"] = "bf16" if precision == "bf16" and has_bf16() else "fp32"
        for path in [*folder.rglob("*"), folder, self.root]:
            sync(path)  # a power cut must not leave a result without what it sums up
        write_json(folder / "result.json", result, sort_keys=True)
        if self.numbers_alone:
            os.truncate(folder / "steps.jsonl", 0)  # not deleted: the lock is on it
        add(folder)

    def index(self) -> Index:
        """Return what all complete runs say, and which of them cannot be read."""
        return index_of(self.root)

    def folder(self, run_id: str) -> Path:
        """Return where the files of a run can be read."""
        return self.root / run_id

    def settled(self, run_id: str) -> bool:
        """Return whether a run is complete and where it belongs, so that nothing is left to do."""
        return run_id in self

    def deliver(self, run_id: str) -> None:
        """Bring what there is of a run to where it belongs; a folder of this machine is there."""

    def give(self, digest: str, path: Path) -> None:
        """Keep a file that runs read under its hash, for machines that lack it."""
        kept = self.root / FILES / digest
        if not kept.exists():
            with whole_file(kept) as partial:
                shutil.copyfile(path, partial)

    def take(self, digest: str, path: Path) -> None:
        """Copy a file that was given to ``path``.

        Raises:
            FileNotFoundError: if none of that hash was given.
        """
        shutil.copyfile(self.root / FILES / digest, path)

    def __contains__(self, run_id: str) -> bool:
        return (self.root / run_id / "result.json").exists()

    def whole(self, run_id: str) -> bool:
        """Return whether a run is complete, with all that there is to see: ``load`` reads it."""
        try:
            return self.result(run_id).get("kept") != NUMBERS
        except ValueError:
            return False

    def forget(self, run_id: str) -> None:
        """Make a run incomplete, so that it is run anew."""
        (self.root / run_id / "result.json").unlink(missing_ok=True)

    def result(self, run_id: str) -> dict:
        """Return ``result.json`` of a complete run.

        Raises:
            ValueError: if it is not there, cannot be read, or is of a later workbench.
        """
        return run_folder.result(self.folder(run_id))

    def spec(self, run_id: str) -> RunSpec:
        """Return the spec of a run.

        Raises:
            ValueError: if the store has no such run, the spec cannot be read, or a later
                workbench wrote it.
        """
        path = self.folder(run_id) / "spec.json"
        if run_id in self:
            self.result(run_id)  # says so if the format is a later one
        plain = run_folder.spec(path.parent)
        try:
            return RunSpec.stored(plain)
        except TypeError as error:
            raise ValueError(
                f"There is no readable run {run_id!r} in {self.root}: {error}."
            ) from error

    def returns(self, run_id: str) -> list[np.ndarray]:
        """Return the returns of every evaluation of a run, in order, (episodes,) each."""
        return [np.array(line["returns"]) for line in self.lines(run_id) if "returns" in line]

    def lines(self, run_id: str) -> list[dict]:
        """Return what is known of every update, one line each, in today's form.

        The last one of an incomplete run is left out where a crash tore it.

        Raises:
            ValueError: if they cannot be read.
        """
        return run_folder.lines(self.folder(run_id))

    def numbers(self, run_id: str) -> list[TuneStep]:
        """Return the steps of a run without prompts, chains and episodes: any run has these.

        Raises:
            ValueError: if they cannot be read.
        """
        task, steps = self.spec(run_id).resolved_task, []
        try:
            for line in self.lines(run_id):
                step = _told(line)
                if "returns" in line:
                    found = Evaluation(task, tuple(line["seeds"]), np.array(line["returns"]), ())
                    step = dataclasses.replace(step, evaluation=found)
                steps.append(step)
        except _DAMAGE as error:
            raise ValueError(f"Run {run_id!r} in {self.root} is damaged: {error!r}.") from error
        return steps

    def load(self, run_id: str, model: FrozenModel) -> list[TuneStep]:
        """Return the steps of a run, evaluated ones with policy, first chain and first episode.

        Of a denoising trace the first prompt's chain is kept, in halves: enough to draw it.

        Args:
            run_id: Id of the run.
            model: The frozen model that it acts with, as ``spec.acting_model`` gives it.

        Raises:
            ValueError: if it cannot be read, or keeps its numbers alone.
        """
        spec, folder = self.spec(run_id), self.folder(run_id)
        if run_id in self and not self.whole(run_id):
            raise ValueError(
                f"Run {run_id!r} in {self.root} keeps its numbers alone, as sweeps do: make it "
                f"anew to see its prompts and episodes, by `{spec.command}`."
            )
        try:
            lines = self.lines(run_id)
            return [_step(line, spec, folder, model) for line in lines]
        except (OSError, *_DAMAGE, SafetensorError) as error:
            raise ValueError(f"Run {run_id!r} in {self.root} is damaged: {error!r}.") from error


def _empty(folder: Path) -> None:
    """Take away an earlier attempt: its result first and for good, then lines, then files."""
    (folder / "result.json").unlink(missing_ok=True)
    sync(folder)
    (folder / step_columns.FILE).unlink(missing_ok=True)
    os.truncate(folder / "steps.jsonl", 0)
    for name in ("evaluated", "traces"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / MADE).unlink(missing_ok=True)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _name(step: TuneStep) -> str:
    return f"{step.update}.safetensors"


def _line(step: TuneStep) -> dict:
    line: dict[str, Any] = {
        "update": step.update,
        "seconds": round(step.seconds, 5),
        **step.metrics,
    }
    if step.gradients is not None:
        line["gradients"] = dataclasses.asdict(step.gradients)
    if step.evaluation is not None:
        line["returns"] = [round(float(r), 4) for r in step.evaluation.returns]
        line["seeds"] = list(step.evaluation.seeds)
    return line


def _report(plain: Mapping[str, Any] | None) -> GradientReport | None:
    """Return what a line tells of gradients as the value that was written."""
    if plain is None:
        return None
    plane = Plane(**plain["plane"]) if plain["plane"] else None
    tensors = {name: Agreement(**numbers) for name, numbers in plain["tensors"].items()}
    return GradientReport(**{**plain, "plane": plane, "tensors": tensors})


def _save_evaluated(path: Path, step: TuneStep) -> None:
    assert step.snapshot is not None  # of evaluated steps, which alone are saved
    assert step.evaluation is not None
    trace = step.snapshot.trace
    tensors = _prompts(step.snapshot)
    tensors |= {f"weights.{n}": w for n, w in step.snapshot.weights.items()}
    if trace is not None:
        tensors |= {f"trace.{n}": t for n, t in _drawn(trace).items()}
    first = step.evaluation.trajectories[0]
    episode = {n: getattr(first, n) for n in _EPISODE if getattr(first, n) is not None}
    if first.film is not None:
        episode["film"] = first.film.packed()
    tensors |= {f"episode.{n}": torch.from_numpy(column) for n, column in episode.items()}
    _save(path, tensors)


def _save_prompts(path: Path, step: TuneStep) -> None:
    assert step.snapshot is not None
    _save(path, _prompts(step.snapshot))


def _prompts(snapshot: Snapshot) -> dict[str, torch.Tensor]:
    prompt = snapshot.policy.prompt
    return {f"prompt.{n}": getattr(prompt, n) for n in _PROMPT}


def _save(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    with disk_errors(path):
        save_file({n: t.contiguous() for n, t in tensors.items()}, path)


def _save_trace(path: Path, trace: DenoisingTrace) -> None:
    with disk_errors(path):
        save_file(_drawn(trace), path)


def _drawn(trace: DenoisingTrace) -> dict[str, torch.Tensor]:
    """Return the chain of the first prompt in halves: it is drawn, not computed with."""
    first = {"x": trace.x[:, :1], "x0_hat": trace.x0_hat[:, :1], "y": trace.y[:1]}
    return {n: t.half().contiguous() for n, t in first.items()}


def _step(line: dict, spec: RunSpec, folder: Path, model: FrozenModel) -> TuneStep:
    told, returns = _told(line), line.get("returns")
    if returns is None:
        path = folder / "traces" / f"{told.update}.safetensors"
        if not path.exists():
            return told
        drawn = DenoisingTrace(**{n: t.float() for n, t in load_file(path).items()})
        return dataclasses.replace(told, trace=drawn)
    tensors = load_file(folder / "evaluated" / f"{told.update}.safetensors")
    prompt = Segment(**{n: tensors[f"prompt.{n}"] for n in _PROMPT})
    trace = None
    if "trace.x" in tensors:
        trace = DenoisingTrace(**{n: tensors[f"trace.{n}"].float() for n in _TRACE})
    episode = {n: column.numpy() for n, column in _below(tensors, "episode.").items()}
    film = Film.unpacked(episode.pop("film")) if "film" in episode else None
    states = episode.pop("states", None)
    first = Trajectory(**episode, states=states, film=film, task=spec.resolved_task)
    evaluation = Evaluation(first.task, tuple(line.get("seeds", ())), np.array(returns), (first,))
    weights = _below(tensors, "weights.")
    policy = PromptedPolicy(model.with_weights(weights) if weights else model, prompt)
    snapshot = Snapshot(policy, trace, weights)
    return dataclasses.replace(told, snapshot=snapshot, evaluation=evaluation, trace=trace)


def _told(line: Mapping[str, Any]) -> TuneStep:
    """Return the step that a line alone makes."""
    apart = ("update", "seconds", "returns", "seeds", "gradients")
    metrics = {name: value for name, value in line.items() if name not in apart}
    gradients = _report(line.get("gradients"))
    return TuneStep(line["update"], metrics, line["seconds"], gradients=gradients)


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
