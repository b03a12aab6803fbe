"""Pretraining of a Prompt-DT over the training tasks, and what every pretraining shares."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from workbench.data.qualities import QUALITIES, Quality
from workbench.data.trajectory import Normalizer, Positions, Segment, Trajectories, Trajectory
from workbench.networks.checkpoint import plain_sizes
from workbench.networks.prompt_dt import ModelConfig, Precision, PromptDT
from workbench.pretraining.grown import grown
from workbench.pretraining.parallel import ALONE, World
from workbench.pretraining.resumable import Training, TrainingState
from workbench.tasks import find


@dataclass(frozen=True)
class PretrainConfig:
    """How a Prompt-DT is trained.

    Published: lr 1e-4, warm-up 10,000, clip 0.25, batch 16 per task, 50,000 steps. Ours were
    chosen on training tasks, to train in half an hour on two cores.

    Attributes:
        steps: Gradient steps.
        batch_size: Sequences per step, drawn over all training tasks.
        lr: Peak learning rate of AdamW; falls to a tenth by a cosine.
        warmup: Steps of linear warm-up.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        prompt_qualities: Qualities that prompts are drawn from (published: expert).
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
        average: Decay of the running average of the weights that is kept.
        precision: ``"bf16"`` computes the forward and backward pass in bfloat16, with weights
            and optimiser in float32: sooner on a CPU that has it (`make bench`).
    """

    steps: int = 12_000
    batch_size: int = 64
    lr: float = 1e-3
    warmup: int = 500
    weight_decay: float = 1e-4
    clip: float = 1.0
    prompt_qualities: tuple[Quality, ...] = ("expert",)
    prompt_positions: Positions = "any"
    average: float = 0.999
    precision: Precision = "bf16"


class Prompts(Protocol):
    """The settings of a pretraining that say where its prompts come from."""

    steps: int
    batch_size: int
    prompt_qualities: tuple[Quality, ...]
    prompt_positions: Positions


@dataclass(frozen=True, eq=False)
class PretrainStep:
    """One gradient step: its loss and the model as it stands (live until the next step).

    ``state()`` copies all that the stream needs to go on from here; call it before the next step.
    """

    step: int
    loss: float
    model: PromptDT
    state: Callable[[], TrainingState]
    measured: ClassVar[Mapping[str, float]] = {}


class Pool:
    """Training data of many tasks and qualities, grouped so that sampling is one gather."""

    def __init__(self, collected: Iterable[tuple[Quality, Sequence[Trajectory]]]):
        labelled = [(t.task.index, quality, t) for quality, items in collected for t in items]
        self.trajectories = Trajectories(t for _, _, t in labelled)
        self.tasks = tuple(sorted({task for task, _, _ in labelled}))
        self.qualities = tuple(q for q in QUALITIES if any(q == own for _, own, _ in labelled))
        self._labels = [(task, quality) for task, quality, _ in labelled]
        groups = [
            [i for i, (t, q, _) in enumerate(labelled) if (t, q) == (task, quality)]
            for task in self.tasks
            for quality in self.qualities
        ]
        if not all(groups):
            raise ValueError(
                f"Every task needs trajectories of every quality ({', '.join(self.qualities)}): "
                f"{sum(not g for g in groups)} of {len(groups)} groups are empty. Collect them."
            )
        self._count = np.array([len(g) for g in groups])
        self._members = np.zeros((len(groups), self._count.max()), int)
        for row, group in zip(self._members, groups, strict=True):
            row[: len(group)] = group

    def draw(
        self, rng: np.random.Generator, tasks: np.ndarray, qualities: Sequence[Quality]
    ) -> np.ndarray:
        """Draw a trajectory for each position in ``tasks``, of a random one of ``qualities``."""
        allowed = np.array([self.qualities.index(q) for q in qualities])
        group = tasks * len(self.qualities) + rng.choice(allowed, size=len(tasks))
        return self._members[group, rng.integers(self._count[group])]

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every label and number, in order: what a training of this data depends on."""
        sha = hashlib.sha256(json.dumps(self._labels).encode())
        for t in self.trajectories.items:
            for array in (t.observations, t.actions, t.rewards):
                sha.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


def draw_prompts(
    data: Pool,
    config: Prompts,
    length: int,
    rng: np.random.Generator,
    tasks: np.ndarray,
) -> Segment:
    """Draw one prompt for each position in ``tasks``."""
    index = data.draw(rng, tasks, config.prompt_qualities)
    start = data.trajectories.prompt_starts(rng, index, length, config.prompt_positions)
    return data.trajectories.segments(index, start, length)


def draw_batch(
    data: Pool,
    config: Prompts,
    sizes: ModelConfig,
    rng: np.random.Generator,
    tasks: np.ndarray | None = None,
    qualities: Sequence[Quality] = (),
) -> tuple[Segment, Segment]:
    """Draw prompts and contexts of the same tasks: ``tasks``, or ``batch_size`` random ones.

    The prompt and the context come from trajectories drawn apart, so that the prompt tells the
    task and seldom the very transitions to imitate; contexts are of every quality, or of
    ``qualities``. With banded attention they have 2 K rows, or hardly a token would read what has
    a full band itself.
    """
    if tasks is None:
        tasks = rng.integers(len(data.tasks), size=config.batch_size)
    prompt = draw_prompts(data, config, sizes.prompt_length, rng, tasks)
    index = data.draw(rng, tasks, qualities or data.qualities)
    rows = sizes.context_length * (1 if sizes.band is None else 2)
    start = data.trajectories.starts(rng, index, rows, whole=False)
    return prompt, data.trajectories.segments(index, start, rows)


def pretrain(
    data: Pool,
    config: PretrainConfig,
    sizes: ModelConfig,
    seed: int,
    resume: TrainingState | None = None,
    world: World = ALONE,
    begin: PromptDT | None = None,
    kind: type[PromptDT] = PromptDT,
) -> Iterator[PretrainStep]:
    """Train a Prompt-DT, or another model, on ``data`` and yield every gradient step.

    The normaliser is fitted on ``data``, so pass training tasks only.

    Args:
        data: Training data.
        config: How to train.
        sizes: Size of the model.
        seed: Seed of everything.
        resume: A step's ``state()``: yields the steps that follow it, the very same ones.
        world: The processes that share the training: each takes ``batch_size`` sequences a step.
            All yield the same losses; a state is that of the first.
        begin: A trained model that this one begins as; see ``begin_with``.
        kind: Of the model; ``sizes`` are its own.

    Raises:
        ValueError: if ``data`` lacks a quality that prompts are drawn from, or ``resume`` is of
            a training with other arguments, or ``begin`` is of a size that does not fit.
    """
    check(data, config)
    trajectories = data.trajectories
    rng, draws = np.random.default_rng(seed), Draws(seed, world.device)
    with draws:
        model = kind(sizes, find(trajectories.items[0].task.family))
        model.precision = config.precision
    if begin is not None:
        begin_with(model, begin)
    model.fit(trajectories)
    model.to(world.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )

    def rate(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1, config.warmup))
        return warm * (0.55 + 0.45 * np.cos(np.pi * step / config.steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    training = Training(
        model,
        optimizer,
        schedule,
        config.average,
        rng,
        draws.rng,
        identity(data, config, sizes, seed, model=begin, processes=world.size),
    )
    whole = dataclasses.replace(config, batch_size=config.batch_size * world.size)
    # what is told no return must not imitate what earns little
    imitated = data.qualities if kind.reads_returns else config.prompt_qualities
    if resume is not None:
        training.restore(resume)

    def batch_of(tasks: np.ndarray) -> tuple[Segment, Segment]:
        prompt, context = draw_batch(data, whole, sizes, rng, tasks, imitated)
        return prompt.to(world.device), context.to(world.device)

    while training.step < config.steps:
        model.train()
        with draws:
            model.revise(training.step / config.steps, batch_of)
        tasks = rng.integers(len(data.tasks), size=whole.batch_size)
        batch = *draw_batch(data, whole, sizes, rng, tasks, imitated), torch.from_numpy(tasks)
        prompt, context, which = map(world.part, batch)
        if world.rank:  # its own dropout, that needs no state of its own
            draws.rng.manual_seed(hash((seed, world.rank, training.step)) % 2**63)
        with draws:
            loss = model.loss(prompt, context, which) * world.share(context.mask)
        training.descend(loss, config.clip, world)
        averaged = training.averaged.module
        yield PretrainStep(training.step, world.mean(loss.item()), averaged, training.state)


def begin_with(model: PromptDT, other: PromptDT) -> None:
    """Give a model the weights of a Prompt-DT, ``grown`` to its size; what it has besides stays.

    Raises:
        ValueError: if it cannot be grown to it.
    """
    try:
        model.load_state_dict({**model.state_dict(), **grown(model, other)})
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            "A training begins with weights of its own size, or of one whose width and heads it "
            f"has a whole number of times: got {model.config} to begin with those of "
            f"{other.config}. Leave out `--begin-with-prompt-dt`, or the other size."
        ) from error


def identity(
    data: Pool,
    config: Any,
    sizes: Any,
    seed: int,
    normalizer: Normalizer | None = None,
    model: torch.nn.Module | None = None,
    processes: int = 1,
    begin: torch.nn.Module | None = None,
) -> dict[str, Any]:
    """Return what determines a training, as plain JSON: equal ones take the same steps.

    Args:
        data: Training data.
        config: How to train, a dataclass of plain values.
        sizes: Size of the network, likewise.
        seed: Seed of everything.
        normalizer: Statistics that the training reads, if any.
        model: A frozen network that the training reads, or begins with, if any.
        processes: That share the training.
        begin: A network that the training begins with besides ``model``, if any.
    """
    made_from = {
        "family": data.trajectories.items[0].task.family,
        "settings": dataclasses.asdict(config),
        "sizes": plain_sizes(sizes),
        "seed": seed,
        "data": data.fingerprint,
    }
    if processes > 1:
        made_from["processes"] = processes
    if normalizer is not None:
        statistics = {k: v.tolist() for k, v in normalizer.state_dict().items()}
        made_from["normalizer"] = statistics
    for role, network in (("model", model), ("begin", begin)):
        if network is not None:
            sha = hashlib.sha256()
            for name, tensor in sorted(network.state_dict().items()):
                sha.update(name.encode() + tensor.numpy().tobytes())
            made_from[role] = sha.hexdigest()
    return json.loads(json.dumps(made_from))


class Draws:
    """Lends the global generator a stream's own: initial weights and dropout draw from it.

    A CUDA device draws from a generator of its own, which gets its seed from the stream's.
    """

    def __init__(self, seed: int, device: torch.device = ALONE.device):
        self.rng, self.device = torch.Generator().manual_seed(seed), device

    def __enter__(self):
        self.outside = torch.get_rng_state()
        torch.set_rng_state(self.rng.get_state())
        if self.device.type == "cuda":
            self.outside_cuda = torch.cuda.get_rng_state(self.device)
            torch.cuda.manual_seed(int(torch.randint(2**62, ())))

    def __exit__(self, *_):
        self.rng.set_state(torch.get_rng_state())
        torch.set_rng_state(self.outside)
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(self.outside_cuda, self.device)


def check(data: Pool, config: Prompts) -> None:
    """Raise ValueError if ``data`` lacks a quality that is asked for, or there is no step."""
    missing = set(config.prompt_qualities) - set(data.qualities)
    if missing:
        raise ValueError(
            f"The data has no {sorted(missing)} trajectories to draw prompts from. "
            "Collect them, or leave the quality out of `prompt_qualities`."
        )
    if config.steps < 1:
        raise ValueError(f"`steps` must be at least 1: got {config.steps}.")
