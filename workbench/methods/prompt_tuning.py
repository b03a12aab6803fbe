"""Prompt-Tuning DT (arXiv 2305.09648): the prompt follows a ranking of its perturbations.

No gradient is taken: the optimiser is ZO-RankSGD (arXiv 2303.03751).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor

from workbench.data.rollout import rollout
from workbench.data.trajectory import Positions, Segment, Trajectories, Trajectory
from workbench.methods.method import (
    N_PROMPTS,
    Snapshot,
    TunedOn,
    Update,
    check_positions,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.soft_prompt import PromptNumbers
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.tasks import Task

ScorerName = Literal["offline", "online"]
SEEDS = range(1_000_000, 2_000_000)
"""Seeds of the episodes that rank prompts; never those of an evaluation."""
FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0)
"""Of ``lr``: the steps that a line search compares."""
_SEQUENCES = 128
"""Pairs of a prompt and a context in one forward pass: the fastest size on one core."""


@dataclass(frozen=True)
class PromptTuning:
    """Move each prompt towards the perturbations of it that rank best, once per update.

    Leftover defaults of public code are 15 perturbations, μ = 1, 10 rounds; nothing else is
    known, so the other settings are ours.

    Attributes:
        scorer: ``"offline"`` ranks by the action error of the frozen model on few-shot contexts,
            ``"online"`` by the return of episodes in the task.
        n_candidates: m, perturbations of each prompt per update.
        mu: μ, size of a perturbation, in normalised units.
        lr: η, length of the step along the direction.
        batch_size: Contexts per update, the same for all candidates; offline.
        ranking_episodes: Episodes per candidate, from the same initial states for all; online.
        line_search: Also rank fractions of ``lr`` and take the best of them.
        prompt_positions: Where in an episode prompts are cut; see ``Positions``.
    """

    scorer: ScorerName = "offline"
    n_candidates: int = 15
    mu: float = 0.1
    lr: float = 0.1
    batch_size: int = 32
    ranking_episodes: int = 1
    line_search: bool = False
    prompt_positions: Positions = "any"

    label: ClassVar[str] = "Prompt-Tuning DT"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    needs_gradient: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if self.scorer not in get_args(ScorerName):
            known = ", ".join(get_args(ScorerName))
            raise ValueError(f"`scorer` must be one of {known}: got {self.scorer!r}.")
        check_positions(self.prompt_positions)
        check_ranges(
            self,
            n_candidates=self.n_candidates >= 2,
            mu=self.mu > 0,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
            ranking_episodes=self.ranking_episodes >= 1,
        )

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> PromptTuningLearner:
        """Begin at the prompts that the untuned run of the same seed has."""
        return PromptTuningLearner(self, model, demos, rng, prompts or demos)


def ranking_direction(perturbations: Tensor, costs: Tensor) -> Tensor:
    """Return d = Σ_i w_i ξ_i / (m (m − 1) / 2) from a full ranking (arXiv 2303.03751).

    w_i is the number of perturbations that ξ_i beats minus the number that beat it; the divisor
    is the number of pairs. In a tie neither beats the other.

    Args:
        perturbations: ξ, (B, m, ·).
        costs: Lower is better, (B, m); only their order matters.

    Returns:
        One direction for each of the B, (B, ·).
    """
    m = costs.shape[1]
    beats = costs[:, :, None] < costs[:, None, :]
    weights = (beats.sum(2) - beats.sum(1)).to(perturbations.dtype)
    return torch.einsum("bm,bm...->b...", weights, perturbations) / (m * (m - 1) / 2)


class Scorer(Protocol):
    """Something that ranks prompts; equal conditions for all within a round."""

    def begin(self) -> None:
        """Begin a round."""

    def costs(self, prompts: Segment) -> Tensor:
        """Return how bad each of n prompts is, (n,)."""

    def metrics(self, before: Segment, costs: Tensor) -> Mapping[str, float]:
        """Return what a round reports, of the prompts before it and its candidates' costs."""


class PromptTuningLearner:
    """Tunes the prompts of an evaluation, each by a ranking of its own.

    ``n_trainable`` counts the numbers of *one* prompt: they share nothing, and an episode
    follows one of them.
    """

    def __init__(
        self,
        method: PromptTuning,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        prompts: Sequence[Trajectory],
    ):
        self.method, self.model, self.rng = method, model, rng
        draw = numpy_rng(rng)
        length = model.config.prompt_length
        cut = evaluation_prompts(prompts, length, draw, method.prompt_positions)
        self.numbers = PromptNumbers(model.normalizer, cut)
        self.change = torch.zeros(self.numbers.shape)
        self.n_trainable = self.numbers.n_each
        self.scorer: Scorer
        if method.scorer == "offline":
            self.scorer = ActionError(model, Trajectories(demos), method.batch_size, draw)
        else:
            self.scorer = EpisodeReturn(model, demos[0].task, method.ranking_episodes, draw)

    @torch.no_grad()
    def update(self) -> Update:
        """Rank perturbations of every prompt and step along the direction: one round."""
        method, before = self.method, self.numbers.build(self.change)
        self.scorer.begin()
        n, *shape = self.numbers.shape
        xi = torch.randn(n, method.n_candidates, *shape, generator=self.rng)
        costs = self._costs(self.change[:, None] + method.mu * xi)
        step = method.lr * ranking_direction(xi, costs)
        if method.line_search:
            fractions = torch.tensor(FRACTIONS)[:, None, None]
            best = self._costs(self.change[:, None] + fractions * step[:, None]).argmin(1)
            step = fractions[best] * step
        self.change = self.numbers.within(self.change + step)
        return Update(self.scorer.metrics(before, costs))

    def _costs(self, changes: Tensor) -> Tensor:
        """Return the cost of changes of every prompt, (N_PROMPTS, n, K*, C) → (N_PROMPTS, n)."""
        which = torch.arange(N_PROMPTS).repeat_interleave(changes.shape[1])
        prompts = self.numbers.build(changes.flatten(0, 1), which)
        return self.scorer.costs(prompts).unflatten(0, changes.shape[:2])

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Return the present prompts."""
        return Snapshot(PromptedPolicy(self.model, self.numbers.build(self.change).detach()))


class ActionError:
    """Scores by L_DT (arXiv 2411.01168, Eq. 7) on ``batch_size`` contexts, new in each round."""

    def __init__(
        self, model: FrozenModel, data: Trajectories, batch_size: int, draw: np.random.Generator
    ):
        self.model, self.data, self.batch_size, self.draw = model, data, batch_size, draw

    def begin(self) -> None:
        """Draw the contexts of a round."""
        length = self.model.config.context_length
        self.context = self.data.sample(self.draw, self.batch_size, length, whole=False)

    @torch.no_grad()
    def costs(self, prompts: Segment) -> Tensor:
        """Return the mean squared action error under each of n prompts, (n,)."""
        per_pass = max(1, _SEQUENCES // self.batch_size)
        parts = torch.arange(len(prompts)).split(per_pass)
        return torch.cat([self._errors(prompts[part]) for part in parts])

    def _errors(self, prompts: Segment) -> Tensor:
        n, b = len(prompts), self.batch_size
        context = self.context[torch.arange(b).repeat(n)]
        got = self.model(prompts[torch.arange(n).repeat_interleave(b)], context)
        errors = (got - context.actions).square().mean(-1) * context.mask
        return errors.reshape(n, -1).sum(1) / context.mask.reshape(n, -1).sum(1)

    def metrics(self, before: Segment, costs: Tensor) -> Mapping[str, float]:
        """Return ``loss_dt``, the mean L_DT of the prompts before the step."""
        return {"loss_dt": self.costs(before).mean().item()}


def episode_returns(
    policy: PromptedPolicy, task: Task, seeds: Sequence[int]
) -> tuple[np.ndarray, int]:
    """Return the return of one episode for each seed, (B,), and how many steps they all took."""
    returns, steps = np.zeros(len(seeds)), 0
    for step in rollout(policy, task, seeds):
        returns = returns + step.rewards
        steps += int(step.alive.sum())
    return returns, steps


class EpisodeReturn:
    """Scores by minus the return of episodes from the same initial states, new in each round."""

    def __init__(self, model: FrozenModel, task: Task, episodes: int, draw: np.random.Generator):
        self.model, self.task, self.episodes, self.draw = model, task, episodes, draw
        self.env_steps = 0

    def begin(self) -> None:
        """Draw the seeds of a round."""
        self.seeds = self.draw.integers(SEEDS.start, SEEDS.stop, size=self.episodes)

    def costs(self, prompts: Segment) -> Tensor:
        """Return minus the mean return under each of n prompts, (n,); all act in lock-step."""
        policy, seeds = PromptedPolicy(self.model, prompts), self.seeds.repeat(len(prompts))
        returns, steps = episode_returns(policy, self.task, seeds.tolist())
        self.env_steps += steps
        return -torch.from_numpy(returns).reshape(self.episodes, len(prompts)).mean(0)

    def metrics(self, before: Segment, costs: Tensor) -> Mapping[str, float]:
        """Return the mean return of the round's candidates, and all environment steps so far."""
        return {"return_mean": -costs.mean().item(), "env_steps": float(self.env_steps)}
