"""Pretraining of the critic of guidance by value: implicit Q-learning over the training tasks.

What a step descends is ``critic_loss`` (arXiv 2110.06169): the data's own actions alone, of every
quality, under the task code that the informed diffuser makes of few-shot transitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from workbench.networks.critic import Critic, CriticConfig, critic_loss
from workbench.networks.informed_diffusion import InformedDiffuser
from workbench.networks.prompt_dt import PromptDT
from workbench.pretraining.generators import draw_few_shot, draw_transitions
from workbench.pretraining.prompt_dt import Draws, Pool, identity
from workbench.pretraining.resumable import Training, TrainingState


@dataclass(frozen=True)
class CriticPretrainConfig:
    """How a critic is trained over the training tasks; all ours but for the expectile.

    Attributes:
        steps: Gradient steps.
        batch_size: Rows per step, each with a few-shot set of its task; drawn over all tasks.
        n_steps: Rewards that a target takes before it asks V; 1 in implicit Q-learning, up to the
            end of the context in QT.
        expectile: τ of implicit Q-learning, 0.7 there for such robots.
        lr: Peak learning rate of AdamW; falls to zero by a cosine.
        clip: Largest gradient norm.
        average: Decay of the running average of the weights, which is what V follows and what is
            kept.
    """

    steps: int = 20_000
    batch_size: int = 256
    n_steps: int = 5
    expectile: float = 0.7
    lr: float = 1e-3
    clip: float = 1.0
    average: float = 0.995

    def __post_init__(self):
        for name in ("steps", "batch_size", "n_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1: got {getattr(self, name)}.")
        for name in ("expectile", "average"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"`{name}` must lie in (0, 1): got {getattr(self, name)}.")


@dataclass(frozen=True, eq=False)
class CriticPretrainStep:
    """One gradient step: its loss, the averaged critic, ``state()`` as in ``pretrain``."""

    step: int
    loss: float
    critic: Critic
    state: Callable[[], TrainingState]
    measured: ClassVar[Mapping[str, float]] = {}


def pretrain_critic(
    data: Pool,
    model: PromptDT,
    informed: InformedDiffuser,
    config: CriticPretrainConfig,
    sizes: CriticConfig,
    seed: int,
    resume: TrainingState | None = None,
) -> Iterator[CriticPretrainStep]:
    """Train a critic over the training tasks and yield every gradient step.

    Args:
        data: Training data.
        model: The Prompt-DT whose statistics the informed diffuser knows.
        informed: The informed diffuser whose task code the critic reads.
        config: How to train.
        sizes: Size of the critic; its code is the informed diffuser's.
        seed: Seed of everything.
        resume: As in ``pretrain``.

    Raises:
        ValueError: if ``resume`` is of a training with other arguments.
    """
    trajectories, horizon = data.trajectories, informed.family.horizon
    sizes = replace(sizes, code=informed.config.code)
    draw, draws = np.random.default_rng(seed), Draws(seed)
    with draws:
        critic = Critic(sizes, informed.family).reading(informed, model.normalizer)
    optimizer = torch.optim.AdamW(critic.trainable(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    made_from = identity(data, config, sizes, seed, model.normalizer, informed)
    training = Training(critic, optimizer, schedule, config.average, draw, draws.rng, made_from)
    if resume is not None:
        training.restore(resume)
    while training.step < config.steps:
        tasks = draw.integers(len(data.tasks), size=config.batch_size)
        index = data.draw(draw, tasks, data.qualities)
        start = draw.integers(np.maximum(trajectories.lengths[index] - 1, 1))
        segment = trajectories.segments(index, start, config.n_steps + 1)
        shots = draw_few_shot(data, draw, tasks)
        seen = draw_transitions(data, model.normalizer, draw, shots, informed.n_transitions)
        target = training.averaged.module
        loss = critic_loss(critic, target, segment, critic.code(seen), config.expectile, horizon)
        training.descend(loss, config.clip)
        yield CriticPretrainStep(
            training.step, loss.item(), training.averaged.module, training.state
        )
