"""The hyper-network of Hyper-Decision Transformer (arXiv 2304.08487)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Segment, Trajectories, Trajectory
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.prompt_dt import Adapter, ModelConfig, PromptDT
from workbench.tasks import Family


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


class HyperNetwork(SavedNetwork):
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
