"""Pretraining of whatever generates prompts, over the training tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from workbench.behaviour import Quality
from workbench.generators import GENERATORS, GeneratorConfig
from workbench.pretrain import Draws, Pool, Positions, check, draw_prompts, identity
from workbench.stored import Stored
from workbench.tasks import did_you_mean, find
from workbench.training import Training, TrainingState
from workbench.trajectory import Normalizer


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
    generator: Stored
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
        x0, y = normalizer.pack(draw_prompts(data, config, sizes.prompt_length, draw, tasks))
        generator.prepare(x0, y, rng)
        loss = generator.own_loss(x0, y, rng)
        training.descend(loss, config.clip)
        averaged = training.averaged.module
        yield GeneratorPretrainStep(training.step, loss.item(), averaged, training.state)
