"""Gradient descent on weights of a copy of the model: what adapters and fine-tuning share."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.data.trajectory import Positions, Trajectories, Trajectory
from workbench.methods.descent import Descent
from workbench.methods.method import Snapshot, Update, evaluation_prompts
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptedPolicy, action_loss


class WeightLearner:
    """Descends L_DT (arXiv 2411.01168, Eq. 7) by AdamW, without dropout.

    Each update draws prompts from ``prompts`` and contexts from ``demos`` anew, as pretraining
    does. Under ``precision="bf16"`` the weights and the optimiser stay in float32.

    Args:
        model: A copy of one's own of the frozen model; what takes a gradient in it is trained.
        demos: Where contexts are drawn.
        prompts: Where prompts are drawn, those of the evaluations first.
        draw: Source of all randomness.
        lr: Learning rate at first.
        batch_size: Pairs of a prompt and a context per update.
        weight_decay: Of AdamW.
        positions: Where in an episode prompts are cut.
        context_length: Rows of a context; as many as the model reads by default.
        lr_half, average: See ``Descent``.
        held_out: Nothing is learned from these; each update reports the loss on them as well.
    """

    def __init__(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        prompts: Sequence[Trajectory],
        draw: np.random.Generator,
        *,
        lr: float,
        batch_size: int,
        weight_decay: float,
        positions: Positions = "any",
        context_length: int = 0,
        lr_half: int = 0,
        average: float = 0.0,
        held_out: Sequence[Trajectory] = (),
    ):
        self.model, self.draw, self.batch_size = model.eval(), draw, batch_size
        self.data = Trajectories(demos)
        self.held_out = Trajectories(held_out) if held_out else None
        self.context_length = context_length or model.config.context_length
        self.initial = self.data if prompts is demos else Trajectories(prompts)
        self.positions: Positions = positions
        self.cut = evaluation_prompts(prompts, model.config.prompt_length, draw, positions)
        self.names = tuple(n for n, p in model.named_parameters() if p.requires_grad)
        self.parameters = tuple(p for p in model.parameters() if p.requires_grad)
        self.n_trainable = sum(p.numel() for p in self.parameters)
        self.descent = Descent(
            self.parameters, lr, lr_half=lr_half, average=average, weight_decay=weight_decay
        )

    def update(self) -> Update:
        """Take one step of AdamW.

        Returns:
            ``loss_dt``; where trajectories are held out, ``loss_held_out`` before the step.
        """
        losses = {}
        if self.held_out is not None:
            with torch.no_grad():
                losses["loss_held_out"] = self._loss(self.held_out).item()
        with torch.enable_grad():
            loss = self._loss(self.data)
            # of what L_DT does not read, as the returns that a multi-game DT predicts: zeros
            self.descent.step(torch.autograd.grad(loss, self.parameters, materialize_grads=True))
        return Update({"loss_dt": loss.item(), **losses})

    def _loss(self, data: Trajectories) -> Tensor:
        """Return L_DT on contexts drawn from ``data``."""
        length = self.model.config.prompt_length
        prompt = self.initial.prompts(self.draw, self.batch_size, length, self.positions)
        context = data.sample(self.draw, self.batch_size, self.context_length, whole=False)
        return action_loss(self.model, prompt, context)

    def snapshot(self) -> Snapshot:
        """Return a frozen copy of the present model, with the prompts of the evaluations."""
        with self.descent.averaged():
            model = copy.deepcopy(self.model).frozen()
        named = dict(model.named_parameters())
        weights = {name: named[name].detach() for name in self.names}
        return Snapshot(PromptedPolicy(model, self.cut.detach()), weights=weights)
