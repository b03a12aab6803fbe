"""Episodes under random actions, by which a family of tasks is judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.tasks import Environment, Family

STEPS = 60
"""Steps of an episode that are looked at."""
HELD = 5
"""Steps that a random action is held: white noise alone gets nowhere."""


@dataclass(frozen=True)
class Episode:
    """Some steps of an episode under random actions: (T, O), (T, A), (T,), (T, M)."""

    first: np.ndarray
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    measured: np.ndarray


def run(family: Family, index: int, seed: int, env: Environment | None = None) -> Episode:
    """Act at random in a task; the actions depend on the seed alone."""
    own = family.build(family.goals[index]) if env is None else env
    rng = np.random.default_rng([23, seed])
    steps = min(STEPS, family.horizon)
    drawn = rng.uniform(-1, 1, (-(-steps // HELD), len(family.actions)))
    actions = np.repeat(drawn, HELD, 0)[:steps].astype(np.float32)
    rows = []
    try:
        first, _ = own.reset(seed=seed)
        for action in actions:
            observation, reward, ended, _, info = own.step(action)
            rows.append((observation, float(reward), np.asarray(info["measured"], float)))
            if ended:
                break
    finally:
        if env is None:
            own.close()
    observations, rewards, measured = (np.array(c) for c in zip(*rows, strict=True))
    return Episode(np.asarray(first), observations, actions[: len(rows)], rewards, measured)
