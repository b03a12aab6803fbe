"""Pretraining of whatever generates prompts, over the training tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.data.qualities import Quality
from workbench.data.trajectory import Normalizer
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.informed_diffusion import (
    InformedConfig,
    transitions,
)
from workbench.networks.vae_gan import GENERATORS, GeneratorConfig
from workbench.pretraining.prompt_dt import (
    Draws,
    Pool,
    Positions,
    check,
    draw_prompts,
    identity,
    prompt_starts,
)
from workbench.pretraining.resumable import Training, TrainingState
from workbench.tasks import did_you_mean, find


@dataclass(frozen=True)
class GeneratorPretrainConfig:
    """How a generator of prompts is pretrained over the training tasks; nothing is published.

    Attributes:
        steps: Gradient steps.
        batch_size: Prompts per step, drawn over all training tasks.
        lr: Peak learning rate of AdamW; falls to zero by a cosine.
        clip: Largest gradient norm.
        prompt_qualities: Qualities that prompts are drawn from.
        prompt_positions: As in ``PretrainConfig``.
        average: Decay of the running average of the weights that is kept.
    """

    steps: int = 20_000
    batch_size: int = 256
    lr: float = 1e-3
    clip: float = 1.0
    prompt_qualities: tuple[Quality, ...] = ("expert", "medium", "random")
    prompt_positions: Positions = "any"
    average: float = 0.999


INFORMED = GeneratorPretrainConfig(steps=12_000, prompt_qualities=("expert",))
"""Of an informed diffuser: its prompts are expert ones, whatever it is told of the task."""


@dataclass(frozen=True, eq=False)
class GeneratorPretrainStep:
    """One gradient step on a generator's own loss.

    Attributes:
        step: Gradient steps so far.
        loss: L_DM, or its counterpart.
        generator: As it stands, averaged; live until the next step.
        state: As in ``PretrainStep``.
    """

    step: int
    loss: float
    generator: SavedNetwork
    state: Callable[[], TrainingState]


def pretrain_generator(
    kind: str,
    data: Pool,
    normalizer: Normalizer,
    config: GeneratorPretrainConfig,
    sizes: GeneratorConfig,
    seed: int,
    resume: TrainingState | None = None,
) -> Iterator[GeneratorPretrainStep]:
    """Train a generator on its own loss over the training tasks and yield every gradient step.

    Args:
        kind: Key of ``GENERATORS``.
        data: Training data.
        normalizer: The Prompt-DT's, so that both meet the same units.
        config: How to train.
        sizes: Size of the generator.
        seed: Seed of everything.
        resume: As in ``pretrain``.

    Raises:
        ValueError: if there is no such kind; else as in ``pretrain``.
    """
    if kind not in GENERATORS:
        raise ValueError(f"There is no generator {kind!r}.{did_you_mean(kind, list(GENERATORS))}")
    check(data, config)
    draw, rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    with Draws(seed):
        generator = GENERATORS[kind](sizes, find(data.trajectories.items[0].task.family))
    optimizer = torch.optim.AdamW(generator.trainable(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    made_from = identity(data, config, sizes, seed, normalizer)
    inner = generator.inner_optimizers()
    training = Training(generator, optimizer, schedule, config.average, draw, rng, made_from, inner)
    if resume is not None:
        training.restore(resume)
    while training.step < config.steps:
        tasks = draw.integers(len(data.tasks), size=config.batch_size)
        if generator.n_evidence:
            x0, y, evidence = draw_informed(data, normalizer, config, sizes, draw, tasks)
            y = generator.told(y, evidence)
        else:
            x0, y = normalizer.pack(draw_prompts(data, config, sizes.prompt_length, draw, tasks))
        generator.prepare(x0, y, rng)
        loss = generator.own_loss(x0, y, rng)
        training.descend(loss, config.clip)
        averaged = training.averaged.module
        yield GeneratorPretrainStep(training.step, loss.item(), averaged, training.state)


def draw_informed(
    data: Pool,
    normalizer: Normalizer,
    config: GeneratorPretrainConfig,
    sizes: InformedConfig,
    draw: np.random.Generator,
    tasks: np.ndarray,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what an informed diffuser learns from, for each position in ``tasks``.

    The prompt is of ``config.prompt_qualities``; what tells the task is a few-shot set of any one
    quality, as in an adaptation.

    Returns:
        x0 (B, K*, D) of the prompt; y (B, K*, 2) of a trajectory of the few-shot set, at the
        timesteps of the prompt; evidence (B, M, D), transitions of the few-shot set.
    """
    trajectories, k, n = data.trajectories, sizes.prompt_length, len(tasks)
    quality = draw.integers(len(data.qualities), size=n)
    shots = np.empty((n, _FEW), int)
    for number, name in enumerate(data.qualities):
        of = quality == number
        again = np.repeat(tasks[of], _FEW)
        shots[of] = data.draw(draw, again, [name]).reshape(-1, _FEW)
    prompt = data.draw(draw, tasks, config.prompt_qualities)
    start = prompt_starts(trajectories, draw, prompt, k, config.prompt_positions)
    x0, _ = normalizer.pack(trajectories.segments(prompt, start, k))
    start = np.clip(start, 0, trajectories.lengths[shots[:, 0]] - k)
    _, y = normalizer.pack(trajectories.segments(shots[:, 0], start, k))
    which = shots[np.arange(n)[:, None], draw.integers(_FEW, size=(n, sizes.n_evidence))]
    return x0, y, transitions(trajectories, normalizer, which, draw)


_FEW = 5  # trajectories of a few-shot set
