"""Gradient descent on weights of a copy of the model: what adapters and fine-tuning share."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch

from workbench.data.trajectory import Positions, Trajectories, Trajectory
from workbench.methods.method import Snapshot, Update, evaluation_prompts
from workbench.networks.prompt_dt import PromptDT, PromptedPolicy, action_loss


class WeightLearner:
    """Descends L_DT (arXiv 2411.01168, Eq. 7) by AdamW, without dropout.

    Each update draws prompts from ``prompts`` and contexts from ``demos`` anew, as pretraining
    does. Under ``precision="bf16"`` the weights and the optimiser stay in float32.

    Args:
        model: A copy of one's own of the frozen model; what takes a gradient in it is trained.
        demos: Where contexts are drawn.
        prompts: Where prompts are drawn, those of the evaluations first.
        draw: Source of all randomness.
        lr: Learning rate.
        batch_size: Pairs of a prompt and a context per update.
        weight_decay: Of AdamW.
        positions: Where in an episode prompts are cut.
    """

    def __init__(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        prompts: Sequence[Trajectory],
        draw: np.random.Generator,
        *,
        lr: float,
        batch_size: int,
        weight_decay: float,
        positions: Positions = "any",
    ):
        self.model, self.draw, self.batch_size = model.eval(), draw, batch_size
        self.data = Trajectories(demos)
        self.initial = self.data if prompts is demos else Trajectories(prompts)
        self.positions: Positions = positions
        self.cut = evaluation_prompts(prompts, model.config.prompt_length, draw, positions)
        self.names = tuple(n for n, p in model.named_parameters() if p.requires_grad)
        self.parameters = tuple(p for p in model.parameters() if p.requires_grad)
        self.n_trainable = sum(p.numel() for p in self.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=weight_decay)

    @torch.enable_grad()
    def update(self) -> Update:
        """Take one step of AdamW."""
        n, sizes = self.batch_size, self.model.config
        prompt = self.initial.prompts(self.draw, n, sizes.prompt_length, self.positions)
        context = self.data.sample(self.draw, n, sizes.context_length, whole=False)
        loss = action_loss(self.model, prompt, context)
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return Update({"loss_dt": loss.item()})

    def snapshot(self) -> Snapshot:
        """Return a frozen copy of the present model, with the prompts of the evaluations."""
        model = copy.deepcopy(self.model).frozen()
        named = dict(model.named_parameters())
        weights = {name: named[name].detach() for name in self.names}
        return Snapshot(PromptedPolicy(model, self.cut.detach()), weights=weights)
