"""Soft Prompt (arXiv 2411.01168, table 1): gradient descent on the prompt's own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from workbench.methods.method import (
    N_PROMPTS,
    Snapshot,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.tuned_prompt import PromptNumbers
from workbench.model import PromptDT, PromptedPolicy
from workbench.pretrain import action_loss
from workbench.trajectory import Trajectories, Trajectory


@dataclass(frozen=True)
class SoftPrompt:
    """Descend L_DT (Eq. 7) in the prompt's numbers, through the frozen model, by AdamW.

    The optimiser is published, its settings are ours. Its weight decay pulls towards the initial
    prompt.

    Attributes:
        lr: Learning rate, in normalised units: about what a number moves in an update.
        batch_size: Contexts per update, spread evenly over the ``N_PROMPTS`` prompts.
    """

    lr: float = 1e-2
    batch_size: int = 32

    label: ClassVar[str] = "Soft Prompt"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[str] = "few-shot"
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_ranges(self, lr=self.lr >= 0, batch_size=self.batch_size >= 1)

    def start(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> SoftPromptLearner:
        """Begin at the prompts that the untuned run of the same seed has."""
        return SoftPromptLearner(self, model, demos, rng, prompts or demos)


class SoftPromptLearner:
    """Tunes the prompts of an evaluation side by side; each has a gradient of its own.

    ``n_trainable`` counts the numbers of *one* prompt: they share nothing, and an episode
    follows one of them.
    """

    def __init__(
        self,
        method: SoftPrompt,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        prompts: Sequence[Trajectory],
    ):
        self.method, self.model = method, model
        self.draw, self.data = numpy_rng(rng), Trajectories(demos)
        cut = evaluation_prompts(prompts, model.config.prompt_length, self.draw)
        self.numbers = PromptNumbers(model.normalizer, cut)
        self.change = torch.zeros(self.numbers.shape, requires_grad=True)
        self.optimizer = torch.optim.AdamW([self.change], lr=method.lr)
        self.n_trainable, self.n_contexts = self.numbers.n_each, 0

    @torch.enable_grad()
    def update(self) -> Mapping[str, float]:
        """Take one step of AdamW on L_DT, then limit the prompts' actions to [-1, 1]."""
        n = self.method.batch_size
        # in turn, so that a batch smaller than the number of prompts leaves none out for long
        which = torch.arange(self.n_contexts, self.n_contexts + n) % N_PROMPTS
        self.n_contexts += n
        context = self.data.sample(self.draw, n, self.model.config.context_length, whole=False)
        loss = action_loss(self.model, self.numbers.build(self.change)[which], context)
        (self.change.grad,) = torch.autograd.grad(loss, [self.change])
        self.optimizer.step()
        with torch.no_grad():
            self.change.copy_(self.numbers.within(self.change))
        return {"loss_dt": loss.item()}

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Return the present prompts."""
        return Snapshot(PromptedPolicy(self.model, self.numbers.build(self.change).detach()))
