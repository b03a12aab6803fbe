"""The contract of every way of adapting a frozen Prompt-DT to a new task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from workbench.data.trajectory import POSITIONS, Positions, Segment, Trajectories, Trajectory
from workbench.methods.projection import Agreement, Combined, Plane
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptedPolicy

_Numbers = TypeVar("_Numbers", Plane, Agreement)

TunedOn = Literal["none", "few-shot", "full"]
N_PROMPTS = 5
"""Prompts a policy is evaluated with; episode i follows prompt i mod 5."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A learner at one moment: detached, it never changes afterwards.

    Attributes:
        policy: What is evaluated.
        trace: The denoising chains that made its prompts, or None.
        weights: The tuned numbers of ``policy.model`` by name, where a method tunes the model:
            what ``model.with_weights`` needs to build it again. Empty where it does not.
    """

    policy: PromptedPolicy
    trace: DenoisingTrace | None = None
    weights: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class GradientReport:
    """How the gradients of L_DM and L_DT met in an update (arXiv 2411.01168, Eq. 8 and 9).

    Attributes:
        cosine: Between g_DM and g_DT over all parameters, in [-1, 1].
        conflict: Whether g_DM · g_DT < 0 over all parameters.
        removed: ‖g_DT - Proj(g_DT)‖ / ‖g_DT‖ over all parameters, in [0, 1].
        plane: Where the three lie in the plane that g_DM and g_DT span; None in old runs.
        tensors: How they agree in each parameter tensor, by its name; empty in old runs.
    """

    cosine: float
    conflict: bool
    removed: float
    plane: Plane | None
    tensors: Mapping[str, Agreement]

    @classmethod
    def of(cls, combined: Combined, names: Sequence[str]) -> GradientReport:
        """Take from a combined gradient what is told of it.

        Plane and tensors are drawn and not computed with, so four digits of them are kept.

        Args:
            combined: The gradient of an update.
            names: Of its parameter tensors, in order.
        """
        tensors = zip(names, map(_four_digits, combined.tensors), strict=True)
        plane = _four_digits(combined.plane)
        return cls(combined.cosine, combined.conflict, combined.removed, plane, dict(tensors))


def _four_digits(numbers: _Numbers) -> _Numbers:
    return type(numbers)(*(float(f"{value:.4g}") for value in vars(numbers).values()))


@dataclass(frozen=True)
class Update:
    """What one optimisation step reports; nothing, where nothing is learned.

    Attributes:
        metrics: Losses and other numbers, by name.
        gradients: How the two gradients met, where an update has two.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    gradients: GradientReport | None = None


class Learner(Protocol):
    """One adaptation in progress."""

    @property
    def n_trainable(self) -> int:
        """Numbers that its updates change."""

    def update(self) -> Update:
        """Do one optimisation step and report it."""

    def snapshot(self) -> Snapshot:
        """Return the present policy, detached."""


class Method(Protocol):
    """A way of adapting: a frozen dataclass whose fields are its hyper-parameters.

    Fields that are plain numbers and words are its settings; the others are pretrained networks.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    label: ClassVar[str]
    """The paper's name."""
    needs: ClassVar[Mapping[str, str]]
    """Pretrained networks: field → name of the file (see ``assets.pretrained_path``).

    What only some settings need is a property ``also_needs`` likewise; see ``networks_of``."""
    data: ClassVar[TunedOn]
    """What it is tuned on: nothing, the few-shot set, or all data of the task."""
    guided: ClassVar[bool]
    """Whether L_DT guides a generator's own loss: λ, projection and guidance are its settings."""
    published: ClassVar[tuple[str, ...]]
    """Settings whose value is published; the other settings are ours."""

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> Learner:
        """Begin adapting the frozen ``model`` to the task of ``demos``.

        Args:
            model: Frozen; never changed.
            demos: What is learned from.
            rng: Source of all randomness.
            prompts: Trajectories that the initial prompt is cut from; ``demos`` by default.
        """


def descends(method: Method | type[Method]) -> bool:
    """Return whether its updates take a gradient through the model: unless it says otherwise.

    A method says so by ``needs_gradient: ClassVar[bool] = False``.
    """
    return bool(getattr(method, "needs_gradient", True))


def networks_of(method: Method) -> dict[str, str]:
    """Return the pretrained networks that a method needs with its settings, as ``Method.needs``."""
    return {**method.needs, **getattr(method, "also_needs", {})}


def numpy_rng(rng: torch.Generator) -> np.random.Generator:
    """Return a NumPy generator seeded by the next number of ``rng``."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=rng)))


def check_positions(positions: str) -> None:
    """Raise ValueError unless prompts can be cut there; see ``Positions``."""
    if positions not in POSITIONS:
        raise ValueError(
            f"`prompt_positions` must be one of {', '.join(POSITIONS)}: got {positions!r}."
        )


def check_ranges(method: object, **ok: bool) -> None:
    """Raise ValueError for the first setting of ``method`` that is not ok, naming it."""
    for name, good in ok.items():
        if not good:
            raise ValueError(f"`{name}` is out of its range: got {getattr(method, name)}.")


def evaluation_prompts(
    demos: Sequence[Trajectory],
    length: int,
    rng: np.random.Generator,
    positions: Positions = "any",
) -> Segment:
    """Cut the ``N_PROMPTS`` prompts of an evaluation from ``demos``; see ``Positions``.

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
    return data.segments(index, data.prompt_starts(rng, index, length, positions), length)
