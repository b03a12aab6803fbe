"""What every task must keep to. A new family is tested here by being in FAMILIES."""

import dataclasses
import json
import pickle

import mujoco
import numpy as np
import pytest
from conftest import Point

from workbench.behaviour import UniformPolicy
from workbench.rollout import rollout, trajectories_of
from workbench.tasks import FAMILIES, Environment, Task, find, make
from workbench.tasks.inertia import published_model

TASKS = [family.task(i) for family in FAMILIES.values() for i in range(len(family.goals))]
SEEDS = (1, 2)
# A planar robot: the published observation has the torso's y, which is 0 by construction.
CONSTANT = {"cheetah-vel": {"torso y"}, "cheetah-dir": {"torso y"}}
every_task = pytest.mark.parametrize("task", TASKS, ids=str)
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
_episodes = {}


def episodes(task):
    """Two random episodes of the task, recorded once: 40 steps, enough to move everything."""
    if task not in _episodes:
        steps = []
        for step in rollout(UniformPolicy(len(find(task.family).actions)), task, SEEDS):
            steps.append(step)
            if len(steps) == 40:
                break
        _episodes[task] = steps
    return _episodes[task]


def column(steps, name):
    return np.stack([getattr(s, name) for s in steps], 1)


def test_there_are_42_tasks():
    assert len(TASKS) == 42
    assert [len(f.goals) for f in FAMILIES.values()] == [40, 2]


@every_task
def test_a_task_is_plain_data(task):
    assert pickle.loads(pickle.dumps(task)) == task
    plain = json.loads(json.dumps(dataclasses.asdict(task)))
    assert Task(**{**plain, "goal": tuple(plain["goal"])}) == task
    assert len({task, pickle.loads(pickle.dumps(task))}) == 1
    assert TASKS.count(task) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.goal = (0.0,)


@every_task
def test_the_same_seed_gives_the_same_episode(task):
    env, first = make(task), episodes(task)
    for i, seed in enumerate(SEEDS):
        observation, _ = env.reset(seed=seed)
        for step in first:
            np.testing.assert_array_equal(observation, step.observations[i])
            np.testing.assert_array_equal(env.state(), step.states[i])
            observation, reward, *_ = env.step(step.actions[i])
            assert reward == step.rewards[i]


@every_task
def test_observations_lie_in_the_declared_space(task):
    env, family = make(task), find(task.family)
    assert isinstance(env, Environment)
    assert env.observation_space.shape == (len(family.observations),)
    assert env.action_space.shape == (len(family.actions),)
    assert (env.action_space.low, env.action_space.high) == (
        pytest.approx(-np.ones(len(family.actions))),
        pytest.approx(np.ones(len(family.actions))),
    )
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    assert type(reward) is float
    assert (terminated, truncated) == (False, False)


@every_task
def test_no_observation_is_constant(task):
    values = column(episodes(task), "observations")
    constant = {
        variable.name
        for variable, value in zip(find(task.family).observations, values.T, strict=True)
        if value.std() < 1e-6
    }
    assert constant == CONSTANT.get(task.family, set())


@every_task
def test_no_action_is_without_effect(task):
    env = make(task)
    for i in range(env.action_space.shape[0]):
        ends = []
        for sign in (-1, 1):
            env.reset(seed=3)
            env.step(np.eye(env.action_space.shape[0])[i] * sign)
            ends.append(env.state())
        assert np.abs(ends[0] - ends[1]).max() > 1e-3


@every_task
def test_episodes_begin_at_random(task):
    starts = column(episodes(task), "states")[:, 0]
    assert (np.abs(starts[0] - starts[1]) > 1e-6).all(), "every joint position and velocity"
    assert np.abs(starts).max() < 1


@every_task
def test_the_stored_reward_is_recomputed_from_recorded_states(task):
    family, steps = find(task.family), episodes(task)
    states, actions = column(steps, "states"), column(steps, "actions").astype(float)
    rewards = column(steps, "rewards")
    velocity = np.diff(family.position_of(states), axis=1) / family.dt
    np.testing.assert_allclose(
        rewards[:, :-1], family.rewards(velocity, actions[:, :-1], task.goal), atol=1e-9
    )
    env = make(task)
    for i in range(len(SEEDS)):  # the state after the last action is not stored: simulate it
        env.reset(seed=0)
        env.put(states[i, -1])
        _, reward, *_ = env.step(actions[i, -1])
        velocity = (family.position_of(env.state()) - family.position_of(states[i, -1])) / family.dt
        assert reward == pytest.approx(family.rewards(velocity, actions[i, -1], task.goal))
        assert reward == pytest.approx(rewards[i, -1], abs=1e-3)
    assert rewards.std() > 0.01


@every_task
def test_put_restores_a_state(task):
    env, family, steps = make(task), find(task.family), episodes(task)
    states = column(steps, "states")
    env.reset(seed=9)
    for i, t in ((0, 3), (1, 20), (0, 30)):
        env.put(states[i, t])
        np.testing.assert_array_equal(env.state(), states[i, t])
        observation, *_ = env.step(steps[t].actions[i])
        np.testing.assert_allclose(env.state(), states[i, t + 1], atol=1e-3)
        np.testing.assert_allclose(observation, steps[t + 1].observations[i], atol=1e-3)
    # a state kept must be a copy, not a view into the simulator
    kept = env.state()
    before = kept.copy()
    env.step(steps[0].actions[0])
    np.testing.assert_array_equal(kept, before)
    assert family.position_of(states).shape == (2, 40, 3)


@every_task
def test_the_state_is_recovered_from_an_observation(task):
    """Up to one simulator step of 0.01 s in the torso's x, as in the published code."""
    family, steps = find(task.family), episodes(task)
    states, observations = column(steps, "states"), column(steps, "observations")
    recovered = family.state_of(observations)
    assert recovered.shape == states.shape
    lag = np.abs(recovered - states).max((0, 1))
    assert (lag[1:] == 0).all()
    assert lag[0] < 0.06


@every_task
def test_stored_trajectories_are_float32_and_aligned(task):
    for trajectory in trajectories_of(episodes(task), task):
        assert len(trajectory) == 40
        assert trajectory.task == task
        for name in ("observations", "actions", "rewards", "states"):
            assert getattr(trajectory, name).dtype == np.float32
            assert len(getattr(trajectory, name)) == 40


@every_family
def test_every_task_asks_for_something_else(family):
    """The same actions from the same start earn different rewards in every task."""
    tasks = [family.task(i) for i in range(len(family.goals))]
    first = episodes(tasks[0])
    for task in tasks[1:]:
        other = episodes(task)
        np.testing.assert_array_equal(column(other, "states"), column(first, "states"))
        assert np.abs(column(other, "rewards") - column(first, "rewards")).max() > 0.01
    assert len(set(family.goals)) == len(family.goals)


@every_family
def test_the_splits_name_tasks_of_the_family(family):
    for split, indices in (("train", family.train_indices), ("test", family.test_indices)):
        assert [t.index for t in family.tasks(split)] == list(indices)
    assert set(family.train_indices) | set(family.test_indices) == set(range(len(family.goals)))
    for i in range(len(family.goals)):
        assert family.task(i).split == ("test" if i in family.test_indices else "train")
        assert family.task(i).goal == family.goals[i]


@every_family
def test_variables_have_names_of_their_own_and_units(family):
    for variables in (family.observations, family.actions):
        assert len({v.name for v in variables}) == len(variables)
        assert all(v.unit for v in variables)
    assert str(family.observations[0]) == f"{family.observations[0].name} [m]"


# ---- the published values ----


def test_cheetah_vel_has_the_published_goals_and_split():
    family = find("cheetah-vel")
    goals = [goal for (goal,) in family.goals]
    np.testing.assert_allclose(goals, np.linspace(0.075, 3.0, 40), atol=1e-12)
    assert family.test_indices == (2, 7, 15, 23, 26)
    assert len(family.train_indices) == 35
    assert not set(family.train_indices) & set(family.test_indices)
    assert [family.goals[i][0] for i in family.test_indices] == [0.225, 0.6, 1.2, 1.8, 2.025]
    published = (family.horizon, family.dt, family.target_return, family.return_scale)
    assert published == (200, 0.05, 0, 500)


def test_cheetah_dir_has_the_published_goals_and_split():
    family = find("cheetah-dir")
    assert family.goals == ((1.0,), (-1.0,))
    assert family.train_indices == family.test_indices == (0, 1)
    published = (family.horizon, family.dt, family.target_return, family.return_scale)
    assert published == (200, 0.05, 1500, 1000)


@pytest.mark.parametrize(
    ("name", "goal", "velocity", "reward"),
    [
        ("cheetah-vel", 1.2, 1.2, -0.0625),
        ("cheetah-vel", 1.2, 0.2, -1.0625),
        ("cheetah-vel", 1.2, 2.0, -0.8625),
        ("cheetah-dir", 1.0, 2.0, 1.9375),
        ("cheetah-dir", -1.0, 2.0, -2.0625),
        ("cheetah-dir", -1.0, -3.0, 2.9375),
    ],
)
def test_rewards_by_hand(name, goal, velocity, reward):
    """An action of [1, -0.5, 0, 0, 0, 0] costs 0.05 x 1.25."""
    action = np.array([1, -0.5, 0, 0, 0, 0])
    got = find(name).rewards(np.array([velocity, 9.0, 9.0]), action, (goal,))
    assert got == pytest.approx(reward)


def test_the_declared_time_step_is_the_simulators():
    for family in FAMILIES.values():
        assert make(family.task(0)).dt == pytest.approx(family.dt)


@pytest.fixture(scope="module")
def cheetah():
    """The simulator's path, our model and the plain one."""
    env = make(find("cheetah-vel").task(0)).unwrapped
    return env.fullpath, env.model, mujoco.MjModel.from_xml_path(env.fullpath)


def test_body_masses_are_those_of_the_published_simulator(cheetah):
    path, model, plain = cheetah
    assert plain.body("torso").mass[0] == pytest.approx(6.250, abs=5e-4)
    assert model.body("torso").mass[0] == pytest.approx(6.360, abs=5e-4)
    assert published_model(path) is model, "compiled once"


def test_capsules_weigh_as_cylinders_half_a_radius_longer_at_each_end(cheetah):
    """Each body's mass from the lengths and radii of its capsules, scaled to the total mass."""
    _, model, plain = cheetah
    total = np.zeros(plain.nbody)
    for i in range(plain.ngeom):
        if plain.geom_type[i] == mujoco.mjtGeom.mjGEOM_CAPSULE:
            radius, half = plain.geom_size[i, :2]
            total[plain.geom_bodyid[i]] += np.pi * radius**2 * (2 * half + radius)
    total *= plain.body_mass.sum() / total.sum()
    np.testing.assert_allclose(model.body_mass, total, rtol=1e-6)
    assert model.body_mass.sum() == pytest.approx(14, abs=1e-6)


def test_only_the_inertias_differ_from_the_file(cheetah):
    _, model, plain = cheetah
    for name in ("geom_type", "geom_size", "geom_pos", "geom_quat", "geom_bodyid", "geom_friction",
                 "geom_contype", "geom_conaffinity", "geom_rgba", "body_pos", "body_quat",
                 "jnt_range", "jnt_stiffness", "dof_damping", "dof_armature", "actuator_gear",
                 "actuator_ctrlrange"):  # fmt: skip
        np.testing.assert_array_equal(getattr(model, name), getattr(plain, name), name)
    assert (model.ngeom, model.nbody, model.nq, model.nv) == (plain.ngeom, plain.nbody, 9, 9)
    assert model.opt.timestep == plain.opt.timestep
    assert (model.body_inertia[1:] != plain.body_inertia[1:]).any(1).all()


# ---- names ----


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("cheetah-vell", "'cheetah-vel'"),
        ("cheeta-dir", "'cheetah-dir'"),
        ("cheetah_dir", "'cheetah-dir'"),
    ],
)
def test_a_misspelt_family_gets_a_hint(wrong, hint):
    with pytest.raises(ValueError, match=f"Did you mean {hint}"):
        find(wrong)
    with pytest.raises(ValueError, match="Known: cheetah-vel, cheetah-dir"):
        find("nothing like it")


@every_family
@pytest.mark.parametrize("index", [-1, 99])
def test_a_task_that_does_not_exist_is_an_error(family, index):
    with pytest.raises(ValueError, match=rf"got {index}\. Choose 0 to {len(family.goals) - 1}"):
        family.task(index)


def test_a_family_is_one_small_object(toy):
    """The toy family came into being by one `Family` and one `Environment`."""
    task = find("toy").task(5)
    assert isinstance(make(task), Point)
    (trajectory,) = trajectories_of(rollout(UniformPolicy(1), task, [0]), task)
    assert len(trajectory) == toy.horizon
    velocity = np.diff(toy.position_of(trajectory.states), axis=0) / toy.dt
    want = toy.rewards(velocity, trajectory.actions[:-1], task.goal)
    np.testing.assert_allclose(trajectory.rewards[:-1], want, atol=1e-5)
