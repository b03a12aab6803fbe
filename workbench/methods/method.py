"""The contract of every way of adapting a frozen Prompt-DT to a new task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from workbench.diffusion import DenoisingTrace
from workbench.model import PromptDT, PromptedPolicy
from workbench.trajectory import Segment, Trajectories, Trajectory

N_PROMPTS = 5
"""Prompts a policy is evaluated with; episode i follows prompt i mod 5."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A learner at one moment: detached, it never changes afterwards.

    Attributes:
        policy: What is evaluated.
        trace: The denoising chains that made its prompts, or None.
    """

    policy: PromptedPolicy
    trace: DenoisingTrace | None = None


class Learner(Protocol):
    """One adaptation in progress."""

    def update(self) -> Mapping[str, float]:
        """Do one optimisation step and return what was measured, by name."""

    def snapshot(self) -> Snapshot:
        """Return the present policy, detached."""


class Method(Protocol):
    """A way of adapting: a frozen dataclass whose fields are its hyper-parameters."""

    @property
    def label(self) -> str:
        """The paper's name."""

    def start(self, model: PromptDT, demos: Sequence[Trajectory], rng: torch.Generator) -> Learner:
        """Begin adapting the frozen ``model`` to the task of ``demos``."""


def numpy_rng(rng: torch.Generator) -> np.random.Generator:
    """Return a NumPy generator seeded by the next number of ``rng``."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng)))


def evaluation_prompts(
    demos: Sequence[Trajectory], length: int, rng: np.random.Generator
) -> Segment:
    """Cut the ``N_PROMPTS`` prompts of an evaluation from ``demos``, at any position.

    Raises:
        ValueError: if a demonstration is shorter than a prompt.
    """
    shortest = min(len(t) for t in demos)
    if shortest < length:
        raise ValueError(
            f"`prompt_length` must not exceed the shortest demonstration: got {length} and "
            f"{shortest}. Collect longer demonstrations or lower it."
        )
    data = Trajectories(demos)
    index = np.arange(N_PROMPTS) % len(data)
    return data.segments(index, data.starts(rng, index, length, whole=True), length)
