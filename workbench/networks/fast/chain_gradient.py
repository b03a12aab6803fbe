"""The gradient of a whole denoising chain, written out: one operation of autograd for all N steps.

The chain of a ``PromptDiffuser`` is N passes through one MLP. Its backward pass goes through them
once; the gradients of the weights, which all passes share, are then one product for each layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workbench.networks.fast.checked import TOLERANCE, Double


def sample_with_gradient(
    diffuser: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, temperature: float
) -> Tensor:
    """Denoise ``x``, as the last step of ``diffuser.chain`` does, (B, K*, D).

    A gradient reaches the layers of ``diffuser``, a ``PromptDiffuser``, and ``y``; not ``x``, which
    is noise.
    """
    way = CHAIN.choose((type(diffuser), diffuser.config, x.dtype), diffuser)
    return way(diffuser, x, y, rng, temperature)


def _by_autograd(
    diffuser: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, temperature: float
) -> Tensor:
    *_, last = diffuser.chain(x, y, rng, temperature)
    return last.x


def _by_one_operation(
    diffuser: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, temperature: float
) -> Tensor:
    numbers = [n for layer in _layers(diffuser) for n in (layer.weight, layer.bias)]
    return _Chain.apply(diffuser, x, y, rng, temperature, *numbers)


def _trial(
    way: Callable[..., Tensor], rng: torch.Generator, diffuser: nn.Module
) -> Callable[[], Sequence[Tensor]]:
    """Sample a batch of an adaptation's size and differentiate it; see ``Double.trial``."""
    diffuser = copy.deepcopy(diffuser).requires_grad_(True)
    n_y = diffuser.hidden[0].in_features - diffuser.step_features.shape[1]
    n_y = n_y // diffuser.prompt_length - diffuser.d
    noise = diffuser.noise(_BATCH, rng)
    y = torch.randn(_BATCH, diffuser.prompt_length, n_y, generator=rng, dtype=noise.dtype)
    weights = torch.randn(noise.shape, generator=rng, dtype=noise.dtype)
    seed = int(torch.randint(2**62, (1,), generator=rng))
    inputs = [n for layer in _layers(diffuser) for n in (layer.weight, layer.bias)]

    def run() -> Sequence[Tensor]:
        with torch.enable_grad():
            made = way(diffuser, noise, y, torch.Generator().manual_seed(seed), 0.5)
            return [made.detach(), *torch.autograd.grad((made * weights).mean(), inputs)]

    return run


_BATCH = 32
CHAIN = Double("chain gradient", _by_autograd, _by_one_operation, _trial, TOLERANCE["fp32"])


def _layers(diffuser: nn.Module) -> list[nn.Linear]:
    return [*diffuser.hidden, diffuser.out]


@dataclass(eq=False)
class _Tape:
    """An ``EpsModel`` that keeps, of every pass, what its gradient needs."""

    diffuser: nn.Module
    inputs: list[list[Tensor]] = field(default_factory=list)  # of each layer, for each pass
    slopes: list[list[Tensor]] = field(default_factory=list)  # of mish in each hidden layer

    def __post_init__(self):
        self.layers = [
            (layer.bias, layer.weight.t().contiguous()) for layer in _layers(self.diffuser)
        ]

    def __call__(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        inputs, slopes = [self.diffuser.inputs(x, y, k)], []
        for layer in self.layers[:-1]:
            h, slope = mish_and_slope(_product(inputs[-1], *layer))
            inputs.append(h)
            slopes.append(slope)
        self.inputs.append(inputs)
        self.slopes.append(slopes)
        output = _product(inputs[-1], *self.layers[-1]).view_as(x) * self.diffuser.varies
        if self.diffuser.config.prediction == "eps":
            return output
        signal, noise = self.diffuser.schedule.scales(k, x)
        return signal * output + noise * x


def _product(x: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight)


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
        ctx.tape, ctx.x0_hats = _Tape(diffuser), []
        ctx.save_for_backward(y, *numbers)  # so that a change in between is noticed
        for step in diffuser.chain(x, y, rng, temperature, eps_model=ctx.tape):
            ctx.x0_hats.append(step.x0_hat)
        return step.x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        tape, diffuser = ctx.tape, ctx.tape.diffuser
        y, *numbers = ctx.saved_tensors
        weights, clip = numbers[::2], diffuser.config.clip_x0
        shape, n_x = gradient.shape, gradient[0].numel()
        above: list[list[Tensor]] = [[] for _ in weights]  # gradients of each layer's output
        steps = diffuser.schedule.coefficients()
        for i in reversed(range(len(steps))):
            step, x0_hat = steps[i], ctx.x0_hats[i]
            signal, noise = step.sqrt_alpha_bar, step.sqrt_one_minus_alpha_bar
            # x0_hat = (x_k - noise ε̂) / signal, clipped; ε̂ is the MLP's output or a mix with x_k
            of_output, of_x = (1.0, 0.0) if diffuser.config.prediction == "eps" else (signal, noise)
            g_x = (gradient * (step.of_x0 / signal)).masked_fill_(x0_hat.abs() >= clip, 0)
            g_eps = g_x * -noise
            g = (g_eps * of_output * diffuser.varies).flatten(1)
            above[-1].append(g)
            for number in reversed(range(len(weights) - 1)):
                g = (g @ weights[number + 1]).mul_(tape.slopes[i][number])
                above[number].append(g)
            below = (g @ weights[0][:, :n_x]).view(shape)
            below.add_(g_x).add_(g_eps, alpha=of_x)
            gradient = below.add_(gradient, alpha=step.of_xk)
        g_y = None
        if ctx.needs_input_grad[2]:
            columns = slice(n_x, n_x + y[0].numel())
            g_y = (torch.stack(above[0]).sum(0) @ weights[0][:, columns]).view_as(y)
        g_numbers = []
        for number, outputs in enumerate(above):
            inputs = torch.cat([passed[number] for passed in reversed(tape.inputs)])
            g = torch.cat(outputs)
            g_numbers += [g.t() @ inputs, g.sum(0)]
        return None, None, g_y, None, None, *g_numbers


def mish_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x tanh(ln(1 + eˣ)) and its derivative, by one exponential instead of six.

    With n = eˣ (eˣ + 2): tanh(ln(1 + eˣ)) = n / (n + 2), and the derivative is that plus
    4 x eˣ (eˣ + 1) / (n + 2)².
    """
    e = x.clamp(max=20).exp_()  # beyond it tanh is 1, to the last bit
    n = (e + 2).mul_(e)
    share = (n + 2).reciprocal_()
    tanh = n.mul_(share)
    rest = (e + 1).mul_(e).mul_(share).mul_(share)
    return x * tanh, tanh.addcmul(x, rest, value=4)
