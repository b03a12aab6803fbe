"""Who collects the data."""

import dataclasses

import numpy as np
import pytest

from workbench.data import behaviour
from workbench.data.behaviour import (
    BehaviourConfig,
    BehaviourPolicy,
    UniformPolicy,
    collect,
    train_behaviour,
)
from workbench.data.rollout import evaluate
from workbench.tuning.loop import EVALUATION_SEED

TINY = BehaviourConfig(
    env_steps=96, n_envs=2, n_steps=8, batch_size=8, n_epochs=2, lr=1e-2, width=6, snapshots=3
)


@pytest.fixture
def policy(draw):
    """Random weights for 3 observations and 1 goal."""
    layers = [(4, 5), (5, 2), (2, 1)]
    weights = tuple((draw.normal(size=s) / 3, draw.normal(size=s[1]) / 3) for s in layers)
    mean, scale = draw.normal(size=4), draw.uniform(0.5, 2, 4)
    return BehaviourPolicy(weights, mean, scale, np.array([0.1]))


def test_the_mean_action_is_the_networks(toy, policy, draw):
    observations = draw.normal(size=(7, 3))
    got = policy.given(toy.task(5)).mean_action(observations)
    for o, action in zip(observations, got, strict=True):
        h = [(v - m) / s for v, m, s in zip([*o, 1.25], policy.mean, policy.scale, strict=True)]
        for i, (matrix, bias) in enumerate(policy.weights):
            h = [
                sum(x * w for x, w in zip(h, column, strict=True)) + b
                for column, b in zip(matrix.T, bias, strict=True)
            ]
            h = h if i == 2 else np.tanh(h)
        np.testing.assert_allclose(action, h)


def test_far_away_observations_are_clipped_at_ten_deviations(toy, policy):
    given = policy.given(toy.task(5))
    far = policy.mean[:3] + policy.scale[:3] * 10
    np.testing.assert_allclose(
        given.mean_action(far[None]), given.mean_action(far[None] + 1e3 * policy.scale[:3])
    )


def test_a_policy_pursues_the_goal_it_was_given(toy, policy):
    other = policy.given(toy.task(2))
    assert (other.goal, policy.goal) == ((0.5,), None)
    x = np.zeros((1, 3))
    assert other.mean_action(x) != policy.given(toy.task(5)).mean_action(x)
    with pytest.raises(ValueError, match="no goal"):
        policy.start([0])


def test_the_seed_draws_the_action_noise(toy, policy):
    given = policy.given(toy.task(5))
    acting = given.start(range(2000))
    x = np.zeros((2000, 3))
    noise = acting.act(x) - given.mean_action(x)
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    quiet = dataclasses.replace(given, std=np.zeros(1))
    np.testing.assert_allclose(
        quiet.start([0, 1]).act(x[:2]), np.clip(given.mean_action(x[:2]), -1, 1)
    )
    assert len(np.unique(noise)) == 2000
    np.testing.assert_allclose(given.start([5]).act(x[:1]), given.start([4, 5]).act(x[:2])[1:])
    loud = dataclasses.replace(given, std=np.array([9.0]))
    assert np.abs(loud.start(range(50)).act(x[:50])).max() == 1


def test_a_policy_comes_back_from_its_file(toy, policy, tmp_path):
    path = tmp_path / "below" / "p.safetensors"
    policy.save(path, env_steps=5)
    again = BehaviourPolicy.load(path)
    x = np.random.default_rng(0).normal(size=(5, 3))
    for task in toy.tasks("test"):
        np.testing.assert_allclose(
            again.given(task).mean_action(x),
            policy.given(task).mean_action(x),
            rtol=1e-4,
            atol=1e-5,
        )
    np.testing.assert_allclose(again.std, policy.std)


def test_a_damaged_policy_file_is_a_clear_error(policy, tmp_path):
    path = tmp_path / "p.safetensors"
    policy.save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"p\.safetensors"):
        BehaviourPolicy.load(path)


def test_the_uniform_policy_is_uniform_and_seeded():
    x = np.zeros((3000, 3))
    actions = UniformPolicy(2).start(range(3000)).act(x)
    assert actions.shape == (3000, 2)
    np.testing.assert_allclose(np.quantile(actions, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.05)
    assert np.abs(actions).max() <= 1
    np.testing.assert_array_equal(UniformPolicy(2).start([7]).act(x[:1]), actions[7:8])


def test_collected_episodes_are_distinct_and_repeat_with_the_seed(toy, policy):
    task = toy.task(5)
    first, again, other = (collect(policy, task, 4, seed) for seed in (1, 1, 2))
    assert len(first) == 4
    assert all(t.task == task and t.states is not None for t in first)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.actions, b.actions)
    starts = {t.states[0].tobytes() for t in (*first, *other)}
    assert len(starts) == 8


def test_no_episode_is_collected_under_an_evaluation_seed(toy, policy, monkeypatch):
    """Up to 10,000 evaluation episodes, and every seed that `collect` is used with."""
    used = set()

    def note(policy, task, seeds, **_how):
        used.update(seeds)
        return evaluate(policy, task, seeds[:1])

    monkeypatch.setattr(behaviour, "evaluate", note)
    for seed in (*range(0, 400), *range(50_000, 50_400)):
        collect(policy, toy.task(5), 20, seed)
    first = EVALUATION_SEED
    assert len(used) == 800 * 20
    assert not [seed for seed in used if first <= seed < first + 1_000]


def test_training_yields_snapshots_and_resumes(toy, tmp_path):
    stream = train_behaviour(toy, TINY, 0, tmp_path)
    steps = [next(stream) for _ in range(2)]
    stream.close()
    resumed = list(train_behaviour(toy, TINY, 0, tmp_path))
    assert [s.env_steps for s in (*steps, *resumed)] == [0, 32, 64, 96]
    matrices = [s.policy.weights[0][0] for s in (*steps, *resumed)]
    assert [m.shape for m in matrices] == [(4, 6)] * 4
    for i in range(3):
        assert not np.array_equal(matrices[i], matrices[i + 1]), "snapshots are copies"


def test_a_snapshot_acts_as_the_trained_network_does(toy, tmp_path):
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    *_, last = train_behaviour(toy, TINY, 0, tmp_path)
    ppo = PPO.load(tmp_path / "checkpoint.zip", device="cpu")
    envs = DummyVecEnv([lambda: behaviour._GoalEnv(toy)])
    statistics = VecNormalize.load(str(tmp_path / "checkpoint.stats"), envs)
    x = np.random.default_rng(0).normal(size=(9, 3))
    for task in (toy.task(0), toy.task(5)):
        goals = np.full((9, 1), task.goal[0])
        want = ppo.predict(statistics.normalize_obs(np.hstack([x, goals])), deterministic=True)[0]
        got = np.clip(last.policy.given(task).mean_action(x), -1, 1)
        np.testing.assert_allclose(got, want, atol=1e-4)
    np.testing.assert_allclose(last.policy.std, ppo.policy.log_std.exp().tolist(), rtol=1e-5)


def test_training_draws_every_goal_and_appends_it(toy):
    env, goals = behaviour._GoalEnv(toy), set()
    for seed in range(60):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        assert env.env.goal == (observation[-1],)
        goals.add(env.env.goal)
    assert goals == set(toy.goals)
    ends = [env.step(np.zeros(1))[2:4] for _ in range(toy.horizon)]
    assert ends == [(False, False)] * (toy.horizon - 1) + [(False, True)]


def test_without_the_extra_training_names_it(toy, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "stable_baselines3", None)
    with pytest.raises(ModuleNotFoundError, match=r"\[collect\]"):
        next(train_behaviour(toy, TINY, 0))
