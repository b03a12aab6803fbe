"""MT-ORL (arXiv 2411.01168, table 1): a Decision Transformer pretrained without prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.methods.method import N_PROMPTS, Snapshot
from workbench.methods.prompt_dt import Untuned
from workbench.model import PromptDT, PromptedPolicy
from workbench.trajectory import Segment, Trajectory


@dataclass(frozen=True)
class NoPrompt:
    """Act with a model of the same size and training that never saw a prompt.

    Attributes:
        network: That model; the Prompt-DT that is being compared is not used.
    """

    network: PromptDT | None = None

    label: ClassVar[str] = "MT-ORL"
    needs: ClassVar[Mapping[str, str]] = {"network": "mt-orl"}
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
        """Take the model that has no prompt; nothing is trained.

        Raises:
            ValueError: if there is no such model.
        """
        if self.network is None:
            raise ValueError("MT-ORL needs a `network` pretrained with `--prompt-length 0`.")
        return Untuned(
            Snapshot(PromptedPolicy(self.network, Segment.empty(model.family, N_PROMPTS)))
        )
