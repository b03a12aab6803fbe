"""What every task must keep to. A new family is tested here by being in FAMILIES."""

import dataclasses
import json
import pickle

import mujoco
import numpy as np
import pytest

from tests.conftest import Point
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import rollout, trajectories_of
from workbench.tasks import FAMILIES, Environment, Task, find, make
from workbench.tasks.family import VELOCITY
from workbench.tasks.inertia import published_model
from workbench.upkeep.making import noisy_script

TASKS = [family.task(i) for family in FAMILIES.values() for i in range(len(family.goals))]
SEEDS = (1, 2)
# A planar robot: the published observation has the torso's y, which is 0 by construction.
# Meta-World pads its observations, hides the goal, and nobody turns the puck in 40 steps.
CONSTANT = {
    "cheetah-vel": {"torso y"},
    "cheetah-dir": {"torso y"},
    "reach": {
        *(v.name for v in find("reach").observations if v.unit == "always 0"),
        *(f"{when}puck orientation {axis}" for when in ("", "previous ") for axis in "zw"),
    },
}
# The part of a state that differs between two episodes from the start.
RANDOM = {"reach": slice(9, 11)}  # x and y of the puck
every_task = pytest.mark.parametrize("task", TASKS, ids=str)
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
_episodes = {}


class Gentle(UniformPolicy):
    """Random, but too weak to throw an ant."""

    def start(self, seeds):
        acting = super().start(seeds)
        strong = acting.act
        acting.act = lambda observations: 0.4 * strong(observations)
        return acting


def episodes(task):
    """Two random episodes of the task, recorded once: 40 steps, enough to move everything."""
    if task not in _episodes:
        steps = []
        for step in rollout(Gentle(len(find(task.family).actions)), task, SEEDS):
            steps.append(step)
            if len(steps) == 40:
                break
        _episodes[task] = steps
    return _episodes[task]


def column(steps, name):
    return np.stack([getattr(s, name) for s in steps], 1)


def test_there_are_142_tasks():
    assert list(FAMILIES) == ["cheetah-vel", "cheetah-dir", "ant-dir", "reach"]
    assert [len(f.goals) for f in FAMILIES.values()] == [40, 2, 50, 50]


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
    differ = np.abs(starts[0] - starts[1])
    assert (differ[RANDOM.get(task.family, slice(None))] > 1e-6).all()
    assert differ.max() < 1


@every_task
def test_the_stored_reward_is_a_function_of_what_was_measured(task):
    family, steps, env = find(task.family), episodes(task), make(task)
    for i, seed in enumerate(SEEDS):
        env.reset(seed=seed)
        for step in steps:
            before = family.position_of(env.state())
            *_, info = env.step(step.actions[i])
            measured = info["measured"]
            assert measured.shape == (len(family.measured),)
            wanted = family.rewards(measured, step.actions[i].astype(float), task.goal)
            assert step.rewards[i] == wanted, "float for float"
            after = family.position_of(env.state())
            if family.measured[0] == VELOCITY[0]:
                assert measured[0] == pytest.approx((after[0] - before[0]) / family.dt)
            else:
                np.testing.assert_allclose(measured, after, atol=1e-12)
    assert column(steps, "rewards").std() > 0.01


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
    if family.state_of is None:
        pytest.skip("an observation of this family does not determine the state")
    states, observations = column(steps, "states"), column(steps, "observations")
    recovered = family.state_of(observations)
    assert recovered.shape == states.shape
    lag = np.abs(recovered - states).max((0, 1))
    if task.family == "ant-dir":  # it does not observe where it is
        assert (recovered[..., :2] == 0).all()
        assert (lag[2:] == 0).all()
        return
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


def test_ant_dir_has_the_published_goals_and_split():
    family = find("ant-dir")
    angles = np.array(family.goals)[:, 0]
    assert angles[:3].tolist() == [1.2033605945679715, 0.42663053293975295, 4.944775479235424]
    assert ((angles >= 0) & (angles < 2 * np.pi)).all()
    assert family.test_indices == (6, 17, 23, 30, 41)
    assert len(family.train_indices) == 45
    assert (family.horizon, family.dt, family.return_scale) == (200, 0.05, 500)
    assert (len(family.observations), len(family.actions)) == (27, 8)
    np.testing.assert_allclose(family.goal_features((np.pi / 2,)), (0, 1), atol=1e-12)


def test_the_ant_falls_or_jumps_out_of_the_episode():
    env = make(find("ant-dir").task(0))
    env.reset(seed=0)
    for height, over in ((0.6, False), (-3.0, True), (1.3, True)):
        state = env.state()
        state[2], state[15:] = height, 0
        env.put(state)
        assert env.step(np.zeros(8))[2] is over


def test_the_ants_joints_are_named_in_the_models_order():
    family, model = find("ant-dir"), make(find("ant-dir").task(0)).model
    legs = {"1": "front left", "2": "front right", "3": "back left", "4": "back right"}
    joints = [model.joint(i).name for i in range(1, 9)]
    words = [f"{legs[name[-1]]} {name[:-2]}" for name in joints]
    assert [v.name for v in family.observations[5:13]] == [f"{w} angle" for w in words]
    assert [v.name for v in family.observations[19:]] == [f"{w} rate" for w in words]
    driven = [words[model.actuator_trnid[i, 0] - 1] for i in range(8)]
    assert [v.name for v in family.actions] == [f"{w} torque" for w in driven]


def test_ant_reward_by_hand():
    action = np.array([1, -0.5, 0, 0, 0, 0, 0, 0])
    measured = np.array([3.0, 4.0, 9.0, 10.0])
    terms = find("ant-dir").reward_terms(measured, action, (np.arctan2(4, 3),))
    assert terms["speed"] == pytest.approx(5)
    assert terms["control"] == pytest.approx(-0.625)
    assert terms["contact"] == pytest.approx(-0.005)
    assert terms["survive"] == 1


# ---- reach: the package's own environment is the oracle ----


@pytest.fixture(scope="module")
def package():
    """Meta-World's own environment, and its 50 tasks."""
    metaworld = pytest.importorskip("metaworld")
    benchmark = metaworld.ML1("reach-v3", seed=1)
    env = benchmark.train_classes["reach-v3"]()
    return env, benchmark.train_tasks


def test_reach_has_the_goals_of_the_package(package):
    family, (_, tasks) = find("reach"), package
    drawn = [pickle.loads(task.data) for task in tasks]
    assert all(task["partially_observable"] for task in drawn)
    assert family.goals == tuple(tuple(task["rand_vec"][3:].tolist()) for task in drawn)
    assert family.test_indices == (5, 15, 25, 35, 45)
    assert (len(family.train_indices), family.horizon) == (45, 500)


@pytest.mark.parametrize("index", [5, 30])
def test_reach_equals_the_package_to_the_last_bit(package, index, draw):
    family, (theirs, tasks) = find("reach"), package
    ours, goal = make(family.task(index)), np.array(family.goals[index])
    theirs.set_task(tasks[index])
    for seed in (0, 1):
        observation, _ = ours.reset(seed=seed)
        theirs._last_rand_vec = np.concatenate([ours.data.qpos[9:12], goal])
        np.testing.assert_array_equal(observation, theirs.reset()[0])
        for t in range(400):
            action = draw.uniform(-1, 1, 4).astype(np.float32)
            if seed and t < 300:  # to the goal, then push the puck
                action[:3] = np.clip(5 * (goal - observation[:3]), -1, 1)
            elif seed:
                action[:3] = np.clip(9 * (observation[4:7] - observation[:3]), -1, 1)
            observation, reward, *_ = ours.step(action)
            same, their_reward, *_, info = theirs.step(action)
            np.testing.assert_array_equal(observation, same)
            # its norm of three numbers is BLAS's, which rounds otherwise on some processors
            assert reward == pytest.approx(their_reward, rel=1e-14, abs=0)
            assert family.succeeded(np.array([0.0, reward])) == info["success"]


def test_reach_rewards_in_plain_floats_are_the_pure_function_to_the_last_bit(draw):
    family, near = find("reach"), 0
    for index in range(0, 50, 5):
        goal, env = np.array(family.goals[index]), make(family.task(index))
        observation, _ = env.reset(seed=index)
        for t in range(1000):
            action = draw.uniform(-1.2, 1.2, 4).astype(np.float32)
            if t % 500 > 100:
                action[:3] += 3 * (goal - observation[:3])
            observation, reward, _, _, info = env.step(action)
            terms = family.reward_terms(info["measured"], action, family.goals[index])
            assert reward == sum(terms.values())
            near += reward == 10
    assert 100 < near < 9_900, "both branches"


def test_reach_begins_where_the_package_begins_and_the_puck_is_random():
    env = make(find("reach").task(0))
    pucks = np.array([env.reset(seed=i)[0][4:6] for i in range(200)])
    assert pucks.std(0) == pytest.approx([0.2 / 12**0.5, 0.05 / 12**0.5], rel=0.1)
    for goal in find("reach").goals:
        assert np.hypot(*(pucks - goal[:2]).T).min() >= 0.15


def test_the_reach_script_is_the_packages_expert(package, draw):
    from metaworld.policies import SawyerReachV3Policy

    task, expert = find("reach").task(7), SawyerReachV3Policy()
    policy = noisy_script(find("reach").script, 0.0).given(task)
    for observation in draw.normal(size=(20, 39)):
        seen = np.concatenate([observation[:36], task.goal])
        wanted = expert.get_action(seen)
        np.testing.assert_allclose(policy.mean_action(observation[None])[0], wanted, atol=1e-6)


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
    with pytest.raises(ValueError, match="Known: cheetah-vel, cheetah-dir, ant-dir, reach"):
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
