"""The hyper-network of Hyper-Decision Transformer (arXiv 2304.08487) and its pretraining.

It looks at a demonstration without its actions and writes the adapters that a frozen Prompt-DT
begins with. Published: states and returns in, one network for all layers with an embedding of
the layer's index, the transformer frozen while it learns. Layer sizes are not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.behaviour import Quality
from workbench.model import Adapter, ModelConfig, Precision, PromptDT
from workbench.pretrain import Draws, Pool, Positions, action_loss, check, draw_batch, identity
from workbench.stored import Stored
from workbench.tasks import Family
from workbench.training import Training, TrainingState
from workbench.trajectory import Normalizer, Segment, Trajectories, Trajectory


@dataclass(frozen=True)
class HyperConfig:
    """Size of a hyper-network, and of the Prompt-DT that it writes adapters for.

    Attributes:
        n_layers: Blocks of the Prompt-DT.
        width: Embedding width of the Prompt-DT.
        bottleneck: Width inside an adapter.
        hidden: Hidden units that read a row of the demonstration.
        code: Numbers that sum a demonstration up, and that an adapter is written from.
    """

    n_layers: int
    width: int
    bottleneck: int = 16
    hidden: int = 64
    code: int = 16

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                value = getattr(self, field.name)
                raise ValueError(f"`{field.name}` must be at least 1: got {value}.")

    @classmethod
    def of(cls, sizes: ModelConfig) -> HyperConfig:
        """Return the size for a Prompt-DT of a size."""
        return cls(sizes.n_layers, sizes.width)


class HyperNetwork(Stored):
    """Demonstration → code → the numbers of one adapter for each block.

    Rows are read one by one and averaged, so that any number of them will do. An adapter is a
    learned one, the same for all blocks and tasks, plus a combination of ``code`` learned
    directions: writing each of its 4,496 numbers freely would take millions of weights.
    """

    kind, sizes = "hyper-network", HyperConfig

    def __init__(self, config: HyperConfig, family: Family):
        super().__init__(config, family)
        n_in = len(family.observations) + 3  # reward, return-to-go, timestep
        self.rows = nn.Sequential(
            nn.Linear(n_in, config.hidden),
            nn.Mish(),
            nn.Linear(config.hidden, config.hidden),
            nn.Mish(),
        )
        self.summary = nn.Linear(config.hidden, config.code)
        self.layers = nn.Embedding(config.n_layers, config.code)
        self.mixed = nn.Linear(2 * config.code, config.code)
        plain = Adapter(config.width, config.bottleneck)
        self.shapes = {name: p.shape for name, p in plain.named_parameters()}
        numbers = torch.cat([p.detach().flatten() for p in plain.parameters()])
        self.adapter = nn.Linear(config.code, len(numbers))
        nn.init.normal_(self.adapter.weight, std=0.01)
        with torch.no_grad():  # so that it begins, like a plain adapter, near the identity
            self.adapter.bias.copy_(numbers)

    def codes(self, normalizer: Normalizer, demos: Segment) -> Tensor:
        """Sum up demonstrations, B segments of any length, without looking at actions, (B, C)."""
        x, y = normalizer.pack(demos)
        o = normalizer.n_observations
        rows = self.rows(torch.cat([x[..., :o], x[..., -1:], y], -1))
        mask = demos.mask[..., None]
        return self.summary((rows * mask).sum(1) / mask.sum(1))

    def forward(self, codes: Tensor) -> dict[str, Tensor]:
        """Write adapters: codes (B, C) → parameter name of a ``PromptDT`` → numbers (B, ...)."""
        weights = {}
        for layer, embedding in enumerate(self.layers.weight):
            both = torch.cat([codes, embedding.expand(len(codes), -1)], 1)
            numbers = self.adapter(F.mish(self.mixed(both)))
            parts = numbers.split([shape.numel() for shape in self.shapes.values()], 1)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True):
                weights[f"blocks.{layer}.adapter.{name}"] = part.view(-1, *shape)
        return weights

    @torch.no_grad()
    def weights(self, normalizer: Normalizer, demos: Sequence[Trajectory]) -> dict[str, Tensor]:
        """Return the adapters that a task begins with, from the mean code of its demonstrations."""
        codes = self.codes(normalizer, _whole(Trajectories(demos), np.arange(len(demos))))
        return {name: w[0] for name, w in self(codes.mean(0, keepdim=True)).items()}


def _whole(data: Trajectories, index: np.ndarray) -> Segment:
    """Return whole trajectories as segments, padded to the longest."""
    return data.segments(index, np.zeros_like(index), int(data.lengths[index].max()))


class Adapted:
    """A frozen Prompt-DT with other adapters for each of T tasks, applied in one forward pass.

    Args:
        model: With adapters, whose own numbers are not used.
        weights: The adapters, (T, ...) each.
    """

    def __init__(self, model: PromptDT, weights: dict[str, Tensor]):
        self.model, self.weights = model, weights
        self.n_tasks = len(next(iter(weights.values())))

    def __call__(self, prompt: Segment, context: Segment) -> Tensor:
        """Predict actions, (T n, K, A), of n rows in turn for each task."""

        def of_one_task(weights, prompt, context):
            arguments = Segment(**prompt), Segment(**context)
            return torch.func.functional_call(self.model, weights, arguments)

        each = [
            {name: v.unflatten(0, (self.n_tasks, -1)) for name, v in vars(segment).items()}
            for segment in (prompt, context)
        ]
        return torch.vmap(of_one_task)(self.weights, *each).flatten(0, 1)


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
