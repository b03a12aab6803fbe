"""Is a diffuser's sampler sound? Its chain, step by step, beside the data that it should look like.

A chain that begins in noise of its own making, samples that are too wide, a network that cannot
even name the noise: all of that shows here before any return does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Trajectories
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.informed_diffusion import all_transitions
from workbench.networks.prompt_dt import PromptDT
from workbench.shipped import assets
from workbench.tasks import find
from workbench.viewing.player.realism import nearest

SAMPLES = 256
"""Prompts that are denoised per task and quality."""


@dataclass(frozen=True)
class SamplerStep:
    """One diffusion step of a diffuser's chain, over all test tasks and qualities.

    Attributes:
        family: Task family.
        network: ``"diffuser"`` or ``"informed"``.
        k: Diffusion step, N (noise) to 1; 0 is the finished prompt.
        clip_share: Share of the predictions x̂0 (at 0: of the prompt) that lie at the clip.
        sd_ratio: Standard deviation of x̂0 (at 0: of the prompt) over that of the data, median
            over the columns that vary.
        nearest: Median distance of a row of x̂0 (at 0: of the prompt) to the nearest recorded
            transition, root mean square over variables, normalised units.
        loss: Mean squared error of the predicted noise (Eq. 6) at step k; nan at 0.
    """

    family: str
    network: str
    k: int
    clip_share: float
    sd_ratio: float
    nearest: float
    loss: float


@torch.no_grad()
def examine_sampler(
    network: str,
    diffuser: PromptDiffuser,
    model: PromptDT,
    *,
    temperature: float,
    seed: int = 0,
) -> Iterator[SamplerStep]:
    """Denoise prompts of every test task from data of every quality, and measure every step.

    The data beside it are the few-shot sets that ship: of every quality for a diffuser as
    published, expert ones for one that reads transitions, since that is what it learned to make.

    Args:
        network: Its name, for the rows.
        diffuser: The diffuser.
        model: The frozen Prompt-DT that it makes prompts for.
        temperature: Factor on the variance of the sampling noise, in [0, 1].
        seed: Of prompts, conditions and noise.
    """
    family, normalizer = find(model.family.name), model.normalizer
    draw, rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    varies = diffuser.varies.bool()
    length, clip = diffuser.prompt_length, diffuser.config.clip_x0
    n_steps = diffuser.config.n_diffusion_steps
    chains, real, losses = [], [], []
    for task in family.tasks("test"):
        for quality in QUALITIES:
            data = Trajectories(assets.demos(task, quality))
            wanted = data
            if diffuser.n_transitions:
                wanted = Trajectories(assets.demos(task, "expert"))
            x0, y = normalizer.pack(data.sample(draw, SAMPLES, length, whole=True))
            if diffuser.n_transitions:
                x0, _ = normalizer.pack(wanted.sample(draw, SAMPLES, length, whole=True))
                y = diffuser.with_task(y, all_transitions(data, normalizer, draw))
            trace = diffuser.trace(y, rng, temperature)
            chains.append(torch.cat([trace.x0_hat, trace.x[-1:]])[..., varies])
            real.append(x0[..., varies])
            losses.append([_loss(diffuser, x0, y, k, rng) for k in range(n_steps, 0, -1)])
    made, rows = torch.cat(chains, 1), torch.cat(real)
    width = rows.flatten(0, 1).std(0)
    recorded, per_step = rows.flatten(0, 1).numpy(), np.mean(losses, 0)
    for number, x in enumerate(made):
        flat = x.flatten(0, 1)
        some = flat[:: max(1, len(flat) // 500)].numpy()
        yield SamplerStep(
            family=family.name,
            network=network,
            k=n_steps - number,
            clip_share=float((flat.abs() >= clip - 1e-4).float().mean()),
            sd_ratio=float((flat.std(0) / width.clamp(min=1e-6)).median()),
            nearest=float(np.median(nearest(some, recorded))),
            loss=float(per_step[number]) if number < n_steps else float("nan"),
        )


def _loss(diffuser, x0, y, k: int, rng: torch.Generator) -> float:
    """Return the mean squared error of the predicted noise at step k (Eq. 6)."""
    x0 = x0 * diffuser.varies
    eps = torch.randn(x0.shape, generator=rng) * diffuser.varies
    steps = torch.full((len(x0),), k)
    error = diffuser(diffuser.schedule.noised(x0, steps, eps), y, steps) - eps
    return float(error.square().mean() / diffuser.varies.mean())
