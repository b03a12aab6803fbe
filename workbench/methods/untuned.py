"""Prompt-DT (arXiv 2206.13499) and MT-ORL: what acts before any tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.data.trajectory import Positions, Segment, Trajectory
from workbench.methods.method import (
    N_PROMPTS,
    Snapshot,
    TunedOn,
    Update,
    check_positions,
    evaluation_prompts,
    numpy_rng,
)
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptDT, PromptedPolicy


@dataclass(frozen=True)
class NoTuning:
    """Use the demonstrations themselves as prompts.

    Attributes:
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
        prompted: Whether it acts under them; without, the same model is told nothing of the task.
    """

    prompt_positions: Positions = "any"
    prompted: bool = True

    label: ClassVar[str] = "Prompt-DT"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "none"
    guided: ClassVar[bool] = False
    needs_gradient: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_positions(self.prompt_positions)

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> Untuned:
        """Cut the prompts; nothing is trained."""
        length, draw = model.config.prompt_length, numpy_rng(rng)
        cut = evaluation_prompts(prompts or demos, length, draw, self.prompt_positions)
        if not self.prompted:
            cut = Segment.empty(model.family, N_PROMPTS)
        return Untuned(Snapshot(PromptedPolicy(model, cut)))


@dataclass(frozen=True, eq=False)
class Untuned:
    """A learner that learns nothing."""

    fixed: Snapshot
    n_trainable: int = 0

    def update(self) -> Update:
        """Do nothing."""
        return Update()

    def snapshot(self) -> Snapshot:
        """Return the policy that never changes."""
        return self.fixed


@dataclass(frozen=True)
class NoPrompt:
    """Act with a model of the same size and training that never saw a prompt.

    Attributes:
        network: That model; the Prompt-DT that is being compared is not used.
    """

    network: PromptDT | None = None

    label: ClassVar[str] = "MT-ORL"
    needs: ClassVar[Mapping[str, str]] = {"network": "mt-orl"}
    data: ClassVar[TunedOn] = "none"
    guided: ClassVar[bool] = False
    needs_gradient: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def start(
        self,
        model: FrozenModel,
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
