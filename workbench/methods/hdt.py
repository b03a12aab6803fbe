"""Hyper-Decision Transformer (arXiv 2304.08487): adapters that a hyper-network has begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.data.trajectory import Positions, Trajectory
from workbench.methods.method import TunedOn, check_positions, check_ranges, numpy_rng
from workbench.methods.tuned_weights import WeightLearner
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.hyper_network import HyperNetwork


@dataclass(frozen=True)
class HyperDT:
    """Let a hyper-network write adapters from the demonstrations, then train them on L_DT.

    As ``AdapterTuning`` from there on: the start is all that differs. The bottleneck is the
    hyper-network's.

    Attributes:
        lr: Learning rate of AdamW.
        batch_size: Pairs of a prompt and a context per update.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
        hyper: Pretrained hyper-network; not changed.
    """

    lr: float = 1e-3
    batch_size: int = 32
    prompt_positions: Positions = "any"
    hyper: HyperNetwork | None = None

    label: ClassVar[str] = "HDT"
    needs: ClassVar[Mapping[str, str]] = {"hyper": "hyper"}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_positions(self.prompt_positions)
        check_ranges(self, lr=self.lr >= 0, batch_size=self.batch_size >= 1)

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> WeightLearner:
        """Begin with the adapters that the hyper-network writes, and the untuned run's prompts.

        Raises:
            ValueError: if there is no hyper-network, or it is of a Prompt-DT of another size.
        """
        if self.hyper is None:
            raise ValueError(
                "HDT needs a pretrained `hyper` network: make it with "
                f"`python -m workbench hyper {model.family.name}`."
            )
        draw = numpy_rng(rng)
        with torch.random.fork_rng(devices=[]):  # building an adapter draws numbers
            adapted = model.with_weights(self.hyper.weights(model.normalizer, demos))
        for block in adapted.blocks:
            block.adapter.requires_grad_(True)
        return WeightLearner(
            adapted,
            demos,
            prompts or demos,
            draw,
            lr=self.lr,
            batch_size=self.batch_size,
            positions=self.prompt_positions,
            weight_decay=0.0,
        )
