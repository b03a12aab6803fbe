"""Whether a critic is right, by one that is and by its opposite."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY, TOY_CRITIC
from workbench.data.qualities import QUALITIES
from workbench.networks.critic import Critic
from workbench.shipped import assets
from workbench.shipped.networks import load_network
from workbench.tasks import FAMILIES
from workbench.upkeep.values import discounted, examine_critic

WITH_A_CRITIC = [name for name in FAMILIES if assets.pretrained_path(name, "critic").exists()]


class Knowing(Critic):
    """Finds the goal that explains the rewards, and pays for the speed after the push."""

    sign = 1.0

    def code(self, transitions):
        raw = transitions[0] * self.normalizer.scale + self.normalizer.mean
        speed, push, reward = raw[:, 0], raw[:, 3], raw[:, 4]
        off = [
            (reward + (speed + 0.25 * push - goal).abs() + 0.05 * push**2).abs().mean()
            for (goal,) in TOY.goals
        ]
        return torch.tensor([[TOY.goals[int(np.argmin(off))][0]]])

    def forward(self, observations, actions, code):
        worth = -(observations[..., 0] + 0.25 * actions[..., 0] - code[..., 0]).abs()
        return self.sign * torch.stack([worth, worth])


def means(checks):
    checks = list(checks)
    return [np.mean([getattr(c, n) for c in checks]) for n in ("above_random", "above_other")]


def test_a_critic_that_knows_the_reward_is_told_from_its_opposite(shipped, toy):
    critic = Knowing(dataclasses.replace(TOY_CRITIC, discount=0.3), toy)
    checks = list(examine_critic(critic))
    places = {(c.tasks, c.told_by, c.states) for c in checks}
    assert places == {(k, t, s) for k in ("train", "test") for t in QUALITIES for s in QUALITIES}
    assert len(checks) == len(places)
    assert {c.family for c in checks} == {"toy"}
    assert min(means(checks)) > 0.6
    assert np.mean([c.rank for c in checks if c.states == "random"]) > 0.5
    critic.sign = -1.0
    assert max(means(examine_critic(critic))) < 0.4


def test_the_same_seed_gives_the_same_check(shipped, toy):
    critic = load_network("toy", "critic")
    first, again, other = (list(examine_critic(critic, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert all(-1 <= c.rank <= 1 and 0 <= c.above_random <= 1 for c in first)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.97])
def test_discounted_returns_equal_a_loop(discount, draw):
    rewards = draw.normal(size=9)
    want = [sum(discount**j * r for j, r in enumerate(rewards[t:])) for t in range(9)]
    np.testing.assert_allclose(discounted(rewards, discount), want)


@pytest.mark.parametrize("family", WITH_A_CRITIC)
def test_a_shipped_critic_is_right_enough_to_guide(family):
    """On unseen tasks, told by data of any quality: what guidance by value rests on."""
    checks = [c for c in examine_critic(load_network(family, "critic")) if c.tasks == "test"]
    assert min(c.above_random for c in checks) > 0.5
    assert np.mean([c.rank for c in checks]) > 0.3
