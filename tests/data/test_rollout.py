"""Episodes in lock-step, and what is kept of them."""

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from tests.conftest import TOY_SIZES, Point, build_model
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate, half_width, rollout, step_from, trajectories_of
from workbench.data.trajectory import Trajectories
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.tasks import find, make


@dataclass(frozen=True)
class Scripted:
    """Pushes by a function of the observation and the step, and remembers its rewards."""

    push: object

    def start(self, seeds):
        return _Scripted(self.push, len(seeds))


class _Scripted:
    received = None

    def __init__(self, push, n):
        self.push, self.n, self.t, self.received = push, n, 0, []
        _Scripted.last = self

    def act(self, observations):
        assert observations.shape == (self.n, 3)
        assert len(self.received) == self.t, "rewards come before the next action"
        self.t += 1
        return np.array([[self.push(o, self.t - 1)] for o in observations])

    def receive(self, rewards):
        self.received.append(rewards.copy())


STEADY = Scripted(lambda o, t: 0.5)
SWAYING = Scripted(lambda o, t: np.sin(t) - 0.3 * o[0])


def alone(task, seed, policy):
    """Run one episode by hand, without the package."""
    env = make(task)
    observation, _ = env.reset(seed=seed)
    rows = []
    for t in range(find(task.family).horizon):
        action, state = np.float32([policy.push(observation, t)]), env.state()
        following, reward, ended, *_ = env.step(action)
        rows.append((observation, action, reward, state))
        observation = following
        if ended:
            break
    return [np.array(c) for c in zip(*rows, strict=True)]


@pytest.mark.parametrize("policy", [STEADY, SWAYING])
@pytest.mark.parametrize("family", ["toy", "fenced"])
def test_lock_step_equals_one_episode_at_a_time(toy, fenced, family, policy):
    task = find(family).task(5)
    result = evaluate(policy, task, [3, 1, 4, 15])
    lengths = set()
    for trajectory, seed, total in zip(
        result.trajectories, (3, 1, 4, 15), result.returns, strict=True
    ):
        observations, actions, rewards, states = alone(task, seed, policy)
        np.testing.assert_array_equal(trajectory.observations, observations.astype(np.float32))
        np.testing.assert_array_equal(trajectory.actions, actions)
        np.testing.assert_array_equal(trajectory.rewards, rewards.astype(np.float32))
        np.testing.assert_array_equal(trajectory.states, states.astype(np.float32))
        assert total == pytest.approx(rewards.sum(), rel=1e-5)
        lengths.add(len(trajectory))
    assert lengths == {12} if family == "toy" else len(lengths) > 1


def test_an_episode_that_ends_stays_ended_and_earns_nothing(fenced):
    steps = list(rollout(STEADY, fenced.task(5), range(6)))
    alive = np.array([s.alive for s in steps])
    assert alive[0].all()
    assert not alive[-1].all()
    assert (np.diff(alive.astype(int), axis=0) <= 0).all()
    for step in steps:
        assert (step.rewards[~step.alive] == 0).all()
    ended = np.flatnonzero(~alive[-1])[0]
    last = alive[:, ended].sum()
    frozen = np.array([s.states[ended] for s in steps[last:]])
    assert (frozen == frozen[0]).all(), "its simulator stands still"


def test_a_rollout_stops_when_all_have_ended(fenced):
    steps = list(rollout(Scripted(lambda o, t: 1.0), fenced.task(5), range(4)))
    assert len(steps) < fenced.horizon
    assert steps[-1].alive.any()


def test_transitions_are_aligned_and_numbered(toy):
    steps = list(rollout(SWAYING, toy.task(5), [1, 2]))
    assert [s.timestep for s in steps] == list(range(toy.horizon))
    for now, after in itertools.pairwise(steps):
        for i in range(2):
            env = Point(toy.task(5).goal)
            env.put(now.states[i])
            observation, reward, *_ = env.step(now.actions[i])
            np.testing.assert_allclose(after.observations[i], observation)
            np.testing.assert_allclose(after.states[i], env.state())
            assert now.rewards[i] == reward


def test_the_policy_receives_every_reward_but_the_last(toy):
    steps = list(rollout(SWAYING, toy.task(5), [1, 2]))
    received = _Scripted.last.received
    np.testing.assert_array_equal(received[: toy.horizon - 1], [s.rewards for s in steps[:-1]])


def test_a_rollout_closed_early_is_a_shorter_trajectory(toy):
    stream = rollout(SWAYING, toy.task(5), [1, 2])
    some = [next(stream) for _ in range(5)]
    stream.close()
    assert [len(t) for t in trajectories_of(some, toy.task(5))] == [5, 5]


def test_the_seed_fixes_the_start_and_pairs_policies(toy):
    a, b = (evaluate(p, toy.task(5), [5, 6]).trajectories for p in (STEADY, SWAYING))
    for i in range(2):
        np.testing.assert_array_equal(a[i].states[0], b[i].states[0])
        assert not np.array_equal(a[i].states[-1], b[i].states[-1])
    assert not np.array_equal(a[0].states[0], a[1].states[0])


def test_an_evaluation_sums_up_as_plain_json(toy):
    result = evaluate(SWAYING, toy.task(5), range(2, 7))
    assert result.seeds == (2, 3, 4, 5, 6)
    assert result.task == toy.task(5)
    values = result.returns.tolist()
    mean = sum(values) / 5
    sd = (sum((v - mean) ** 2 for v in values) / 4) ** 0.5
    summary = result.summary()
    assert summary == {
        "return_mean": pytest.approx(mean, abs=1e-3),
        "return_sd": pytest.approx(sd, abs=1e-3),
        "episodes": 5,
    }
    assert {type(v) for v in summary.values()} == {float, int}
    assert evaluate(SWAYING, toy.task(5), [2]).summary()["return_sd"] == 0


def test_actions_reach_the_simulator_as_they_are_stored(toy):
    """Rounded to float32 before, not after: otherwise a stored episode would not replay."""
    third = Scripted(lambda o, t: 1 / 3)
    (trajectory,) = evaluate(third, toy.task(5), [1]).trajectories
    env = Point(toy.task(5).goal)
    env.reset(seed=1)
    rewards = [env.step(a)[1] for a in trajectory.actions]
    np.testing.assert_array_equal(trajectory.rewards, np.float32(rewards))


@pytest.mark.parametrize(("n", "t"), [(2, 12.706205), (4, 3.182446), (8, 2.364624), (20, 2.093024)])
def test_the_interval_of_a_mean_is_students(draw, n, t):
    values = draw.normal(size=n)
    mean = sum(values) / n
    error = (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5
    assert half_width(values) == pytest.approx(t * error, rel=1e-6)


def test_one_value_has_no_finite_interval():
    assert half_width(np.array([3.0])) == np.inf


@pytest.fixture(scope="module")
def prompted():
    """An untrained Prompt-DT of a shipped family, which other processes know as well."""
    family = find("cheetah-vel")
    model = build_model(family, TOY_SIZES)
    task = family.task(2)
    data = Trajectories(evaluate(UniformPolicy(6), task, [1, 2, 3]).trajectories)
    prompt = data.segments(np.arange(3), np.arange(3), TOY_SIZES.prompt_length)
    return PromptedPolicy(model, prompt), task


def test_workers_share_the_episodes_and_change_nothing(prompted):
    policy, task = prompted
    seeds = [5, 4, 3, 2, 1, 0, 9]
    one, two = (evaluate(policy, task, seeds, workers=workers) for workers in (1, 2))
    assert two.seeds == one.seeds == tuple(seeds)
    starts = [np.stack([t.states[0] for t in e.trajectories]) for e in (one, two)]
    np.testing.assert_array_equal(*starts)
    first = [np.stack([t.actions[:3] for t in e.trajectories]) for e in (one, two)]
    np.testing.assert_allclose(*first, atol=1e-5)
    assert np.ptp(first[0], 0).min() > 0, "equal prompts would prove nothing"


def test_a_share_of_the_episodes_keeps_their_prompts(prompted):
    policy, task = prompted
    whole = evaluate(policy, task, range(5)).trajectories
    for places in ([3, 4], [1]):
        some = evaluate(policy.share(places), task, places).trajectories
        for place, got in zip(places, some, strict=True):
            np.testing.assert_allclose(got.actions[:3], whole[place].actions[:3], atol=1e-5)


def test_an_evaluation_takes_a_mode_and_a_precision(prompted):
    policy, task = prompted
    plain, block, half = (
        evaluate(policy, task, range(8), **given).trajectories[0].actions
        for given in ({}, {"mode": "block"}, {"precision": "bf16"})
    )
    k = TOY_SIZES.context_length
    np.testing.assert_allclose(block[:k], plain[:k], atol=1e-5)
    assert np.abs(block[k] - plain[k]).max() > 1e-5, "a longer context"
    np.testing.assert_allclose(half[0], plain[0], atol=0.05)
    kept = dataclasses.replace(policy, mode="block")
    again = evaluate(kept, task, range(8)).trajectories[0].actions
    np.testing.assert_array_equal(again, block)


def test_what_an_evaluation_cannot_do_is_said(toy, prompted):
    policy, task = prompted
    with pytest.raises(ValueError, match="`workers` must be a whole number from 1 up: got 0"):
        evaluate(policy, task, [1], workers=0)
    with pytest.raises(ValueError, match="Scripted has no `mode`"):
        evaluate(STEADY, toy.task(5), [1], mode="block")
    with pytest.raises(ValueError, match="`mode` must be one of exact, block: got 'fast'"):
        evaluate(policy, task, [1], mode="fast")


def test_a_step_from_each_recorded_state_repeats_the_recording(toy):
    task = toy.task(5)
    (t,) = evaluate(SWAYING, task, [3]).trajectories
    steps = list(step_from(task, t.states.astype(float), t.actions))
    assert len(steps) == len(t)
    np.testing.assert_allclose([s.observation for s in steps[:-1]], t.observations[1:], atol=1e-5)
    np.testing.assert_allclose([s.state for s in steps[:-1]], t.states[1:], atol=1e-5)
    np.testing.assert_allclose([s.reward for s in steps], t.rewards, atol=1e-5)
    assert all(s.stable and not s.terminated for s in steps)


def test_a_step_says_when_the_simulation_breaks_down():
    task = find("cheetah-vel").task(2)
    env = make(task)
    env.reset(seed=0)
    good = env.state()
    bad = good + 1e12
    found = [s.stable for s in step_from(task, np.stack([good, bad]), np.zeros((2, 6)))]
    assert found == [True, False]
