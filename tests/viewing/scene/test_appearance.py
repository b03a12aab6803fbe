"""How families are shown and spoken of; the curves against hand-made episodes."""

import numpy as np
import pytest

from tests.conftest import record
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.tasks import FAMILIES, find, make
from workbench.viewing.scene import appearance

WORDS = {
    ("cheetah-vel", 7): "run at 0.6 m/s",
    ("cheetah-dir", 0): "run forward",
    ("cheetah-dir", 1): "run backward",
    ("ant-dir", 0): "walk towards 69°",
    ("ant-dir", 49): "walk towards 10°",
    ("reach", 0): "reach (0.03, 0.84, 0.19) m",
}


@pytest.mark.parametrize(("name", "index"), WORDS)
def test_goals_in_words(name, index):
    assert appearance.goal_words(find(name).task(index)) == WORDS[name, index]


def test_a_family_that_says_nothing_of_itself_has_words_a_curve_and_an_ending(toy):
    task = toy.task(5)
    (demo,) = record(task, 1)
    assert appearance.goal_words(task) == "speed 1.25 m/s"
    np.testing.assert_array_equal(
        appearance.curve_of(task, demo.states, demo.rewards), demo.rewards
    )
    assert appearance.ending_of(task, demo.states) == ""
    assert appearance.ending_of(task, demo.states[:3]) == "ended after 3 steps"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_view_of_its_own(name):
    view, task = appearance.VIEWS[name], find(name).tasks("test")[0]
    assert appearance.view_of(name) is view
    assert view.marks(task.goal)
    assert view.words(task.goal)
    assert len({mark.label for mark in view.marks(task.goal)}) == len(view.marks(task.goal))


@pytest.mark.parametrize("name", ["cheetah-vel", "cheetah-dir", "ant-dir"])
def test_the_curve_explains_the_rewards(name):
    """Speed and distance from recorded states are those that the reward was computed from."""
    family = find(name)
    for task in family.tasks("test")[:2]:
        (episode,) = evaluate(UniformPolicy(len(family.actions)), task, [3]).trajectories
        curve = appearance.curve_of(task, episode.states, episode.rewards)
        assert curve.shape == (len(episode),)
        control = np.square(episode.actions.astype(float)).sum(-1)
        if name == "ant-dir":
            want = episode.rewards + 0.5 * control - 1
            assert np.all(np.abs((curve - want)[:-1]) < 0.06), "all but the contact cost"
            continue
        speed = episode.rewards + 0.05 * control
        want = -np.abs(curve - task.goal[0]) if name == "cheetah-vel" else curve
        np.testing.assert_allclose(speed[:-1], want[:-1], atol=2e-3)


def test_the_distance_says_when_the_goal_of_reach_is_reached():
    """Within 5 cm, and only there, the reward is 10."""
    task = find("reach").task(5)
    env, states, rewards = make(task), [], []
    observation, _ = env.reset(seed=0)
    for _ in range(60):
        states.append(env.state())
        way = 10 * (np.array(task.goal) - observation[:3])
        observation, reward, *_ = env.step(np.append(np.clip(way, -1, 1), 0))
        rewards.append(reward)
    distance = appearance.curve_of(task, np.array(states), np.array(rewards))
    assert distance[0] > 0.25
    assert distance[-1] < appearance.REACH_RADIUS
    np.testing.assert_array_equal(
        distance[1:] < appearance.REACH_RADIUS, np.array(rewards[:-1]) > 10 - 1e-5
    )


def test_one_step_has_a_speed_of_zero():
    task = find("ant-dir").task(0)
    assert appearance.curve_of(task, np.ones((1, 29)), np.ones(1)) == [0]


def test_an_ant_falls_or_jumps():
    task, states = find("ant-dir").task(0), np.zeros((5, 29))
    states[:, 2] = 0.21
    assert appearance.ending_of(task, states) == "fell after 5 steps"
    states[:, 2] = 0.97
    assert appearance.ending_of(task, states) == "jumped too high after 5 steps"
    states[:, 17] = -15.0  # on its way down, 0.75 m a step
    assert appearance.ending_of(task, states) == "fell after 5 steps"
