"""Everything that determines a run, by name; equal specs over equal files have equal ids.

Here names come in. ``RunSpec.resolved`` is the door: behind it each of them is what it stands for.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Trajectory
from workbench.methods import METHODS, Learner, Method
from workbench.methods.method import descends, networks_of
from workbench.networks.frozen_model import FrozenModel, Precision
from workbench.networks.models import PROMPT_DT, model_named
from workbench.networks.variants import variant_of
from workbench.shipped import assets
from workbench.shipped.full_data import full_data
from workbench.shipped.networks import network_at
from workbench.tasks import FAMILIES, Family, Task, did_you_mean, find, plugins
from workbench.tasks.splits import TEST, evaluated_tasks, split_of
from workbench.tuning.identity import id_of


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
        precision: What tuning computes in: ``"auto"`` is bfloat16 where the processor is fast at it
            and float32 elsewhere. See ``FrozenModel.computing``.
        variant: Of the networks, where they are not those that ship; see ``variants``.
        model: The frozen model that is prompted; key of ``networks.models.MODELS``.
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
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    variant: str = ""
    model: str = PROMPT_DT

    def __post_init__(self):
        family, task = self._found
        if self.split != TEST and task not in evaluated_tasks(family, self.split):
            raise ValueError(
                f"`task` must be one that the split {self.split} evaluates: got {self.task}. "
                f"Choose from {list(split_of(family, self.split).evaluated)}."
            )
        variant_of(self.variant)
        model_named(self.model)
        assets.check_quality(self.quality)
        if self.prompts:
            assets.check_quality(self.prompts)
        if self.precision not in ("auto", *get_args(Precision)):
            raise ValueError(
                f"`precision` must be 'auto', 'fp32' or 'bf16': got {self.precision!r}."
            )
        if not dict.__contains__(METHODS, self.method) and self.method not in METHODS:
            raise ValueError(
                f"There is no method {self.method!r}."
                + " ".join([did_you_mean(self.method, list(METHODS)), *plugins.failures()])
            )
        if self.model != PROMPT_DT and "network" in METHODS[self.method].needs:
            raise ValueError(
                f"{self.method} brings a model of its own: leave out `model`, or another `method`."
            )
        check_gradient(model_named(self.model), METHODS[self.method], self.updates)
        for name, low in (("updates", 0), ("seed", 0), ("eval_every", 0), ("episodes", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f"`{name}` must be a whole number from {low} up: got {value!r}.")
        known = _defaults(METHODS[self.method])
        for name, value in self.settings.items():
            if name not in known:
                raise ValueError(
                    f"{self.method} has no setting {name!r}.{did_you_mean(name, list(known))}"
                )
            kind = type(known[name])
            if not isinstance(value, int | float if kind is float else kind):
                raise ValueError(f"`{name}` must be of type {kind.__name__}: got {value!r}.")
        self.build()

    @classmethod
    def stored(cls, canonical: Mapping[str, Any]) -> RunSpec:
        """Return the spec that a ``canonical`` was made of, whenever it was written.

        Raises:
            ValueError: if it is of something that is not here.
            TypeError: if it is none.
        """
        plain = {name: value for name, value in canonical.items() if name not in ("assets", "code")}
        if plain.get("precision") == "bf16":
            plain["precision"] = "auto"  # the same, and what nobody has to say
        if (kind := METHODS.get(plain.get("method", ""))) is not None:
            before = {n: v for n, v in _SINCE.items() if n in _defaults(kind)}
            plain["settings"] = {**before, **plain["settings"]}
        return cls(**plain)

    def __getstate__(self) -> dict[str, Any]:
        # what was looked up stays behind: on another machine the files are elsewhere
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @functools.cached_property
    def _found(self) -> tuple[Family, Task]:
        family = find(self.family)
        return family, family.task(self.task)

    @property
    def resolved_task(self) -> Task:
        """The task that ``family`` and ``task`` name."""
        return self._found[1]

    @property
    def _networks(self) -> dict[str, str]:
        return networks_of(self.build())

    @functools.cached_property
    def files(self) -> Mapping[str, Path]:
        """Where each file is that a run reads, by what it is to the run.

        ``model``; the networks of the method, by its fields; ``demos``, and ``prompts`` where they
        are others; ``behaviour-<quality>`` where all data of the task are collected.
        """
        kind, task = METHODS[self.method], self.resolved_task
        files = {
            field_name: assets.pretrained_path(self.family, name, self.split, self.variant)
            for field_name, name in {"model": self.model, **self._networks}.items()
        }
        files["demos"] = assets.demos_path(task, self.quality, self.split)
        if self.prompts:
            files["prompts"] = assets.demos_path(task, self.prompts, self.split)
        if kind.data == "full":
            files |= {f"behaviour-{q}": assets.policy_path(self.family, q) for q in QUALITIES}
        return files

    def resolved(self) -> Resolved:
        """Load everything that the names stand for.

        Raises:
            ValueError: if a network or trajectories are not there, with the command that makes
                them.
        """
        (family, task), files, kind = self._found, self.files, METHODS[self.method]
        needed = {name: network_at(files[name], self.variant) for name in self._networks}
        method = self.build(**needed)
        loaded = cast(FrozenModel, network_at(files["model"], self.variant))
        model = loaded.computing(self.asked_precision)
        few = assets.demos_at(files["demos"], task, self.quality, self.split)
        prompts = None
        if self.prompts:
            prompts = assets.demos_at(files["prompts"], task, self.prompts, self.split)
        demos = few
        if kind.data == "full":
            demos, prompts = full_data(task), prompts or few
        return Resolved(self, family, task, method, model.for_task(few), demos, prompts)

    def build(self, **values: object) -> Method:
        """Return the method with these settings; ``values`` are what has no name.

        Raises:
            ValueError: if a setting is out of its range.
        """
        return METHODS[self.method](**self.settings, **values)

    @property
    def asked(self) -> dict[str, Any]:
        """The spec as plain JSON, with every setting; no file is looked at."""
        # runs have called it bf16 since there is a choice: their ids stay
        plain = {**dataclasses.asdict(self), "precision": self.asked_precision}
        if not self.variant:
            del plain["variant"]  # so that ids are what they were before there was one
        if self.model == PROMPT_DT:
            del plain["model"]  # likewise
        method = self.build()
        defaults = _defaults(METHODS[self.method])
        settings = {n: type(v)(getattr(method, n)) for n, v in defaults.items()}
        plain["settings"] = {n: v for n, v in settings.items() if n not in _SINCE or v != _SINCE[n]}
        return plain

    @property
    def canonical(self) -> dict[str, Any]:
        """What is ``asked``, and the hashes of plug-ins' code and of the files it reads."""
        plain = self.asked
        at_hand = dict.__contains__  # what is in the registry itself is of no plug-in
        if not (at_hand(FAMILIES, self.family) and at_hand(METHODS, self.method)):
            plain["code"] = plugins.code_of(self.family, self.method)
        plain["assets"] = {n: _hash(p) if p.exists() else None for n, p in self.files.items()}
        return plain

    @property
    def asked_precision(self) -> Precision:
        """What a model is asked to compute in; bfloat16 gives way where it would be slow."""
        return "bf16" if self.precision == "auto" else self.precision

    @property
    def id(self) -> str:
        """A hash of the canonical JSON: equal specs over equal assets have equal ids."""
        return id_of(self.canonical)

    @property
    def untuned(self) -> RunSpec:
        """The run to compare with: prompts cut from the same rows, nothing tuned."""
        positions = getattr(self.build(), "prompt_positions", "any")
        # what does not matter to it is left out, so that equal baselines have one id
        return dataclasses.replace(
            self,
            method="prompt-dt",
            settings={} if positions == "any" else {"prompt_positions": positions},
            updates=0,
            quality=self.prompts or self.quality,
            prompts="",
            variant=self.variant if variant_of(self.variant).changes("prompt-dt") else "",
        )

    @property
    def is_untuned(self) -> bool:
        """Whether it is the untuned prompt's run: acting without any prompt is another one."""
        return self.method == "prompt-dt" and self.settings.get("prompted", True)

    @property
    def command(self) -> str:
        """The command line that reproduces the run; it records the untuned run as well."""
        flags = {"quality": self.quality, **self.settings, "updates": self.updates}
        flags |= {"seed": self.seed, "eval_every": self.eval_every, "episodes": self.episodes}
        for f in dataclasses.fields(self):
            if f.name in ("method", "prompts", "split", "precision", "variant", "model"):
                value = getattr(self, f.name)
                flags |= {f.name: value} if value != f.default else {}
        words = [_flag(name.replace("_", "-"), value) for name, value in flags.items()]
        return f"python -m workbench tune {self.family} {self.task} {' '.join(words)}"


def applies(model: type[FrozenModel], method: Method | type[Method], updates: int) -> bool:
    """Return whether a method can adapt a model: not if it descends where there is no gradient."""
    return model.takes_gradient or not updates or not descends(method)


def check_gradient(model: type[FrozenModel], method: Method | type[Method], updates: int) -> None:
    """Raise ValueError, with the methods that apply, where one cannot adapt a model."""
    if not applies(model, method, updates):
        others = ", ".join(
            n for n, m in METHODS.items() if not (descends(m) or "network" in m.needs)
        )
        raise ValueError(
            f"{method.label} needs a gradient, and none reaches the prompt of a {model.kind}. "
            f"Take a method that needs none: {others}; or another model."
        )


FLAGS = frozenset(f.name for f in dataclasses.fields(RunSpec)) | {
    *("store", "cache", "engine", "address", "workers", "retries", "out", "quick", "keep", "run"),
    *("json", "as_json", "dry_run", "untuned", "preset"),
}
"""Flags of the commands that run a spec: no setting of a method can bear such a name."""


@dataclass(frozen=True, eq=False)
class Resolved:
    """What the names of a ``RunSpec`` stand for.

    Attributes:
        spec: The names.
        family: The task's family.
        task: Where the method adapts and is evaluated.
        method: How, with the pretrained networks that it needs.
        model: The frozen model as it is used in the task, computing in the spec's precision.
        demos: What is learned from.
        prompts: What the initial prompt is cut from; None where that is ``demos``.
    """

    spec: RunSpec
    family: Family
    task: Task
    method: Method
    model: FrozenModel
    demos: tuple[Trajectory, ...]
    prompts: tuple[Trajectory, ...] | None

    def start(self) -> Learner:
        """Begin the adaptation; the spec's seed determines it."""
        rng = torch.Generator().manual_seed(self.spec.seed)
        return self.method.start(self.model, self.demos, rng, prompts=self.prompts)


def acting_model(spec: RunSpec) -> FrozenModel:
    """Load the network that the policies of a stored run act with, frozen.

    It is the spec's model, but for a method that brings a ``network`` to act in its place (MT-ORL).

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    path = spec.files.get("network", spec.files["model"])
    loaded = cast(FrozenModel, network_at(path, spec.variant))
    if spec.model == PROMPT_DT:  # which is the same in every task: nothing else is read
        return loaded
    demos = assets.demos_at(spec.files["demos"], spec.resolved_task, spec.quality, spec.split)
    return loaded.for_task(demos)


def plain_settings(method: Method) -> dict[str, int | float | str]:
    """Return the settings of a method that are plain numbers and words."""
    pairs = ((f.name, getattr(method, f.name)) for f in dataclasses.fields(method))
    return {name: value for name, value in pairs if isinstance(value, int | float | str)}


@functools.cache
def _defaults(kind: type) -> dict[str, int | float | str]:
    return plain_settings(kind())


_SINCE: Mapping[str, int | float | str] = {
    "prompt_positions": "any",
    "prompted": True,
    "contexts": "model",
    "trust": 0.0,
    "dm_data": "few-shot",
    "lr_half": 0,
    "average": 0.0,
    "training_temperature": -1.0,
    "eta": 1.0,
}
"""Settings that there were not from the beginning, and what runs did before. With that value they
are left out of a run's identity, so that ids are what they were."""


def _flag(name: str, value: int | float | str) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def _hash(path: Path) -> str:
    return _hash_as_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _hash_as_of(path: Path, _changed: int) -> str:
    return assets.sha256(path)[:12]
