"""Prompt bandits: bounds beside a plain sum, and a search among arms whose returns are known."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from workbench.data.rollout import evaluate
from workbench.methods import METHODS, N_PROMPTS, PromptBandit, PromptTuning, prompt_bandit
from workbench.methods.prompt_bandit import upper_bounds
from workbench.methods.prompt_tuning import SEEDS
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import RunSpec


@pytest.fixture
def begin(model, demos):
    """Begin a method on toy task 5."""

    def begin(method, seed=3, **kw):
        return method.start(model, demos, torch.Generator().manual_seed(seed), **kw)

    return begin


def arms_of(policy, arms):
    """Return which arm each prompt of a policy is."""
    same = (policy.prompt.observations[:, None] == arms.observations[None]).flatten(2).all(2)
    return same.int().argmax(1).tolist()


@pytest.fixture
def known(monkeypatch):
    """Let arm i return mean[i], with noise; remember what was pulled, and from which seed."""
    seen = []

    def replace(learner, mean, sd):
        draw = np.random.default_rng(0)
        own = torch.arange(len(mean))[:, None, None]  # so that no two arms are the same rows
        observations = learner.arms.observations + own
        learner.arms = dataclasses.replace(learner.arms, observations=observations)

        def returns(policy, task, seeds):
            which = arms_of(policy, learner.arms)
            seen.append(list(zip(which, seeds, strict=True)))
            return np.asarray(mean)[which] + sd * draw.normal(size=len(which)), 12 * len(which)

        monkeypatch.setattr(prompt_bandit, "episode_returns", returns)
        return seen

    return replace


# ---- the bounds ----


def test_bounds_are_ucb1_with_the_spread_within_arms():
    returns, pulls = [[1.0, 3.0], [4.0], [10.0, 10.5, 11.0]], np.array([2, 3, 3])
    sigma = math.sqrt(((1 + 1) + (0.25 + 0.25)) / (1 + 2))
    wanted = [
        mean + 0.5 * sigma * math.sqrt(2 * math.log(8) / n)
        for mean, n in ((2.0, 2), (4.0, 3), (10.5, 3))
    ]
    assert np.allclose(upper_bounds(returns, pulls, 0.5), wanted)
    assert np.allclose(upper_bounds(returns, pulls, 0.0), [2.0, 4.0, 10.5])


def test_an_arm_that_was_never_pulled_comes_first_and_one_without_return_is_as_all_are():
    bounds = upper_bounds([[1.0], [3.0], [], []], np.array([1, 1, 1, 0]), 1.0)
    assert bounds[3] == np.inf
    width = np.std([1.0, 3.0]) * math.sqrt(2 * math.log(3))
    assert np.allclose(bounds[:3], np.array([1.0, 3.0, 2.0]) + width)
    assert (upper_bounds([[], []], np.array([1, 2]), 1.0)[:1] > 0).all()


# ---- the search ----


@pytest.mark.parametrize("best", [0, 7, 19])
def test_the_best_of_the_arms_is_found_and_pulled_most(begin, demos, known, best):
    learner = begin(PromptBandit())
    mean = np.linspace(-60, -50, 20)
    mean[best] = -20.0
    seen = known(learner, mean, sd=8.0)
    for _ in range(5):
        learner.update()
    pulls = np.bincount([arm for of_one in seen for arm, _ in of_one], minlength=20)
    assert learner.best == best == pulls.argmax()
    assert pulls.sum() == 5 * 40
    assert pulls.min() >= 1
    assert pulls[best] > 80
    which = arms_of(learner.snapshot().policy, learner.arms)
    assert which == [best] * N_PROMPTS


def test_without_bounds_the_first_good_arm_is_kept(begin, known):
    """What exploring is for: an arm that was unlucky once is not tried again."""
    learner = begin(PromptBandit(n_arms=5, n_pulls=5, exploration=0.0))
    seen = known(learner, [-1.0, -2.0, -3.0, -4.0, -5.0], sd=0.0)
    for _ in range(3):
        learner.update()
    assert [arm for arm, _ in seen[0]] == [0, 1, 2, 3, 4]
    assert {arm for of_one in seen[1:] for arm, _ in of_one} == {0}


def test_the_same_pull_of_every_arm_begins_in_the_same_state(begin, known):
    learner = begin(PromptBandit(n_arms=6, n_pulls=9))
    seen, by_place = known(learner, np.arange(6.0), sd=1.0), {}
    for _ in range(3):
        learner.update()
    counts = [0] * 6
    for arm, seed in (pull for of_one in seen for pull in of_one):
        by_place.setdefault(counts[arm], set()).add(seed)
        counts[arm] += 1
        assert seed in SEEDS
    assert all(len(seeds) == 1 for seeds in by_place.values())
    assert len(set.union(*by_place.values())) == len(by_place)
    assert sum(counts) == 27


def test_it_takes_as_many_steps_as_online_ranking_does_in_the_tables(begin, toy):
    taken = {}
    for key, kind in (("prompt-bandit", PromptBandit), ("prompt-tuning-dt/online", PromptTuning)):
        settings, updates = CHOSEN[key]
        learner = begin(kind(**settings))
        for _ in range(updates):
            metrics = learner.update().metrics
        taken[key] = metrics["env_steps"]
    assert set(taken.values()) == {5 * 40 * toy.horizon}


def test_what_a_round_reports_are_returns_of_the_task(begin, toy):
    learner = begin(PromptBandit(n_arms=5, n_pulls=5))
    arms, metrics = learner.arms, learner.update().metrics
    policy = dataclasses.replace(learner.snapshot().policy, prompt=arms)
    wanted = evaluate(policy, toy.task(5), learner.seeds * 5).returns
    assert [r for of_one in learner.returns for r in of_one] == pytest.approx(list(wanted))
    assert metrics["return_mean"] == pytest.approx(wanted.mean())
    assert metrics["return_best"] == pytest.approx(wanted.max())


def test_it_begins_with_the_untuned_prompts_and_arms_are_rows_of_the_demonstrations(begin, demos):
    learner = begin(PromptBandit(n_arms=8))
    untuned = begin(METHODS["prompt-dt"]()).snapshot().policy.prompt
    assert torch.equal(learner.snapshot().policy.prompt.observations, untuned.observations)
    assert learner.n_trainable == 0
    assert len(learner.arms) == 8
    for arm, (rows, seen) in enumerate(
        zip(learner.arms.timesteps, learner.arms.observations, strict=True)
    ):
        demo = demos[arm % N_PROMPTS % len(demos)]
        np.testing.assert_array_equal(seen, demo.observations[rows])


def test_arms_may_be_cut_from_other_trajectories_than_the_task_s(begin, demos):
    others = [dataclasses.replace(t, observations=t.observations + 5) for t in demos]
    plain, learner = begin(PromptBandit()), begin(PromptBandit(), prompts=others)
    assert torch.equal(learner.arms.observations, plain.arms.observations + 5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("n_arms", 4), ("n_pulls", 0), ("exploration", -0.1), ("exploration", float("nan"))],
)
def test_a_setting_out_of_range_is_refused_when_it_is_given(setting, value):
    with pytest.raises(ValueError, match=f"`{setting}`"):
        RunSpec("cheetah-vel", 2, method="prompt-bandit", settings={setting: value})
