"""Is a critic right? What it says actions are worth, beside what they earned, and who acts better.

Guidance by value is as good as its critic: one that ranks an expert's actions no better than
chance pulls prompts anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import signal, stats

from workbench.data.behaviour import collect
from workbench.data.qualities import QUALITIES, Quality
from workbench.data.trajectory import Trajectories, Trajectory
from workbench.networks.critic import Critic
from workbench.networks.informed_diffusion import all_transitions
from workbench.shipped import assets
from workbench.tasks import Task, find

TASKS = 5
"""How many training tasks are looked at, evenly spread; of the test tasks all."""
_EPISODES = 5  # of each quality, as a few-shot set has
_FIRST_SEED = 30_000  # below few-shot sets, above training data
_AHEAD = 0.05  # a row is looked at while its return knows all but this share of what is ahead


@dataclass(frozen=True)
class ValueCheck:
    """How right a critic is on episodes that it was not trained on, mean over tasks.

    Attributes:
        family: Task family.
        tasks: Which: those that it was trained on, or unseen ones.
        told_by: Quality of the few-shot set that tells the task.
        states: Quality of the episodes whose states are looked at.
        rank: Spearman's correlation of min(Q₁, Q₂) with the discounted return that followed.
        above_random: Share of the states in which an expert's action is worth more than a random
            one's.
        above_other: Share in which it is worth more than that of an expert of another such task.
    """

    family: str
    tasks: Literal["train", "test"]
    told_by: str
    states: str
    rank: float
    above_random: float
    above_other: float


@torch.no_grad()
def examine_critic(critic: Critic, *, seed: int = 0) -> Iterator[ValueCheck]:
    """Compare a critic with what episodes earned, and with who is known to act better.

    Episodes are those of the few-shot sets that ship for test tasks, and fresh ones of the
    behaviour policies for training tasks.

    Args:
        critic: The critic.
        seed: Of fresh episodes, and of the noise of actions that are compared.
    """
    family = find(critic.family.name)
    train = family.tasks("train")
    spread = [train[i] for i in np.linspace(0, len(train) - 1, min(TASKS, len(train))).astype(int)]
    for kind, tasks in (("train", spread), ("test", family.tasks("test"))):
        found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
        for place, task in enumerate(tasks):
            sets = {quality: _episodes(task, quality, kind, seed) for quality in QUALITIES}
            other = tasks[(place + 1) % len(tasks)]
            for told_by in QUALITIES:
                draw = np.random.default_rng(seed)
                told = Trajectories(sets[told_by])
                code = critic.code(all_transitions(told, critic.normalizer, draw))
                for states in QUALITIES:
                    measured = _measured(critic, code, sets[states], task, other, seed)
                    found.setdefault((told_by, states), []).append(measured)
        for (told_by, states), each in found.items():
            yield ValueCheck(family.name, kind, told_by, states, *map(float, np.mean(each, 0)))


def _episodes(task: Task, quality: Quality, kind: str, seed: int) -> Sequence[Trajectory]:
    if kind == "test":
        return assets.demos(task, quality)
    unique = _FIRST_SEED + 1_000 * (len(QUALITIES) * seed + QUALITIES.index(quality)) + task.index
    return collect(assets.behaviour(task.family, quality), task, _EPISODES, unique)


def _measured(
    critic: Critic,
    code: torch.Tensor,
    episodes: Sequence[Trajectory],
    task: Task,
    other: Task,
    seed: int,
) -> tuple[float, float, float]:
    discount = critic.config.discount
    ahead = int(np.ceil(np.log(_AHEAD) / np.log(discount))) if discount else 1
    returns, rows = [], []
    for t in episodes:
        known = len(t) if len(t) < find(task.family).horizon else max(1, len(t) - ahead)
        returns.append(discounted(t.rewards, discount)[:known])
        rows.append((t.observations[:known], t.actions[:known]))
    observations, actions = (np.concatenate(column) for column in zip(*rows, strict=True))

    def worth(acted: np.ndarray) -> np.ndarray:
        batch = (torch.from_numpy(np.asarray(x, np.float32)) for x in (observations, acted))
        return critic(*batch, code).min(0).values.numpy()

    def acting(quality: Quality, goal: Task, number: int) -> np.ndarray:
        policy = assets.behaviour(task.family, quality).given(goal)
        seeds = range((3 * seed + number) * 100_000, (3 * seed + number) * 100_000 + len(actions))
        return policy.start(seeds).act(observations)

    expert = worth(acting("expert", task, 0))
    rank = stats.spearmanr(worth(actions), np.concatenate(returns)).statistic
    above = [
        np.mean((1 + np.sign(expert - worth(acted))) / 2)  # the very same action counts half
        for acted in (acting("random", task, 1), acting("expert", other, 2))
    ]
    return float(rank), *above


def discounted(rewards: np.ndarray, discount: float) -> np.ndarray:
    """Return Σ_j γ^j r_{t+j} of every row t to the end of the episode, (T,)."""
    return signal.lfilter([1.0], [1.0, -discount], rewards[::-1].astype(float))[::-1]
