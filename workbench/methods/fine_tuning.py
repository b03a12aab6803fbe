"""Prompt-DT-FT and Prompt-DT-FT-Full (arXiv 2411.01168, table 1): all weights are trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.data.trajectory import Positions, Trajectory
from workbench.methods.method import TunedOn, check_positions, check_ranges, numpy_rng
from workbench.methods.tuned_weights import WeightLearner
from workbench.networks.prompt_dt import PromptDT


@dataclass(frozen=True)
class FineTuning:
    """Train every weight of a copy of the model on L_DT (Eq. 7), from the few-shot set.

    Published, in github.com/mxu34/prompt-dt: the settings below, and 10 updates. Ours: without
    dropout, as every other method meets the model.

    Attributes:
        lr: Learning rate of AdamW.
        batch_size: Pairs of a prompt and a context per update.
        weight_decay: Of AdamW.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
    """

    lr: float = 1e-4
    batch_size: int = 256
    weight_decay: float = 1e-4
    prompt_positions: Positions = "any"

    label: ClassVar[str] = "Prompt-DT-FT"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ("lr", "batch_size", "weight_decay")

    def __post_init__(self):
        check_positions(self.prompt_positions)
        check_ranges(
            self,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
            weight_decay=self.weight_decay >= 0,
        )

    def start(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> WeightLearner:
        """Begin with a copy of the model and the untuned run's prompts."""
        return WeightLearner(
            copy.deepcopy(model).requires_grad_(True),
            demos,
            prompts or demos,
            numpy_rng(rng),
            lr=self.lr,
            batch_size=self.batch_size,
            positions=self.prompt_positions,
            weight_decay=self.weight_decay,
        )


@dataclass(frozen=True)
class FullFineTuning(FineTuning):
    """The same from all data of the task: what the paper calls the upper bound."""

    label: ClassVar[str] = "Prompt-DT-FT-Full"
    data: ClassVar[TunedOn] = "full"
