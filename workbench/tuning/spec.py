"""Everything that determines a run, by name; equal specs over equal files have equal ids."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS, Method
from workbench.networks.prompt_dt import Precision
from workbench.networks.variants import variant_of
from workbench.shipped import files as assets
from workbench.tasks import did_you_mean, find
from workbench.tasks.splits import TEST, evaluated_tasks, split_of


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
