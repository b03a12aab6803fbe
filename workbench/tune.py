"""Adaptation to one test task: the only loop, and runs by name."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch

from workbench import assets
from workbench.behaviour import QUALITIES
from workbench.diffusion import DenoisingTrace, PromptDiffuser
from workbench.full import full_data
from workbench.generators import PromptGAN, PromptVAE
from workbench.hyper import HyperNetwork
from workbench.informed import InformedDiffuser
from workbench.methods import METHODS, Method, Snapshot
from workbench.model import Precision, PromptDT
from workbench.rollout import Evaluation, evaluate
from workbench.splits import TEST, evaluated_tasks, split_of
from workbench.tasks import Task, did_you_mean, find
from workbench.trajectory import Trajectory
from workbench.variants import variant_of

NETWORKS: dict[str, type] = {
    "prompt-dt": PromptDT,
    "mt-orl": PromptDT,
    "diffuser": PromptDiffuser,
    "vae": PromptVAE,
    "gan": PromptGAN,
    "informed": InformedDiffuser,
    "hyper": HyperNetwork,
}
"""The kinds of pretrained networks, by the name of their files."""
TRACE_EVERY = 10
"""Updates between two denoising traces of a run that is evaluated on its way, to be watched."""
EVALUATION_SEED = 5_000
"""First evaluation seed; the same for every method, so that comparisons are paired."""


@dataclass(frozen=True, eq=False)
class TuneStep:
    """What is known after one update.

    Attributes:
        update: Updates done so far; 0 is the start, before any.
        measured: What the update reported, by name; empty at update 0.
        seconds: Time of this update, without its evaluation.
        snapshot: The policy that was evaluated and its denoising trace, on evaluated steps.
        evaluation: Its episodes, on evaluated steps.
        n_trainable: Numbers that the updates change.
        trace: How the same noise becomes prompts now: of all prompts on evaluated steps, of the
            first one on every tenth update; None in between, and where nothing is denoised.
    """

    update: int
    measured: Mapping[str, float]
    seconds: float
    snapshot: Snapshot | None = None
    evaluation: Evaluation | None = None
    n_trainable: int = 0
    trace: DenoisingTrace | None = None


def tune(
    method: Method,
    model: PromptDT,
    demos: Sequence[Trajectory],
    task: Task,
    *,
    updates: int,
    seed: int,
    eval_every: int,
    episodes: int,
    prompts: Sequence[Trajectory] | None = None,
) -> Iterator[TuneStep]:
    """Adapt a frozen model to ``task`` from ``demos`` and yield every update.

    Update 0, every ``eval_every``-th and the last are evaluated; the last alone if that is 0.

    Args:
        method: How to adapt.
        model: A frozen Prompt-DT; never changed.
        demos: Few-shot trajectories of the task.
        task: Where to evaluate.
        updates: Optimisation steps.
        seed: Seed of everything but the evaluation episodes.
        eval_every: Updates between two evaluations.
        episodes: Episodes per evaluation.
        prompts: Trajectories that the initial prompt is cut from; ``demos`` by default.
    """
    for name, value, low in (
        ("updates", updates, 0),
        ("eval_every", eval_every, 0),
        ("episodes", episodes, 1),
    ):
        if value < low:
            raise ValueError(f"`{name}` must be a whole number from {low} up: got {value}.")
    if model.training or any(p.requires_grad for p in model.parameters()):
        raise ValueError("`model` must be frozen: pass `model.frozen()`.")
    learner = method.start(model, demos, torch.Generator().manual_seed(seed), prompts=prompts)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes)
    for update in range(updates + 1):
        began = time.perf_counter()
        measured = learner.update() if update else {}
        seconds = time.perf_counter() - began
        due = update == updates or (eval_every and update % eval_every == 0)
        if not due:
            step = TuneStep(update, measured, seconds, n_trainable=learner.n_trainable)
            if eval_every and update % TRACE_EVERY == 0:
                step = dataclasses.replace(step, trace=_first(learner.snapshot().trace))
            yield step
            continue
        snapshot = learner.snapshot()
        evaluation = evaluate(snapshot.policy, task, seeds)
        yield TuneStep(
            update, measured, seconds, snapshot, evaluation, learner.n_trainable, snapshot.trace
        )


def _first(trace: DenoisingTrace | None) -> DenoisingTrace | None:
    """Keep the chain of the first prompt."""
    if trace is None:
        return None
    return DenoisingTrace(trace.x[:, :1], trace.x0_hat[:, :1], trace.y[:1])


@dataclass(frozen=True)
class RunSpec:
    """Everything that determines a result, by name.

    Attributes:
        family: Task family.
        task: Index of the task.
        quality: Quality of the few-shot trajectories; ``own:<name>`` for a set of one's own.
        method: Key of ``METHODS``.
        settings: Hyper-parameters of the method that differ from its defaults.
        updates: Optimisation steps.
        seed: Seed of the adaptation.
        eval_every: Updates between two evaluations; 0 evaluates at the end alone.
        episodes: Episodes per evaluation.
        prompts: Quality of the trajectories that the initial prompt is cut from, where it is not
            that of the few-shot trajectories (table 2 of arXiv 2411.01168).
        split: Which tasks nothing was pretrained on; see ``splits``.
        precision: What tuning computes in; see ``PromptDT.computing``.
        variant: Of the networks, where they are not those that ship; see ``variants``.
    """

    family: str
    task: int
    quality: str = "medium"
    method: str = "prompt-diffuser"
    settings: Mapping[str, Any] = field(default_factory=dict)
    updates: int = 100
    seed: int = 0
    eval_every: int = 50
    episodes: int = 20
    prompts: str = ""
    split: str = TEST
    precision: Precision = "bf16"
    variant: str = ""

    def __post_init__(self):
        family = find(self.family)
        task = family.task(self.task)
        if self.split != TEST and task not in evaluated_tasks(family, self.split):
            raise ValueError(
                f"`task` must be one that the split {self.split} evaluates: got {self.task}. "
                f"Choose from {list(split_of(family, self.split).evaluated)}."
            )
        variant_of(self.variant)
        assets.check_quality(self.quality)
        if self.prompts:
            assets.check_quality(self.prompts)
        if self.precision not in get_args(Precision):
            raise ValueError(f"`precision` must be 'fp32' or 'bf16': got {self.precision!r}.")
        if self.method not in METHODS:
            raise ValueError(
                f"There is no method {self.method!r}.{did_you_mean(self.method, list(METHODS))}"
            )
        for name, low in (("updates", 0), ("seed", 0), ("eval_every", 0), ("episodes", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f"`{name}` must be a whole number from {low} up: got {value!r}.")
        known = plain_settings(METHODS[self.method]())
        for name, value in self.settings.items():
            if name not in known:
                raise ValueError(
                    f"{self.method} has no setting {name!r}.{did_you_mean(name, list(known))}"
                )
            kind = type(known[name])
            if not isinstance(value, int | float if kind is float else kind):
                raise ValueError(f"`{name}` must be of type {kind.__name__}: got {value!r}.")
        self.build()

    def build(self, **values: object) -> Method:
        """Return the method with these settings; ``values`` are what has no name.

        Raises:
            ValueError: if a setting is out of its range.
        """
        return METHODS[self.method](**self.settings, **values)

    @property
    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON, with every setting, and the hashes of the files it reads."""
        plain = dataclasses.asdict(self)
        if not self.variant:
            del plain["variant"]  # so that ids are what they were before there was one
        method = self.build()
        kinds = plain_settings(METHODS[self.method]())
        plain["settings"] = {n: type(v)(getattr(method, n)) for n, v in kinds.items()}
        files = {"model": assets.model_path(self.family, self.split, self.variant)}
        for field_name, name in METHODS[self.method].needs.items():
            path = assets.pretrained_path(self.family, name, self.split, self.variant)
            files[field_name] = path
        task = find(self.family).task(self.task)
        files["demos"] = assets.demos_path(task, self.quality, self.split)
        if self.prompts:
            files["prompts"] = assets.demos_path(task, self.prompts, self.split)
        if METHODS[self.method].data == "full":  # these collect it
            files |= {f"behaviour-{q}": assets.policy_path(self.family, q) for q in QUALITIES}
        plain["assets"] = {n: _hash(p) if p.exists() else None for n, p in files.items()}
        return plain

    @property
    def id(self) -> str:
        """A hash of the canonical JSON: equal specs over equal assets have equal ids."""
        text = json.dumps(self.canonical, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def untuned(self) -> RunSpec:
        """The run to compare with: the same trajectories as prompts, nothing tuned."""
        # what does not matter to it is left out, so that equal baselines have one id
        return dataclasses.replace(
            self,
            method="prompt-dt",
            settings={},
            updates=0,
            quality=self.prompts or self.quality,
            prompts="",
            variant=self.variant if variant_of(self.variant).changes("prompt-dt") else "",
        )

    @property
    def command(self) -> str:
        """The command line that reproduces the run; it records the untuned run as well."""
        flags = {"quality": self.quality, **self.settings, "updates": self.updates}
        flags |= {"seed": self.seed, "eval_every": self.eval_every, "episodes": self.episodes}
        for f in dataclasses.fields(self):
            if f.name in ("method", "prompts", "split", "precision", "variant"):
                value = getattr(self, f.name)
                flags |= {f.name: value} if value != f.default else {}
        words = [_flag(name.replace("_", "-"), value) for name, value in flags.items()]
        return f"python -m workbench tune {self.family} {self.task} {' '.join(words)}"


def plain_settings(method: Method) -> dict[str, int | float | str]:
    """Return the settings of a method that are plain numbers and words."""
    pairs = ((f.name, getattr(method, f.name)) for f in dataclasses.fields(method))
    return {name: value for name, value in pairs if isinstance(value, int | float | str)}


def _flag(name: str, value: int | float | str) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def _hash(path: Path) -> str:
    return _hash_as_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_as_of(path: Path, _changed: int) -> str:
    return assets.sha256(path)[:12]


def start(spec: RunSpec) -> tuple[Method, PromptDT, dict[str, Any]]:
    """Load what ``spec`` names: the method, the model, and ``demos`` and ``prompts`` by name.

    Raises:
        ValueError: if a network or trajectories that it needs are not there.
    """
    task = find(spec.family).task(spec.task)
    needs = METHODS[spec.method].needs
    where = (spec.split, spec.variant)
    networks = {f: load_network(spec.family, name, *where) for f, name in needs.items()}
    model = load_model(spec.family, *where).computing(spec.precision)
    if METHODS[spec.method].data == "full":
        demos = full_data(task)
    else:
        demos = assets.demos(task, spec.quality, spec.split)
    prompts = None
    if spec.prompts or METHODS[spec.method].data == "full":
        prompts = assets.demos(task, spec.prompts or spec.quality, spec.split)
    return spec.build(**networks), model, {"demos": demos, "prompts": prompts}


def run(spec: RunSpec) -> Iterator[TuneStep]:
    """Load what ``spec`` names and tune.

    Raises:
        ValueError: if a network or trajectories that it needs are not there.
    """
    method, model, trajectories = start(spec)
    yield from tune(
        method,
        model,
        trajectories["demos"],
        find(spec.family).task(spec.task),
        updates=spec.updates,
        seed=spec.seed,
        eval_every=spec.eval_every,
        episodes=spec.episodes,
        prompts=trajectories["prompts"],
    )


def load_model(family: str, split: str = TEST, variant: str = "") -> PromptDT:
    """Load a family's pretrained Prompt-DT, frozen; once, unless the file changes."""
    return load_network(family, "prompt-dt", split, variant)


def load_diffuser(family: str, split: str = TEST) -> PromptDiffuser:
    """Load a family's pretrained diffuser, once unless the file changes; learners copy it."""
    return load_network(family, "diffuser", split)


def acting_model(spec: RunSpec) -> PromptDT:
    """Load the network that the policies of a stored run act with, frozen.

    It is the Prompt-DT, but for a method that brings a ``network`` to act in its place (MT-ORL).

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    name = METHODS[spec.method].needs.get("network", "prompt-dt")
    return load_network(spec.family, name, spec.split, spec.variant)


def load_network(family: str, name: str, split: str = TEST, variant: str = "") -> torch.nn.Module:
    """Load a pretrained network by its name (see ``NETWORKS``), once unless the file changes.

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    path = assets.pretrained_path(family, name, split, variant)
    if variant_of(variant).changes(name) and not path.exists():
        verb = "pretrain" if name == "prompt-dt" else name
        raise ValueError(
            f"The variant {variant} of {family}'s {name} was not made yet. Make it: `python -m "
            f"workbench collect {family}`, then `python -m workbench {verb} {family} "
            f"--variant {variant}` (prompt-dt before the others)."
        )
    return _load(NETWORKS[name], path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=32)
def _load(kind: type, path: Path, _changed: int):
    return kind.load(path).requires_grad_(False)
