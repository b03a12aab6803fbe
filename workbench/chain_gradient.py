"""The gradient of a whole denoising chain, written out: one operation of autograd for all N steps.

The chain of a ``PromptDiffuser`` is N passes through one MLP. Its backward pass goes through them
once; the gradients of the weights, which all passes share, are then one product for each layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sample_with_gradient(
    diffuser: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, temperature: float
) -> Tensor:
    """Denoise ``x``, as the last step of ``diffuser.chain`` does, (B, K*, D).

    A gradient reaches the layers of ``diffuser``, a ``PromptDiffuser``, and ``y``; not ``x``, which
    is noise.
    """
    numbers = [n for layer in _layers(diffuser) for n in (layer.weight, layer.bias)]
    return _Chain.apply(diffuser, x, y, rng, temperature, *numbers)


def _layers(diffuser: nn.Module) -> list[nn.Linear]:
    return [*diffuser.hidden, diffuser.out]


@dataclass(eq=False)
class _Tape:
    """An ``EpsModel`` that keeps, of every pass, what its gradient needs."""

    diffuser: nn.Module
    inputs: list[list[Tensor]] = field(default_factory=list)  # of each layer, for each pass
    sums: list[list[Tensor]] = field(default_factory=list)  # of each hidden layer, before mish

    def __call__(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        inputs, sums = [self.diffuser.joined(x, y, k)], []
        for layer in self.diffuser.hidden:
            sums.append(F.linear(inputs[-1], layer.weight, layer.bias))
            inputs.append(F.mish(sums[-1]))
        self.inputs.append(inputs)
        self.sums.append(sums)
        return self.diffuser.out(inputs[-1]).view_as(x)


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        diffuser: nn.Module,
        x: Tensor,
        y: Tensor,
        rng: torch.Generator,
        temperature: float,
        *numbers: Tensor,
    ) -> Tensor:
        ctx.tape, ctx.guesses = _Tape(diffuser), []
        ctx.save_for_backward(y, *numbers)  # so that a change in between is noticed
        for step in diffuser.chain(x, y, rng, temperature, eps_model=ctx.tape):
            ctx.guesses.append(step.x0_hat)
        return step.x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        tape, diffuser = ctx.tape, ctx.tape.diffuser
        y, *numbers = ctx.saved_tensors
        weights, clip = numbers[::2], diffuser.config.clip_x0
        shape, n_x = gradient.shape, gradient[0].numel()
        above: list[list[Tensor]] = [[] for _ in weights]  # gradients of each layer's output
        slopes = [_slope_of_mish(torch.stack(sums)) for sums in zip(*tape.sums, strict=True)]
        steps = diffuser.schedule.steps()
        for i in reversed(range(len(steps))):
            step, guess = steps[i], ctx.guesses[i]
            g_guess = (gradient * (step.guess / step.signal)).masked_fill_(guess.abs() >= clip, 0)
            g = (g_guess * -step.noise).flatten(1)
            above[-1].append(g)
            for number in reversed(range(len(weights) - 1)):
                g = (g @ weights[number + 1]).mul_(slopes[number][i])
                above[number].append(g)
            below = (g @ weights[0][:, :n_x]).view(shape)
            gradient = below.add_(g_guess).add_(gradient, alpha=step.keep)
        g_y = None
        if ctx.needs_input_grad[2]:
            told = slice(n_x, n_x + y[0].numel())
            g_y = (torch.stack(above[0]).sum(0) @ weights[0][:, told]).view_as(y)
        g_numbers = []
        for number, outputs in enumerate(above):
            inputs = torch.cat([passed[number] for passed in reversed(tape.inputs)])
            g = torch.cat(outputs)
            g_numbers += [g.t() @ inputs, g.sum(0)]
        return None, None, g_y, None, None, *g_numbers


def _slope_of_mish(x: Tensor) -> Tensor:
    """Return the derivative of x tanh(ln(1 + eˣ)), by one exponential instead of three."""
    e = x.clamp(max=20).exp_()  # beyond it the slope is 1, to the last bit
    square = (e + 2).mul_(e)
    tanh = square / (square + 2)
    return torch.addcmul(tanh, x * e / (1 + e), 1 - tanh * tanh)
