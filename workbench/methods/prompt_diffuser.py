"""Prompt Diffuser (arXiv 2411.01168): generate the prompt by diffusion, guided by the task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from workbench.diffusion import DiffuserConfig, PromptDiffuser
from workbench.methods.generated import GeneratorLearner
from workbench.methods.method import check_ranges
from workbench.model import PromptDT
from workbench.projection import Mode, Projection
from workbench.trajectory import Trajectory

Guidance = Literal["both", "diffusion", "downstream"]


@dataclass(frozen=True)
class PromptDiffusion:
    """Tune a diffuser on L_DM + λ L_DT with projected gradients.

    Published: λ = 1. Not published, so ours: learning rate, batch, clipping, the projection's
    reading and its settings.

    Attributes:
        lam: λ, weight of the downstream gradient in Eq. 8.
        projection: Reading of Eq. 8 and 9; ``"none"`` is the plain sum.
        guidance: Which losses guide: both, or one alone (the paper's guidance ablation).
        lr: Learning rate of AdamW.
        batch_size: Prompts (L_DM) and prompt-context pairs (L_DT) per update.
        clip: Largest norm of the combined gradient.
        temperature: Factor on the variance of every sampling step, in [0, 1].
        energy, memory, refresh: Of the ``subspace`` projection, see ``Projection``.
        diffuser: Pretrained diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    lam: float = 1.0
    projection: Mode = "subspace"
    guidance: Guidance = "both"
    lr: float = 3e-4
    batch_size: int = 32
    clip: float = 1.0
    temperature: float = 0.5
    energy: float = 0.9
    memory: int = 5
    refresh: int = 10
    diffuser: PromptDiffuser | None = None
    config: DiffuserConfig = DiffuserConfig()

    label: ClassVar[str] = "Prompt Diffuser"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "diffuser"}
    data: ClassVar[str] = "few-shot"
    published: ClassVar[tuple[str, ...]] = ("lam",)

    def __post_init__(self):
        self.combiner()
        if self.guidance not in get_args(Guidance):
            known = ", ".join(get_args(Guidance))
            raise ValueError(f"`guidance` must be one of {known}: got {self.guidance!r}.")
        check_ranges(
            self,
            temperature=0 <= self.temperature <= 1,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
            clip=self.clip > 0,
        )

    def combiner(self) -> Projection:
        """Return the rule that combines the two gradients, with nothing remembered yet."""
        return Projection(
            self.projection, self.lam, energy=self.energy, memory=self.memory, refresh=self.refresh
        )

    def starting_generator(self, model: PromptDT, rng: torch.Generator) -> PromptDiffuser:
        """Return a trainable copy of the pretrained diffuser, or a new one drawn from ``rng``."""
        if self.diffuser is not None:
            return copy.deepcopy(self.diffuser).train().requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            return PromptDiffuser(self.config, model.family)

    def start(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> GeneratorLearner:
        """Begin with a copy of the diffuser; ``model`` and ``self.diffuser`` stay as they are."""
        return GeneratorLearner(self, model, demos, rng, prompts or demos)
