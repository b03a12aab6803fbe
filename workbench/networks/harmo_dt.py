"""HarmoDT (arXiv 2405.18080): every training task has a mask on the shared transformer.

Tasks pull shared weights in different directions. A mask keeps of the transformer what agrees with
a task; now and then what agrees least is masked in exchange for what would move most (Algorithm 1
there; github.com/charleshsc/HarmoDT). With g_i the gradient of task i and ḡ the mean over tasks:

    agreement A_i = g_i ⊙ ḡ,   importance I_i = g_i ⊙ g_i   (the Fisher information),
    masked next: the least A_i + I_i among what is open;  opened: the largest A_i among the masked.

What is ours: the paper masks single weights, here a mask opens and closes the hidden units of
every block's MLP, the scores summed over the weights that leave a unit. So sequences of different
tasks share a batch, and the masks of 35 tasks are 54 thousand bits, not three megabytes. And the
mask of an unseen task, which the paper takes by a vote, is chosen by the few-shot data: the one of
all training tasks under which L_DT is the least.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.trajectory import Segment, Trajectories, Trajectory
from workbench.networks.prompt_dt import ModelConfig, PromptDT, _initialise, action_loss
from workbench.tasks import Family


@dataclass(frozen=True)
class HarmoConfig(ModelConfig):
    """Size of a HarmoDT.

    Attributes:
        sparsity: Share of the hidden units that a mask closes (0.2 in the paper).
        exchanged: Share of them that changes at a revision at first; falls to 0 by a cosine.
        revisions: How often masks are revised in a training.
        n_tasks: Training tasks, each with a mask; 0 for as many as the family has.
    """

    sparsity: float = 0.2
    exchanged: float = 0.05
    revisions: int = 8
    n_tasks: int = 0

    def __post_init__(self):
        super().__post_init__()
        for name in ("sparsity", "exchanged"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in (0, 1): got {getattr(self, name)}.")


class MaskedLinear(nn.Linear):
    """A linear layer some of whose inputs can be closed, for each sequence of a batch by itself."""

    gate: Tensor | None = None
    """1 or 0 for each input, (B, 1, n); None leaves all open."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_tokens, n) to (B, n_tokens, m)."""
        return super().forward(x if self.gate is None else x * self.gate)


class HarmoDT(PromptDT):
    """A Prompt-DT with a mask for every training task.

    Attributes:
        masks: Of the hidden units, True where open, (tasks, L, 4 W).
    """

    kind, sizes = "HarmoDT", HarmoConfig
    masks: Tensor
    revised: Tensor

    def __init__(self, config: HarmoConfig, family: Family):
        super().__init__(config, family)
        for block in self.blocks:
            block.down = MaskedLinear(4 * config.width, config.width)
            block.down.apply(_initialise)
        n_tasks, units = config.n_tasks or len(family.train_indices), 4 * config.width
        order = torch.rand(n_tasks, config.n_layers, units).argsort(-1).argsort(-1)
        self.register_buffer("masks", order >= round(config.sparsity * units))
        self.register_buffer("revised", torch.tensor(0))  # how often; a training that goes on knows

    @property
    def layers(self) -> list[MaskedLinear]:
        """What the masks are in front of, block by block."""
        return [module for module in self.modules() if isinstance(module, MaskedLinear)]

    @contextlib.contextmanager
    def masked(self, tasks: Tensor) -> Iterator[None]:
        """Compute, as long as the block lasts, sequence b under the mask of task ``tasks[b]``."""
        try:
            for i, layer in enumerate(self.layers):
                layer.gate = self.masks[tasks, i][:, None].to(layer.weight.dtype)
            yield
        finally:
            for layer in self.layers:
                layer.gate = None

    def loss(self, prompt: Segment, context: Segment, tasks: Tensor) -> Tensor:
        """Return L_DT, every sequence under the mask of its task."""
        with self.masked(tasks):
            return action_loss(self, prompt, context)

    def revise(
        self, done: float, batch_of: Callable[[np.ndarray], tuple[Segment, Segment]]
    ) -> None:
        """Exchange units of every mask, ``revisions`` times in a training, evenly."""
        if done * self.config.revisions < int(self.revised) + 1:
            return
        self.revised += 1
        share = self.config.exchanged * 0.5 * (1 + np.cos(np.pi * done))
        weights = [layer.weight for layer in self.layers]
        gradients = []
        for task, masks in enumerate(self.masks):
            prompt, context = batch_of(np.full(_SEQUENCES, task))
            # the weights are masked here, not the units: so a closed one has a gradient too
            with _multiplied(weights, masks):
                loss = action_loss(self, prompt, context)
                gradients.append(torch.stack(torch.autograd.grad(loss, weights)))
        self.exchange(torch.stack(gradients), round(share * self.masks.shape[-1]))

    def exchange(self, gradients: Tensor, n: int) -> None:
        """Close n units of every block and task, and open as many.

        Args:
            gradients: g, of the weights behind the units, (tasks, L, W, 4 W).
            n: How many.
        """
        agreement = (gradients * gradients.mean(0)).sum(-2)  # (tasks, L, 4 W)
        importance = gradients.square().sum(-2)
        least = (agreement + importance).masked_fill(~self.masks, torch.inf)
        most = agreement.masked_fill(self.masks, -torch.inf)
        n = min(n, int((~self.masks).sum(-1).min()))
        closed, opened = least.topk(n, largest=False).indices, most.topk(n).indices
        self.masks.scatter_(-1, closed, False)
        self.masks.scatter_(-1, opened, True)

    @torch.no_grad()
    def losses(self, demos: Sequence[Trajectory]) -> Tensor:
        """Return L_DT of few-shot data under the mask of each training task, (tasks,)."""
        data, draw = Trajectories(demos), np.random.default_rng(0)
        prompt = data.sample(draw, _SEQUENCES, self.config.prompt_length, whole=True)
        context = data.sample(draw, _SEQUENCES, self.config.context_length, whole=False)
        found = []
        for task in range(len(self.masks)):
            with self.masked(torch.full((_SEQUENCES,), task)):
                found.append(action_loss(self, prompt, context))
        return torch.stack(found)

    def for_task(self, demos: Sequence[Trajectory]) -> HarmoDT:
        """Return a frozen copy under the mask that suits few-shot data best: its L_DT is least."""
        return self.under(int(self.losses(demos).argmin()))

    def under(self, task: int) -> HarmoDT:
        """Return a frozen copy whose weights are masked as those of a training task."""
        model = copy.deepcopy(self)
        with torch.no_grad():
            for layer, mask in zip(model.layers, self.masks[task], strict=True):
                layer.weight.mul_(mask)
        model.frozen()
        return model


@contextlib.contextmanager
def _multiplied(weights: Sequence[Tensor], masks: Tensor) -> Iterator[None]:
    """Mask weights, (W, 4 W) each, by (L, 4 W), as long as the block lasts."""
    whole = [w.detach().clone() for w in weights]
    with torch.no_grad():
        for weight, mask in zip(weights, masks, strict=True):
            weight.mul_(mask)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, whole, strict=True):
                weight.copy_(before)


_SEQUENCES = 16  # that a task's gradient, or its loss under a mask, is the mean of
