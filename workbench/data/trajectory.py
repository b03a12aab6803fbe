"""Values that everything else passes around: trajectories, segments of them, statistics.

``Trajectory`` is one recorded episode, ``Segment`` a batch of pieces (prompts, contexts), and
``Trajectories`` cuts segments; ``Normalizer`` holds the statistics of the training tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.films import Film
from workbench.tasks import Task


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One episode, one row per action: o_t, a_t, r_t aligned, never T+1 rows.

    Attributes:
        observations: What the environment returned before each action, (T, O) raw units.
        actions: (T, A) in [-1, 1].
        rewards: Reward of each action, (T,).
        states: Simulator state before each action, (T, S), or None; for rendering.
        task: The task it was recorded in.
        film: What it looked like, where states do not say and it was filmed; else None.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    states: np.ndarray | None
    task: Task
    film: Film | None = None

    def __post_init__(self):
        for name, ndim in (("observations", 2), ("actions", 2), ("rewards", 1)):
            array = getattr(self, name)
            if array.ndim != ndim or len(array) != len(self.rewards) or not len(array):
                raise ValueError(
                    f"`{name}` must have {ndim} dimension(s) and one row per reward: "
                    f"got {array.shape} with {len(self.rewards)} rewards. "
                    "Store o_t, a_t, r_t aligned, without the observation after the last action."
                )
            if not np.isfinite(array).all():
                rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))
                raise ValueError(
                    f"`{name}` must be finite: row {rows[0]} is not ({len(rows)} such rows). "
                    "Drop or repair these rows."
                )
        if self.states is not None and len(self.states) != len(self.rewards):
            raise ValueError(
                f"`states` must have one row per reward: got {len(self.states)} rows "
                f"with {len(self.rewards)} rewards."
            )

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def episode_return(self) -> float:
        """The undiscounted sum of rewards, raw."""
        return float(self.rewards.sum())


def returns_to_go(rewards: np.ndarray) -> np.ndarray:
    """Return r̂_t = Σ_{t' ≥ t} r_t' along the last axis (arXiv 2106.01345), raw units."""
    return np.flip(np.cumsum(np.flip(rewards, -1), -1), -1)


def limited(actions: Tensor) -> Tensor:
    """Limit actions to [-1, 1], gradients straight through (arXiv 1308.3432)."""
    return actions.detach().clamp(-1, 1) + (actions - actions.detach())


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Average ``x`` where ``mask`` is 1: padding neither counts nor dilutes.

    Args:
        x: (B, K, ·) or (B, K).
        mask: (B, K), 1 for real rows.
    """
    per_row = x.mean(-1) if x.ndim > mask.ndim else x
    return (per_row * mask).sum() / mask.sum().clamp(min=1)


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive transitions of trajectories, batch first, raw units.

    A trajectory *prompt* is a segment of K* rows, a *context* one of K rows.

    Attributes:
        returns_to_go: (B, K, 1).
        observations: (B, K, O).
        actions: (B, K, A) in [-1, 1].
        rewards: (B, K, 1); part of what is diffused, never read by the transformer.
        timesteps: Environment time, (B, K) int64.
        mask: 1 for real rows, 0 for padding at the end, (B, K).
    """

    returns_to_go: Tensor
    observations: Tensor
    actions: Tensor
    rewards: Tensor
    timesteps: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def length(self) -> int:
        """Rows per element of the batch, K or K*."""
        return self.timesteps.shape[1]

    def __getitem__(self, index) -> Segment:
        """Select elements of the batch by slice or index tensor."""
        return self._map(lambda x: x[index])

    def detach(self) -> Segment:
        """Return a copy that shares nothing with the graph or the memory of this one."""
        return self._map(lambda x: x.detach().clone())

    def to(self, device: torch.device | str) -> Segment:
        """Return the segment on another device."""
        return self._map(lambda x: x.to(device))

    def _map(self, f) -> Segment:
        return Segment(**{k.name: f(getattr(self, k.name)) for k in dataclasses.fields(self)})

    @classmethod
    def cat(cls, segments: Sequence[Segment]) -> Segment:
        """Join batches of segments of equal length."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: torch.cat([getattr(s, name) for s in segments]) for name in names})

    @classmethod
    def empty(cls, family, n: int = 1) -> Segment:
        """Return a prompt of no rows: the transformer then acts without a prompt."""
        shape = {"observations": len(family.observations), "actions": len(family.actions)}
        zeros = {k: torch.zeros(n, 0, shape.get(k, 1)) for k in _WIDE}
        return cls(**zeros, timesteps=torch.zeros(n, 0, dtype=torch.int64), mask=torch.zeros(n, 0))


_WIDE = ("returns_to_go", "observations", "actions", "rewards")


class Trajectories:
    """Trajectories stacked into padded arrays, so that sampling is one gather."""

    def __init__(self, trajectories: Iterable[Trajectory]):
        items = tuple(trajectories)
        if not items:
            raise ValueError("At least one trajectory is needed: got none.")
        self.items = items
        self.lengths = np.array([len(t) for t in items])
        self._arrays = {
            "returns_to_go": _stack([returns_to_go(t.rewards)[:, None] for t in items]),
            "observations": _stack([t.observations for t in items]),
            "actions": _stack([t.actions for t in items]),
            "rewards": _stack([t.rewards[:, None] for t in items]),
        }

    def __len__(self) -> int:
        return len(self.items)

    def segments(self, index: np.ndarray, start: np.ndarray, length: int) -> Segment:
        """Cut ``length`` rows from each of B trajectories.

        Args:
            index: Which trajectory, (B,).
            start: First row, (B,). Rows past the end are padding, masked out.
            length: Rows, K or K*.
        """
        rows = np.asarray(start)[:, None] + np.arange(length)
        real = rows < self.lengths[index][:, None]
        at = np.minimum(rows, self._arrays["rewards"].shape[1] - 1)
        fields = {
            name: torch.from_numpy(array[np.asarray(index)[:, None], at] * real[..., None])
            for name, array in self._arrays.items()
        }
        return Segment(
            **fields, timesteps=torch.from_numpy(at), mask=torch.from_numpy(real).float()
        )

    def transitions(self, index: np.ndarray, row: np.ndarray) -> Tensor:
        """Return ``[s; a; r]`` of single rows, raw, for any equal shapes (...) → (..., D)."""
        columns = ("observations", "actions", "rewards")
        return torch.from_numpy(np.concatenate([self._arrays[c][index, row] for c in columns], -1))

    def starts(
        self, rng: np.random.Generator, index: np.ndarray, length: int, *, whole: bool
    ) -> np.ndarray:
        """Draw a first row for each of the trajectories ``index``, uniformly, (B,).

        Args:
            rng: Source of randomness.
            index: Which trajectories, (B,).
            length: Rows of the segments to be cut.
            whole: True for prompts: every position at which all rows are real is equally
                likely. False for contexts: windows that would begin before the episode are
                moved to its start, so that its first steps are seen as often as the others.
        """
        last = np.maximum(self.lengths[index] - length, 0)
        first = 0 if whole else 1 - length  # before the episode begins; clipped to its start
        return np.clip(rng.integers(first, last + 1), 0, None)

    def sample(self, rng: np.random.Generator, n: int, length: int, *, whole: bool) -> Segment:
        """Draw ``n`` segments uniformly over trajectories and positions (see ``starts``)."""
        index = rng.integers(len(self), size=n)
        return self.segments(index, self.starts(rng, index, length, whole=whole), length)


def _stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    out = np.zeros((len(arrays), max(map(len, arrays)), arrays[0].shape[1]), np.float32)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out


class Normalizer(nn.Module):
    """Statistics of the *training* tasks that bring every variable near mean 0, sd 1.

    Lives inside a ``PromptDT``, is saved with it and never changes. A variable that does not
    vary (Cheetah's torso y) keeps scale 1.
    """

    mean: Tensor
    scale: Tensor
    return_scale: Tensor

    def __init__(self, n_observations: int, n_actions: int, return_scale: float, horizon: int):
        super().__init__()
        self.n_observations, self.n_actions, self.horizon = n_observations, n_actions, horizon
        n = n_observations + n_actions + 1
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("scale", torch.ones(n))
        self.register_buffer("return_scale", torch.tensor(float(return_scale)))

    def fit(self, trajectories: Trajectories) -> Normalizer:
        """Set the statistics of ``[s; a; r]`` from ``trajectories``; return self."""
        items = trajectories.items
        rows = np.concatenate(
            [np.concatenate([t.observations, t.actions, t.rewards[:, None]], 1) for t in items]
        )
        std = rows.std(0)
        self.mean.copy_(torch.from_numpy(rows.mean(0)))
        self.scale.copy_(torch.from_numpy(np.where(std < 1e-6, 1.0, std)))
        return self

    @property
    def constant(self) -> tuple[int, ...]:
        """Columns of ``[s; a; r]`` that did not vary in the training data."""
        return tuple(torch.nonzero(self.scale == 1.0).flatten().tolist())  # ``fit`` says so

    def observations(self, observations: Tensor) -> Tensor:
        """Normalise raw observations, (..., O)."""
        o = self.n_observations
        return (observations - self.mean[:o]) / self.scale[:o]

    def returns(self, returns: Tensor) -> Tensor:
        """Scale raw returns-to-go."""
        return returns / self.return_scale

    def pack(self, segment: Segment) -> tuple[Tensor, Tensor]:
        """Turn a segment into what is diffused and what it is conditioned on.

        Returns:
            ``x`` (B, K*, D): columns ``[s; a; r]`` normalised (arXiv 2411.01168, Eq. 4);
            ``y`` (B, K*, 2): columns ``[r̂; t]``, scaled return-to-go and t / T (Eq. 5).
        """
        raw = torch.cat([segment.observations, segment.actions, segment.rewards], -1)
        time = segment.timesteps[..., None].to(raw.dtype) / self.horizon
        return (raw - self.mean) / self.scale, torch.cat(
            [self.returns(segment.returns_to_go), time], -1
        )

    def unpack(self, x: Tensor, y: Tensor) -> Segment:
        """Invert ``pack``; differentiable in ``x``. Actions are limited to [-1, 1].

        The limit passes gradients straight through: behind a plain clamp an action outside would
        get none and stay where it is.
        """
        raw = x * self.scale + self.mean
        o, a = self.n_observations, self.n_actions
        actions = raw[..., o : o + a]
        return Segment(
            returns_to_go=y[..., :1] * self.return_scale,
            observations=raw[..., :o],
            actions=limited(actions),
            rewards=raw[..., o + a :],
            timesteps=(y[..., 1] * self.horizon).round().long(),
            mask=torch.ones_like(y[..., 0]),
        )
