"""Pretraining of whatever generates prompts: Algorithm 1 of arXiv 2411.01168, its training part.

Every step draws training tasks, a prompt τ* of each and a context τ of each, and steps along L_DM +
λ Proj(L_DT) (``methods.guided_update``, the very rule of the adaptation). The first
steps leave L_DT out: while samples are still noise it has nothing to say, and it is what costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from workbench.data.qualities import Quality
from workbench.data.trajectory import Normalizer, Positions
from workbench.methods.guided_update import guided_update
from workbench.methods.projection import Mode, Projection
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.diffusion import DiffuserConfig
from workbench.networks.informed_diffusion import (
    InformedConfig,
    transitions,
)
from workbench.networks.prompt_dt import Precision, PromptDT
from workbench.networks.vae_gan import GENERATORS, GeneratorConfig
from workbench.pretraining.prompt_dt import (
    Draws,
    Pool,
    check,
    draw_prompts,
    identity,
)
from workbench.pretraining.resumable import Training, TrainingState
from workbench.tasks import did_you_mean, find


@dataclass(frozen=True)
class GeneratorPretrainConfig:
    """How a generator of prompts is pretrained over the training tasks.

    Published: λ = 1, and that L_DT guides. The rest is ours.

    Attributes:
        steps: Gradient steps, all together.
        guided_share: Share of them, the last, along L_DM + λ Proj(L_DT); the others are along L_DM.
        batch_size: Prompts per step on L_DM alone, drawn over all training tasks.
        guided_batch_size: Prompts and contexts per guided step.
        lam: λ of Eq. 9.
        projection: Reading of Eq. 8 and 9.
        context_qualities: Qualities of the contexts whose actions L_DT asks for.
        context_rows: Rows of a context, at most the transformer's K; 0 is K.
        temperature: Of the chain that L_DT samples.
        lr: Peak learning rate of AdamW; falls to zero by a cosine.
        clip: Largest gradient norm.
        prompt_qualities: Qualities that prompts are drawn from.
        prompt_positions: As in ``PretrainConfig``.
        average: Decay of the running average of the weights that is kept.
        precision: Of the frozen transformer's pass, see ``PromptDT.computing``.
    """

    steps: int = 11_000
    guided_share: float = 0.45
    batch_size: int = 256
    guided_batch_size: int = 64
    lam: float = 1.0
    projection: Mode = "published"
    context_qualities: tuple[Quality, ...] = ("expert",)
    context_rows: int = 0
    temperature: float = 1.0
    lr: float = 1e-3
    clip: float = 1.0
    prompt_qualities: tuple[Quality, ...] = ("expert", "medium", "random")
    prompt_positions: Positions = "any"
    average: float = 0.998
    precision: Precision = "bf16"

    def __post_init__(self):
        self.combiner()
        if not 0 <= self.guided_share <= 1:
            raise ValueError(f"`guided_share` must lie in [0, 1]: got {self.guided_share}.")
        if self.context_rows < 0:
            raise ValueError(f"`context_rows` must not be negative: got {self.context_rows}.")

    @property
    def guided_steps(self) -> int:
        """How many steps are guided: the last ones."""
        return round(self.guided_share * self.steps)

    def combiner(self) -> Projection:
        """Return the rule that combines the two gradients, with nothing remembered yet."""
        return Projection(self.projection, self.lam)


INFORMED = GeneratorPretrainConfig(prompt_qualities=("expert",))
"""Of an informed diffuser: its prompts are expert ones, whatever transitions it reads."""


@dataclass(frozen=True, eq=False)
class GeneratorPretrainStep:
    """One gradient step of a generator.

    Attributes:
        step: Gradient steps so far.
        loss: L_DM, or its counterpart.
        generator: As it stands, averaged; live until the next step.
        state: As in ``PretrainStep``.
        measured: Of a guided step, see ``GuidedUpdate.measured``; else the loss alone.
    """

    step: int
    loss: float
    generator: SavedNetwork
    state: Callable[[], TrainingState]
    measured: Mapping[str, float] = field(default_factory=dict)


def pretrain_generator(
    kind: str,
    data: Pool,
    model: PromptDT,
    config: GeneratorPretrainConfig,
    sizes: GeneratorConfig,
    seed: int,
    resume: TrainingState | None = None,
    begin: SavedNetwork | None = None,
) -> Iterator[GeneratorPretrainStep]:
    """Train a generator over the training tasks (Algorithm 1) and yield every gradient step.

    Args:
        kind: Key of ``GENERATORS``.
        data: Training data.
        model: The frozen Prompt-DT: its normaliser, so that both meet the same units, and L_DT.
        config: How to train.
        sizes: Size of the generator.
        seed: Seed of everything.
        resume: As in ``pretrain``.
        begin: A trained generator of the same kind and size, whose weights this one begins with.

    Raises:
        ValueError: if there is no such kind, or ``begin`` is of another size; else as in
            ``pretrain``.
    """
    if kind not in GENERATORS:
        raise ValueError(f"There is no generator {kind!r}.{did_you_mean(kind, list(GENERATORS))}")
    check(data, config)
    missing = set(config.context_qualities) - set(data.qualities)
    if missing and config.guided_steps:
        raise ValueError(
            f"The data has no {sorted(missing)} trajectories to draw contexts from. Collect them, "
            "or leave the quality out of `context_qualities`."
        )
    model = model.computing(config.precision)
    normalizer, rows = model.normalizer, model.config.context_length
    if config.context_rows > rows:
        raise ValueError(
            f"`context_rows` must not exceed the transformer's {rows}: got {config.context_rows}."
        )
    if isinstance(sizes, DiffuserConfig):
        sizes = replace(sizes, constant=normalizer.constant)
    draw, rng = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    with Draws(seed):
        generator = GENERATORS[kind](sizes, find(data.trajectories.items[0].task.family))
    if begin is not None:
        if begin.config != sizes:
            raise ValueError(
                f"A training begins with weights of its own size: got {sizes} to begin with those "
                f"of {begin.config}. Leave out `--begin-with-shipped`, or the other size."
            )
        generator.load_state_dict(begin.state_dict())
    optimizer = torch.optim.AdamW(generator.trainable(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    combiner = config.combiner()
    training = Training(
        generator,
        optimizer,
        schedule,
        config.average,
        draw,
        rng,
        identity(data, config, sizes, seed, model=model, begin=begin),
        generator.inner_optimizers(),
        combiner,
    )
    if resume is not None:
        training.restore(resume)
    while training.step < config.steps:
        guided = training.step >= config.steps - config.guided_steps
        n = config.guided_batch_size if guided else config.batch_size
        tasks = draw.integers(len(data.tasks), size=n)
        if generator.n_transitions:
            x0, y, seen = draw_informed(data, normalizer, config, sizes, draw, tasks)
            y = generator.with_task(y, seen)
        else:
            x0, y = normalizer.pack(draw_prompts(data, config, sizes.prompt_length, draw, tasks))
        context = None
        if guided:
            index = data.draw(draw, tasks, config.context_qualities)
            length = config.context_rows or rows
            start = data.trajectories.starts(draw, index, length, whole=False)
            context = data.trajectories.segments(index, start, length)
        found = guided_update(
            generator,
            model,
            x0,
            y,
            context,
            rng,
            combiner,
            temperature=config.temperature,
            guidance="both" if guided else "diffusion",
        )
        training.follow(found.gradient, config.clip)
        yield GeneratorPretrainStep(
            training.step,
            found.loss_dm,
            training.averaged.module,
            training.state,
            found.measured,
        )


def draw_informed(
    data: Pool,
    normalizer: Normalizer,
    config: GeneratorPretrainConfig,
    sizes: InformedConfig,
    draw: np.random.Generator,
    tasks: np.ndarray,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw what an informed diffuser learns from, for each position in ``tasks``.

    The prompt is of ``config.prompt_qualities``; the task is to be inferred from a few-shot set
    of any one quality, as in an adaptation.

    Returns:
        x0 (B, K*, D) of the prompt; y (B, K*, 2) of a trajectory of the few-shot set, at the
        timesteps of the prompt; transitions (B, M, D) of the few-shot set.
    """
    trajectories, k = data.trajectories, sizes.prompt_length
    shots = draw_few_shot(data, draw, tasks)
    prompt = data.draw(draw, tasks, config.prompt_qualities)
    start = trajectories.prompt_starts(draw, prompt, k, config.prompt_positions)
    x0, _ = normalizer.pack(trajectories.segments(prompt, start, k))
    start = np.clip(start, 0, trajectories.lengths[shots[:, 0]] - k)
    _, y = normalizer.pack(trajectories.segments(shots[:, 0], start, k))
    return x0, y, draw_transitions(data, normalizer, draw, shots, sizes.n_transitions)


def draw_few_shot(data: Pool, draw: np.random.Generator, tasks: np.ndarray) -> np.ndarray:
    """Draw a few-shot set of any one quality for each position in ``tasks``, (n, 5) indices."""
    quality = draw.integers(len(data.qualities), size=len(tasks))
    shots = np.empty((len(tasks), _FEW), int)
    for number, name in enumerate(data.qualities):
        of = quality == number
        again = np.repeat(tasks[of], _FEW)
        shots[of] = data.draw(draw, again, [name]).reshape(-1, _FEW)
    return shots


def draw_transitions(
    data: Pool, normalizer: Normalizer, draw: np.random.Generator, shots: np.ndarray, m: int
) -> Tensor:
    """Draw ``m`` transitions of each few-shot set and return them packed, (n, M, D)."""
    which = shots[np.arange(len(shots))[:, None], draw.integers(_FEW, size=(len(shots), m))]
    return transitions(data.trajectories, normalizer, which, draw)


_FEW = 5  # trajectories of a few-shot set
