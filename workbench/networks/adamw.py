"""AdamW, without torch's compiler: what tunes a prompt, and what a GAN's critic learns by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class AdamW:
    """Adam with decoupled weight decay (arXiv 1711.05101), bit for bit as torch's.

    A process's first optimizer of torch imports torch's compiler: 75 MB and 1.2 s, for every worker
    of a sweep, and for whoever presses Tune first.

    Args:
        parameters: What is tuned, along their ``grad``.
        weight_decay: What each step takes off them, as a share of the learning rate.
        decays: Of the running means of gradients and of their squares, each in [0, 1).
    """

    _EPSILON = 1e-8

    def __init__(
        self,
        parameters: Iterable[Tensor],
        weight_decay: float = 1e-2,
        decays: tuple[float, float] = (0.9, 0.999),
    ):
        self.parameters, self._weight_decay, self._steps = tuple(parameters), weight_decay, 0
        self._decays = decays
        self._means, self._squares = (
            [torch.zeros_like(p, requires_grad=False) for p in self.parameters] for _ in range(2)
        )

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Take one step with this learning rate."""
        self._steps += 1
        of_mean, of_square = self._decays
        length = lr / (1 - of_mean**self._steps)
        root = (1 - of_square**self._steps) ** 0.5
        for number, mean, square in zip(self.parameters, self._means, self._squares, strict=True):
            if (slope := number.grad) is None:
                continue
            number.mul_(1 - lr * self._weight_decay)
            mean.lerp_(slope, 1 - of_mean)
            square.mul_(of_square).addcmul_(slope, slope, value=1 - of_square)
            number.addcdiv_(mean, (square.sqrt() / root).add_(self._EPSILON), value=-length)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a training needs to go on, laid out as torch's optimizers do."""
        each = enumerate(zip(self._means, self._squares, strict=True))
        steps = torch.tensor(self._steps)
        state = {i: {"mean": mean, "square": square, "step": steps} for i, (mean, square) in each}
        return {"state": state, "param_groups": []}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Become what ``state_dict`` was taken of."""
        for i, numbers in saved["state"].items():
            self._means[i].copy_(numbers["mean"])
            self._squares[i].copy_(numbers["square"])
            self._steps = int(numbers["step"])
