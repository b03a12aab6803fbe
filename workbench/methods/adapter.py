"""Adaptor (arXiv 2411.01168, table 1): a small module in each block, as in arXiv 2304.08487."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.data.trajectory import Positions, Trajectory
from workbench.methods.method import TunedOn, check_positions, check_ranges, numpy_rng
from workbench.methods.tuned_weights import WeightLearner
from workbench.networks.frozen_model import FrozenModel


@dataclass(frozen=True)
class AdapterTuning:
    """Put an adapter after each block and train the adapters alone on L_DT (Eq. 7).

    Nothing but the number of parameters is published, 13.49K. Three blocks of width 128 with a
    bottleneck of 16 and layer norm have 13,488, so that bottleneck is inferred.

    Attributes:
        bottleneck: Width inside an adapter.
        lr: Learning rate of AdamW.
        batch_size: Pairs of a prompt and a context per update.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
    """

    bottleneck: int = 16
    lr: float = 1e-3
    batch_size: int = 32
    prompt_positions: Positions = "any"

    label: ClassVar[str] = "Adaptor"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_positions(self.prompt_positions)
        check_ranges(
            self,
            bottleneck=self.bottleneck >= 1,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
        )

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> WeightLearner:
        """Begin with adapters that change nothing yet, and the untuned run's prompts."""
        draw = numpy_rng(rng)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            adapted = model.with_adapters(self.bottleneck)
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
