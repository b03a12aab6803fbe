"""The descent that methods share: a learning rate that falls, and an average that acts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from workbench.networks.adamw import AdamW


class Descent:
    """AdamW over some numbers, and a running average of them.

    A tuning may be stopped and watched at any update, so nothing depends on how many there will
    be: the learning rate is lr / (1 + t / lr_half) at update t, and the average is the mean of all
    iterates at first, then an exponential one (as arXiv 1412.6980, section 7.2, debiased).

    Args:
        parameters: What is tuned.
        lr: Learning rate at first.
        lr_half: Updates after which it has halved; 0 keeps it as it is.
        average: Decay of the average, in [0, 1); 0 keeps the last numbers alone.
        clip: Largest norm of a gradient; None leaves it as it is.
        weight_decay: Of AdamW.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        *,
        lr_half: int,
        average: float,
        clip: float | None = None,
        weight_decay: float = 1e-2,
    ):
        self.parameters, self.clip, self.average = tuple(parameters), clip, average
        self._lr, self._lr_half, self._adam = lr, lr_half, AdamW(self.parameters, weight_decay)
        self.updates = 0
        self.mean = [p.detach().clone() for p in self.parameters]

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self._lr * (1 / (1 + self.updates / self._lr_half) if self._lr_half else 1.0)

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take one step along ``gradients`` and move the average."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self._adam.step(self.lr)
        self.updates += 1
        self.track()

    @torch.no_grad()
    def track(self) -> None:
        """Move the average towards the numbers as they stand."""
        share = max(1 - self.average, 1 / (self.updates + 1)) if self.average else 1.0
        for mean, parameter in zip(self.mean, self.parameters, strict=True):
            mean.lerp_(parameter, share)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the average in the place of the numbers, for as long as the block lasts."""
        present = [p.detach().clone() for p in self.parameters]
        self._put(self.mean)
        try:
            yield
        finally:
            self._put(present)

    @torch.no_grad()
    def _put(self, numbers: Sequence[Tensor]) -> None:
        for parameter, number in zip(self.parameters, numbers, strict=True):
            parameter.copy_(number)
