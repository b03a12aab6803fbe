"""Prompt-DT (arXiv 2206.13499): no tuning; the prompt is cut from the demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from workbench.methods.method import Snapshot, evaluation_prompts, numpy_rng
from workbench.model import PromptDT, PromptedPolicy
from workbench.trajectory import Trajectory


@dataclass(frozen=True)
class NoTuning:
    """Use the demonstrations themselves as prompts."""

    label = "Prompt-DT"

    def start(self, model: PromptDT, demos: Sequence[Trajectory], rng: torch.Generator) -> _Untuned:
        """Cut the prompts; nothing is trained."""
        prompts = evaluation_prompts(demos, model.config.prompt_length, numpy_rng(rng))
        return _Untuned(Snapshot(PromptedPolicy(model, prompts)))


@dataclass(frozen=True, eq=False)
class _Untuned:
    fixed: Snapshot

    def update(self) -> Mapping[str, float]:
        return {}

    def snapshot(self) -> Snapshot:
        return self.fixed
