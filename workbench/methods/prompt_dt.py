"""Prompt-DT (arXiv 2206.13499): no tuning; the prompt is cut from the demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.methods.method import Snapshot, evaluation_prompts, numpy_rng
from workbench.model import PromptDT, PromptedPolicy
from workbench.trajectory import Trajectory


@dataclass(frozen=True)
class NoTuning:
    """Use the demonstrations themselves as prompts."""

    label: ClassVar[str] = "Prompt-DT"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[str] = "none"
    published: ClassVar[tuple[str, ...]] = ()

    def start(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> Untuned:
        """Cut the prompts; nothing is trained."""
        cut = evaluation_prompts(prompts or demos, model.config.prompt_length, numpy_rng(rng))
        return Untuned(Snapshot(PromptedPolicy(model, cut)))


@dataclass(frozen=True, eq=False)
class Untuned:
    """A learner that learns nothing."""

    fixed: Snapshot
    n_trainable: int = 0

    def update(self) -> Mapping[str, float]:
        """Do nothing."""
        return {}

    def snapshot(self) -> Snapshot:
        """Return the policy that never changes."""
        return self.fixed
