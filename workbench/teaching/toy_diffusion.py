"""Denoising where everything can be seen: a data set of points in the plane.

Shapes are those of prompts, (B, K*, D), with K* = 1 and D = 2, so that ``diffusion.denoise`` and
``NoiseSchedule`` are the very ones that make prompts. There is no condition: y is empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from workbench.networks.diffusion import DenoisingTrace, EpsModel, NoiseSchedule, denoise


def two_groups(n: int, rng: torch.Generator, wobble: float = 0.08) -> Tensor:
    """Return a data set of two arcs that do not touch, (n, 1, 2), mean 0 and sd 1 per axis.

    Args:
        n: Points; the first half lies on one arc.
        rng: Source of randomness.
        wobble: Standard deviation across the arc, in units of the arc's radius.
    """
    turn = math.pi * torch.rand(n, generator=rng)
    arc = torch.stack([turn.cos(), turn.sin()], 1)
    second = torch.arange(n) >= n // 2
    arc[second] = torch.tensor([1.0, -0.6]) - arc[second]
    points = arc + wobble * torch.randn(n, 2, generator=rng)
    return ((points - points.mean(0)) / points.std(0))[:, None]


def weights(x: Tensor, k: int, schedule: NoiseSchedule, data: Tensor) -> Tensor:
    """Return how likely each data point is to lie behind ``x``, (B, M), rows sum to 1.

    w_i ∝ exp(-‖x_k - √ᾱ_k x_i‖² / (2 (1 - ᾱ_k))), since x_k = √ᾱ_k x_i + √(1 - ᾱ_k) ε.

    Args:
        x: Noised points x_k, (B, 1, 2).
        k: Diffusion step, 1..N.
        schedule: The noise schedule.
        data: All that could lie behind them, (M, 1, 2), each equally likely before one looks.
    """
    alpha_bar = schedule.alpha_bar[k - 1]
    distance = torch.cdist(x.flatten(1), alpha_bar.sqrt() * data.flatten(1)).square()
    return (-distance / (2 * (1 - alpha_bar))).softmax(1)


def posterior_mean(x: Tensor, k: int, schedule: NoiseSchedule, data: Tensor) -> Tensor:
    """Return E[x0 | x_k], (B, 1, 2): the best guess x̂0 that there can be; see ``weights``."""
    return (weights(x, k, schedule, data) @ data.flatten(1)).view_as(x)


def exact(schedule: NoiseSchedule, data: Tensor) -> EpsModel:
    """Return the noise predictor that no network can beat on ``data``.

    It answers with the noise that goes with the posterior mean, ε̂ = (x_k - √ᾱ_k x̂0) / √(1 - ᾱ_k).
    """

    def eps_model(x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        alpha_bar = schedule.alpha_bar[k[0] - 1]
        x0_hat = posterior_mean(x, int(k[0]), schedule, data)
        return (x - alpha_bar.sqrt() * x0_hat) / (1 - alpha_bar).sqrt()

    return eps_model


class PlaneDiffuser(nn.Module):
    """ε_θ(x_k, k) for points of the plane: an MLP, built as ``PromptDiffuser`` is."""

    def __init__(self, n_diffusion_steps: int, width: int = 96):
        super().__init__()
        self.n_diffusion_steps = n_diffusion_steps
        self.net = nn.Sequential(
            nn.Linear(2 + _FEATURES, width),
            nn.Mish(),
            nn.Linear(width, width),
            nn.Mish(),
            nn.Linear(width, width),
            nn.Mish(),
            nn.Linear(width, 2),
        )

    def forward(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        """Predict the noise in ``x``, (B, 1, 2); ``y`` is ignored."""
        share = k.to(x.dtype)[:, None] / self.n_diffusion_steps
        angles = share * math.pi * 2.0 ** torch.arange(_FEATURES // 2, dtype=x.dtype) / 2
        return self.net(torch.cat([x.flatten(1), angles.sin(), angles.cos()], 1)).view_as(x)


_FEATURES = 12


@torch.enable_grad()
def fit(
    model: PlaneDiffuser,
    schedule: NoiseSchedule,
    data: Tensor,
    *,
    updates: int,
    rng: torch.Generator,
    batch_size: int = 256,
    lr: float = 2e-3,
) -> Iterator[float]:
    """Train ``model`` on L_DM (arXiv 2411.01168, Eq. 6) and yield its value at every update."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    steps = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, updates))
    for _ in range(updates):
        x0 = data[torch.randint(len(data), (batch_size,), generator=rng)]
        k = torch.randint(1, schedule.n_diffusion_steps + 1, (batch_size,), generator=rng)
        eps = torch.randn(x0.shape, generator=rng)
        loss = (eps - model(schedule.noised(x0, k, eps), x0, k)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.step()
        yield loss.item()


@torch.no_grad()
def sample(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> DenoisingTrace:
    """Denoise ``n`` points of pure noise and keep the whole chain, (N + 1, n, 1, 2)."""
    x = torch.randn(n, 1, 2, generator=rng)
    y = torch.zeros(n, 1, 0)
    return DenoisingTrace.of(x, y, denoise(eps_model, schedule, x, y, rng, temperature=temperature))


def spread(points: Tensor) -> Tensor:
    """Return how far points of one diffusion step lie apart: their rms distance to the mean.

    Args:
        points: (..., B, K*, D).

    Returns:
        (...), in the unit of the points, averaged over the D·K* numbers.
    """
    flat = points.flatten(-2)
    return (flat - flat.mean(-2, keepdim=True)).square().mean((-2, -1)).sqrt()


def example(n: int = 400) -> tuple[NoiseSchedule, Tensor, DenoisingTrace]:
    """Return the schedule, the data and the exact chain that lesson and exercise speak of."""
    schedule, data = NoiseSchedule.cosine(20), two_groups(n, torch.Generator().manual_seed(0))
    chain = sample(exact(schedule, data), schedule, n, torch.Generator().manual_seed(1))
    return schedule, data, chain


def to_data(points: Tensor, data: Tensor) -> Tensor:
    """Return the mean distance from points (..., B, 1, 2) to the nearest of the data, (...)."""
    flat = points.flatten(-2)
    return torch.cdist(flat, data.flatten(1).expand(*flat.shape[:-2], -1, -1)).amin(-1).mean(-1)
