"""Prompt-DT-FT and Prompt-DT-FT-Full (arXiv 2411.01168, table 1): all weights are trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from workbench.data.trajectory import Positions, Trajectory
from workbench.methods.method import TunedOn, check_positions, check_ranges, numpy_rng
from workbench.methods.tuned_weights import WeightLearner
from workbench.networks.frozen_model import FrozenModel

ContextLength = Literal["prompt", "model"]
"""As many rows as the prompt has, or as the model reads."""


@dataclass(frozen=True)
class FineTuning:
    """Train every weight of a copy of the model on L_DT (Eq. 7), from the few-shot set.

    Published, in github.com/mxu34/prompt-dt: the settings below, and 10 updates. Ours: without
    dropout, as every other method meets the model, and where prompts are cut.

    Attributes:
        lr: Learning rate of AdamW at first; see ``Descent``.
        batch_size: Pairs of a prompt and a context per update.
        weight_decay: Of AdamW.
        contexts: How long they are; published is that of the ``"prompt"`` (``get_batch_finetune``).
        lr_half: Updates after which the learning rate has halved; 0 keeps it as it is.
        average: Of the weights, what acts; see ``Descent``. 0 acts with the last ones.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
    """

    lr: float = 1e-4
    batch_size: int = 256
    weight_decay: float = 1e-4
    contexts: ContextLength = "prompt"
    lr_half: int = 0
    average: float = 0.0
    prompt_positions: Positions = "any"

    label: ClassVar[str] = "Prompt-DT-FT"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ("lr", "batch_size", "weight_decay", "contexts")

    def __post_init__(self):
        check_positions(self.prompt_positions)
        if self.contexts not in get_args(ContextLength):
            raise ValueError(f"`contexts` must be prompt or model: got {self.contexts!r}.")
        check_ranges(
            self,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
            weight_decay=self.weight_decay >= 0,
            lr_half=self.lr_half >= 0,
            average=0 <= self.average < 1,
        )

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> WeightLearner:
        """Begin with a copy of the model and the untuned run's prompts."""
        return self._learner(model, demos, prompts or demos, rng)

    def _learner(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        prompts: Sequence[Trajectory],
        rng: torch.Generator,
        held_out: Sequence[Trajectory] = (),
    ) -> WeightLearner:
        sizes = model.config
        return WeightLearner(
            copy.deepcopy(model).requires_grad_(True),
            demos,
            prompts,
            numpy_rng(rng),
            lr=self.lr,
            batch_size=self.batch_size,
            positions=self.prompt_positions,
            weight_decay=self.weight_decay,
            context_length=sizes.prompt_length if self.contexts == "prompt" else 0,
            lr_half=self.lr_half,
            average=self.average,
            held_out=held_out,
        )


@dataclass(frozen=True)
class FullFineTuning(FineTuning):
    """The same from all data of the task, until that no longer helps: the upper bound.

    Every tenth trajectory is held out, and the loss on those reported. The settings and the number
    of updates are ours, such that this loss has become flat.
    """

    lr: float = 3e-4
    batch_size: int = 32
    contexts: ContextLength = "model"
    lr_half: int = 100
    average: float = 0.98

    label: ClassVar[str] = "Prompt-DT-FT-Full"
    data: ClassVar[TunedOn] = "full"
    published: ClassVar[tuple[str, ...]] = ("weight_decay",)

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> WeightLearner:
        """Begin with a copy of the model, and nine tenths of the data."""
        held_out = demos[::_HELD_OUT] if len(demos) >= _HELD_OUT else ()
        learned = [demo for i, demo in enumerate(demos) if not held_out or i % _HELD_OUT]
        return self._learner(model, learned, prompts or demos, rng, held_out)


_HELD_OUT = 10
