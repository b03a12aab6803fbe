"""Prompt bandits (arXiv 2502.04979): which segment of the demonstrations acts best, by trying.

Nothing is changed in a prompt: of segments of the few-shot demonstrations, the arms, one is chosen
by the returns of episodes under each, and acts. No gradient is taken.

What is ours: the paper takes every segment as an arm, a thousand for five demonstrations, and so
must learn a model of the return from what a segment holds; public code of it explores at random,
less and less, over 250 episodes. Here so few segments are arms that each can be tried by itself,
and upper confidence bounds say which to try (UCB1; Auer, Cesa-Bianchi and Fischer, 2002). The
prompt is one segment, not J of them, and many episodes are run at a time, since that is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from workbench.data.trajectory import Segment, Trajectory
from workbench.methods.method import (
    N_PROMPTS,
    Snapshot,
    TunedOn,
    Update,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.prompt_tuning import SEEDS, episode_returns
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import PromptedPolicy


@dataclass(frozen=True)
class PromptBandit:
    """Try segments of the demonstrations as prompts, and act with the best of them.

    An update is one round of episodes: five rounds of 40 take as many steps in the task as the
    online ranking of Prompt-Tuning DT.

    Attributes:
        n_arms: Segments that are tried, evenly over the demonstrations, at least ``N_PROMPTS``.
        n_pulls: Episodes of an update, each under the arm with the highest bound at the time.
        exploration: c, what the width of a bound is multiplied by; 1 is UCB1's.
    """

    n_arms: int = 20
    n_pulls: int = 40
    exploration: float = 1.0

    label: ClassVar[str] = "Prompt bandit"
    needs: ClassVar[Mapping[str, str]] = {}
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = False
    needs_gradient: ClassVar[bool] = False
    published: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_ranges(
            self,
            n_arms=self.n_arms >= N_PROMPTS,
            n_pulls=self.n_pulls >= 1,
            exploration=0 <= self.exploration < float("inf"),
        )

    def start(
        self,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> PromptBanditLearner:
        """Cut the arms; the first of them are the prompts that the untuned run has."""
        return PromptBanditLearner(self, model, demos, rng, prompts or demos)


def upper_bounds(
    returns: Sequence[Sequence[float]], pulls: np.ndarray, exploration: float
) -> np.ndarray:
    """Return x̄_i + c σ √(2 ln n / n_i) of every arm i, ∞ for one that was never pulled.

    UCB1 supposes rewards in [0, 1]. Returns have no such range: σ is their standard deviation
    within arms, pooled over all; as long as no arm has two returns, that of all returns.

    Args:
        returns: What is known of each arm; of what has no return yet the mean of all is supposed.
        pulls: n_i, how often each was pulled, returns that are still to come included, (arms,).
        exploration: c.
    """
    known = np.concatenate([np.asarray(of_one, float) for of_one in returns])
    overall = known.mean() if len(known) else 0.0
    means = np.array([np.mean(of_one) if len(of_one) else overall for of_one in returns])
    twice = sum(max(0, len(of_one) - 1) for of_one in returns)
    pairs = zip(returns, means, strict=True)
    within = sum(np.square(np.subtract(of_one, mean)).sum() for of_one, mean in pairs)
    sigma = np.sqrt(within / twice) if twice else np.std(known) if len(known) else 1.0
    width = np.sqrt(2 * np.log(max(1, pulls.sum())) / np.maximum(pulls, 1))
    return np.where(pulls > 0, means + exploration * sigma * width, np.inf)


class PromptBanditLearner:
    """Pulls arms by their upper bounds, and keeps what every pull returned."""

    n_trainable = 0  # it chooses, and changes no number

    def __init__(
        self,
        method: PromptBandit,
        model: FrozenModel,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        prompts: Sequence[Trajectory],
    ):
        self.method, self.model, self.task = method, model, demos[0].task
        self.draw = numpy_rng(rng)
        cuts = -(-method.n_arms // N_PROMPTS)
        length = model.config.prompt_length
        found = [evaluation_prompts(prompts, length, self.draw) for _ in range(cuts)]
        self.arms = Segment.cat(found)[: method.n_arms]
        self.returns: list[list[float]] = [[] for _ in range(method.n_arms)]
        self.seeds: list[int] = []
        self.env_steps = 0

    @torch.no_grad()
    def update(self) -> Update:
        """Run a round of episodes and remember their returns."""
        before = [len(of_one) for of_one in self.returns]
        pulled, counts = [], np.array(before)
        for _ in range(self.method.n_pulls):
            # what is being tried has no return yet, but its bound is lower already
            bounds = upper_bounds(self.returns, counts, self.method.exploration)
            pulled.append(int(bounds.argmax()))
            counts[pulled[-1]] += 1
        policy = PromptedPolicy(self.model, self.arms[torch.tensor(pulled)])
        returns, steps = episode_returns(policy, self.task, self._seeds_of(pulled))
        for arm, value in zip(pulled, returns, strict=True):
            self.returns[arm].append(float(value))
        self.env_steps += steps
        return Update(
            {
                "return_mean": float(returns.mean()),
                "return_best": float(np.mean(self.returns[self.best])),
                "env_steps": float(self.env_steps),
            }
        )

    def _seeds_of(self, pulled: Sequence[int]) -> list[int]:
        """Return the seeds of pulls: the n-th of every arm begins in the same state."""
        counts, places = [len(of_one) for of_one in self.returns], []
        for arm in pulled:
            places.append(counts[arm])
            counts[arm] += 1
        lacking = max(counts) - len(self.seeds)
        if lacking > 0:
            self.seeds += self.draw.integers(SEEDS.start, SEEDS.stop, size=lacking).tolist()
        return [self.seeds[place] for place in places]

    @property
    def best(self) -> int:
        """The arm with the highest mean return so far."""
        return int(np.argmax([float(np.mean(r)) if r else -np.inf for r in self.returns]))

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Return the best arm in every place; before any episode, the untuned prompts."""
        which = torch.full((N_PROMPTS,), self.best) if self.seeds else torch.arange(N_PROMPTS)
        return Snapshot(PromptedPolicy(self.model, self.arms[which].detach()))
