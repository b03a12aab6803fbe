"""Soft Prompt (arXiv 2411.01168, table 1): gradient descent on the prompt's own numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from workbench.data.trajectory import (
    Normalizer,
    Positions,
    Segment,
    Trajectories,
    Trajectory,
    limited,
)
from workbench.methods.method import (
    N_PROMPTS,
    Snapshot,
    TunedOn,
    Update,
    check_positions,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.networks.adamw import AdamW
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptedPolicy, action_loss


class PromptNumbers:
    """What the transformer reads of B trajectory prompts, but for their timesteps.

    These are ``[s; a; r̂]`` of every row, normalised, C = O + A + 1 numbers. Timesteps are whole
    numbers and stay; rewards are not read. A tuned prompt is kept as its difference from the
    initial one, (B, K*, C), so that zero gives back the initial prompt bit for bit.

    Args:
        normalizer: Of the frozen model.
        initial: The prompts to begin with, raw units.
    """

    def __init__(self, normalizer: Normalizer, initial: Segment):
        self.initial = initial
        self.sizes = (normalizer.n_observations, normalizer.n_actions, 1)
        both = sum(self.sizes[:2])
        self.scale = torch.cat([normalizer.scale[:both], normalizer.return_scale[None]])
        self.shape = (len(initial), initial.length, sum(self.sizes))

    @property
    def n_each(self) -> int:
        """Numbers of one prompt, K* × (O + A + 1)."""
        return self.shape[1] * self.shape[2]

    def build(self, change: Tensor, which: Tensor | None = None) -> Segment:
        """Return prompts in raw units, actions limited to [-1, 1]; differentiable in ``change``.

        Args:
            change: Differences from the initial prompts, (n, K*, C) normalised.
            which: The initial prompt of each of the n, (n,); all in order by default.
        """
        initial = self.initial if which is None else self.initial[which]
        observations, actions, returns = (change * self.scale).split(self.sizes, -1)
        return dataclasses.replace(
            initial,
            observations=initial.observations + observations,
            actions=limited(initial.actions + actions),
            returns_to_go=initial.returns_to_go + returns,
        )

    def within(self, change: Tensor) -> Tensor:
        """Return the nearest changes, (B, K*, C), whose actions lie in [-1, 1]."""
        observations, actions, returns = change.split(self.sizes, -1)
        scale = self.scale.split(self.sizes)[1]
        low, high = ((bound - self.initial.actions) / scale for bound in (-1, 1))
        return torch.cat([observations, torch.clamp(actions, low, high), returns], -1)


@dataclass(frozen=True)
class SoftPrompt:
    """Descend L_DT (Eq. 7) in the prompt's numbers, through the frozen model, by AdamW.

    The optimiser is published, its settings are ours. Its weight decay pulls towards the initial
    prompt.

    Attributes:
        lr: Learning rate, in normalised units: about what a number moves in an update.
        batch_size: Contexts per update, spread evenly over the ``N_PROMPTS`` prompts.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
    """

    lr: float = 1e-2
    batch_size: int = 32
    prompt_positions: Positions = "any"

    label: ClassVar[str] = "Soft Prompt"
    needs: ClassVar[Mapping[str, str]] = {}
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
    ) -> SoftPromptLearner:
        """Begin at the prompts that the untuned run of the same seed has."""
        return SoftPromptLearner(
            self, model, demos, rng, prompts or demos, positions=self.prompt_positions
        )


class SoftPromptLearner:
    """Tunes the prompts of an evaluation side by side; each has a gradient of its own.

    ``n_trainable`` counts the numbers of *one* prompt: they share nothing, and an episode
    follows one of them.
    """

    def __init__(
        self,
        method: SoftPrompt,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        prompts: Sequence[Trajectory],
        *,
        positions: Positions = "any",
    ):
        self.method, self.model = method, model
        self.draw, self.data = numpy_rng(rng), Trajectories(demos)
        length = model.config.prompt_length
        cut = evaluation_prompts(prompts, length, self.draw, positions)
        self.numbers = PromptNumbers(model.normalizer, cut)
        self.change = torch.zeros(self.numbers.shape, requires_grad=True)
        self.adam = AdamW([self.change])
        self.n_trainable, self.n_contexts = self.numbers.n_each, 0

    @torch.enable_grad()
    def update(self) -> Update:
        """Take one step of AdamW on L_DT, then limit the prompts' actions to [-1, 1]."""
        n = self.method.batch_size
        # in turn, so that a batch smaller than the number of prompts leaves none out for long
        which = torch.arange(self.n_contexts, self.n_contexts + n) % N_PROMPTS
        self.n_contexts += n
        context = self.data.sample(self.draw, n, self.model.config.context_length, whole=False)
        loss = action_loss(self.model, self.numbers.build(self.change)[which], context)
        (self.change.grad,) = torch.autograd.grad(loss, [self.change])
        self.adam.step(self.method.lr)
        with torch.no_grad():
            self.change.copy_(self.numbers.within(self.change))
        return Update({"loss_dt": loss.item()})

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Return the present prompts."""
        return Snapshot(PromptedPolicy(self.model, self.numbers.build(self.change).detach()))
