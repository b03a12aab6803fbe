"""Pretraining of the hyper-network, the Prompt-DT frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from workbench.data.qualities import Quality
from workbench.data.trajectory import Positions
from workbench.networks.hyper_network import Adapted, HyperConfig, HyperNetwork, _whole
from workbench.networks.prompt_dt import Precision, PromptDT, action_loss
from workbench.pretraining.prompt_dt import Draws, Pool, check, draw_batch, identity
from workbench.pretraining.resumable import Training, TrainingState


@dataclass(frozen=True)
class HyperPretrainConfig:
    """How a hyper-network is trained over the training tasks, the Prompt-DT frozen; all ours.

    Attributes:
        steps: Gradient steps.
        n_tasks: Tasks per step; each has a demonstration, and adapters, of its own.
        batch_size: Sequences per step, equally many of each task.
        lr: Peak learning rate of AdamW; falls to zero by a cosine.
        clip: Largest gradient norm.
        demo_qualities: Qualities of the demonstrations: all, since few-shot sets are of any.
        prompt_qualities: Qualities that prompts are drawn from, as in ``PretrainConfig``.
        prompt_positions: As in ``PretrainConfig``.
        average: Decay of the running average of the weights that is kept.
        precision: What the Prompt-DT computes in; see ``PromptDT.computing``.
    """

    steps: int = 2_000
    n_tasks: int = 8
    batch_size: int = 64
    lr: float = 1e-3
    clip: float = 1.0
    demo_qualities: tuple[Quality, ...] = ("expert", "medium", "random")
    prompt_qualities: tuple[Quality, ...] = ("expert",)
    prompt_positions: Positions = "any"
    average: float = 0.99
    precision: Precision = "bf16"

    def __post_init__(self):
        if self.n_tasks < 1 or self.batch_size % self.n_tasks or self.batch_size < 1:
            raise ValueError(
                "`batch_size` must be a multiple of `n_tasks`, both from 1 up: "
                f"got {self.batch_size} and {self.n_tasks}."
            )


@dataclass(frozen=True, eq=False)
class HyperPretrainStep:
    """One gradient step on L_DT: its loss, the averaged network, ``state()`` as in ``pretrain``."""

    step: int
    loss: float
    hyper: HyperNetwork
    state: Callable[[], TrainingState]
    measured: ClassVar[Mapping[str, float]] = {}


def pretrain_hyper(
    data: Pool,
    model: PromptDT,
    config: HyperPretrainConfig,
    seed: int,
    resume: TrainingState | None = None,
) -> Iterator[HyperPretrainStep]:
    """Train a hyper-network on L_DT over the training tasks and yield every gradient step.

    Args:
        data: Training data.
        model: The frozen Prompt-DT; never changed.
        config: How to train.
        seed: Seed of everything.
        resume: As in ``pretrain``.

    Raises:
        ValueError: as ``pretrain``.
    """
    check(data, config)
    sizes = HyperConfig.of(model.config)
    draw, draws = np.random.default_rng(seed), Draws(seed)
    with draws:
        hyper = HyperNetwork(sizes, model.family)
        adapted = model.computing(config.precision).with_adapters(sizes.bottleneck).frozen()
    optimizer = torch.optim.AdamW(hyper.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    made_from = identity(data, config, sizes, seed, model=model)
    training = Training(hyper, optimizer, schedule, config.average, draw, draws.rng, made_from)
    if resume is not None:
        training.restore(resume)
    while training.step < config.steps:
        tasks = draw.integers(len(data.tasks), size=config.n_tasks)
        index = data.draw(draw, tasks, config.demo_qualities)
        codes = hyper.codes(model.normalizer, _whole(data.trajectories, index))
        each = np.repeat(tasks, config.batch_size // config.n_tasks)
        batch = draw_batch(data, config, model.config, draw, each)
        loss = action_loss(Adapted(adapted, hyper(codes)), *batch)
        training.descend(loss, config.clip)
        yield HyperPretrainStep(
            training.step, loss.item(), training.averaged.module, training.state
        )
