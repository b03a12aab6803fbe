"""A diffuser that infers the task: our answer to few-shot data of any quality.

In Prompt Diffuser (arXiv 2411.01168) the condition y holds returns-to-go and timesteps alone (Eq.
5), which seldom tell one task from another. This diffuser also reads a handful of few-shot
transitions, as PEARL's encoder does (arXiv 1903.08254). Pretrained to denoise *expert* prompts
given transitions of *any* quality, it infers the task from how transitions are rewarded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Trajectories
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.tasks import Family


@dataclass(frozen=True)
class InformedConfig(DiffuserConfig):
    """Size of an informed diffuser.

    Attributes:
        n_transitions: M, transitions that it reads while it is pretrained; in any order. In an
            adaptation it reads the whole few-shot set: more tell the task better.
        code: C, size of their mean encoding, the task code.
    """

    n_transitions: int = 32
    code: int = 16

    def __post_init__(self):
        super().__post_init__()
        for name in ("n_transitions", "code"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive: got {getattr(self, name)}.")


class InformedDiffuser(PromptDiffuser):
    """ε_θ(x_k, [y; c], k), c a code of the few-shot transitions, in every column of y."""

    kind, sizes = "informed diffuser", InformedConfig

    def __init__(self, config: InformedConfig, family: Family):
        super().__init__(config, family, n_condition=2 + config.code)
        self.encoder, self.to_code = task_encoder(self.d, config.code)

    @property
    def n_transitions(self) -> int:
        """M, transitions that are read."""
        return self.config.n_transitions

    def with_task(self, y: Tensor, transitions: Tensor) -> Tensor:
        """Return the condition [y; c], (B, K*, 2 + C).

        Args:
            y: Returns-to-go and timesteps, (B, K*, 2).
            transitions: Few-shot ``[s; a; r]``, normalised, (B, M, D), or (1, M, D) for all; any
                number of them, since their mean encoding counts.
        """
        code = self.to_code(self.encoder(transitions).mean(1))
        return torch.cat([y, code[:, None].expand(len(y), y.shape[1], -1)], -1)

    @classmethod
    def upgraded(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Read the configuration of a file: ``n_transitions`` was called ``n_evidence``."""
        names = {"n_evidence": "n_transitions"}
        return super().upgraded({names.get(name, name): v for name, v in config.items()})


_HIDDEN = 64


def task_encoder(n_in: int, code: int) -> tuple[nn.Sequential, nn.Linear]:
    """Return what reads single transitions, (…, D), and what makes a code of their mean reading."""
    reader = nn.Sequential(
        nn.Linear(n_in, _HIDDEN), nn.Mish(), nn.Linear(_HIDDEN, _HIDDEN), nn.Mish()
    )
    return reader, nn.Linear(_HIDDEN, code)


def transitions(
    data: Trajectories, normalizer: Normalizer, which: np.ndarray, draw: np.random.Generator
) -> Tensor:
    """Draw a transition of each trajectory ``which`` (B, M) and return them packed, (B, M, D)."""
    raw = data.transitions(which, draw.integers(data.lengths[which]))
    return (raw - normalizer.mean) / normalizer.scale


def all_transitions(
    data: Trajectories, normalizer: Normalizer, draw: np.random.Generator
) -> Tensor:
    """Return every transition of a few-shot set packed, (1, M, D); of a large one a sample."""
    index = np.repeat(np.arange(len(data)), data.lengths)
    row = np.concatenate([np.arange(n) for n in data.lengths])
    if len(row) > _MOST:
        some = draw.choice(len(row), _MOST, replace=False)
        index, row = index[some], row[some]
    return ((data.transitions(index, row) - normalizer.mean) / normalizer.scale)[None]


_MOST = 2_500  # as many as five episodes of 500 steps have
