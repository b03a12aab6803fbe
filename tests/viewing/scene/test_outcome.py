"""What an episode came to, in words: of made-up episodes whose end is known."""

import dataclasses

import numpy as np
import pytest

from tests.conftest import record
from tests.tasks.test_plugins import FAMILY
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectory
from workbench.tasks import FAMILIES, find, make
from workbench.viewing.scene import geometry
from workbench.viewing.scene.outcome import outcome, verdict


def moved(name, speed, steps=None):
    """An episode in which what the camera follows moves along x at a speed, in m/s."""
    family = find(name)
    task, steps = family.tasks("test")[0], steps or family.horizon
    env = make(task)
    env.reset(seed=0)
    states = np.tile(env.state(), (steps, 1))
    states[:, 0] += speed * family.dt * np.arange(steps)
    zeros = np.zeros((steps, len(family.observations))), np.zeros((steps, len(family.actions)))
    return Trajectory(*(z.astype(np.float32) for z in zeros), np.zeros(steps), states, task)


def test_a_speed_is_held_against_the_wanted_one():
    episode = moved("cheetah-vel", 0.5)
    assert outcome(episode) == f"runs at 0.50 of {episode.task.goal[0]:g} m/s"
    assert outcome(moved("cheetah-vel", -0.5)).startswith("runs at −0.50 of")


@pytest.mark.parametrize("way", ["right", "wrong"])
def test_a_direction_is_right_or_wrong(way):
    (wanted,) = find("cheetah-dir").tasks("test")[0].goal
    episode = moved("cheetah-dir", 2.0 * wanted * (1 if way == "right" else -1))
    assert outcome(episode) == f"runs the {way} way at 2.0 m/s"


def test_an_episode_without_states_is_told_by_its_rewards(plugged):
    """As of an environment of Gymnasium that is filmed, or that nothing is known of."""
    plugged(FAMILY, "family.py")
    task = find("mine").task(1)
    (episode,) = evaluate(UniformPolicy(1), task, (4,)).trajectories
    assert episode.states is None
    assert outcome(episode) == f"earns −{-episode.rewards.mean():.2f} a step"
    short = dataclasses.replace(
        episode,
        film=None,
        **{n: getattr(episode, n)[:7] for n in ("observations", "actions", "rewards")},
    )
    assert outcome(short).endswith("and ended after 7 steps")


def test_an_end_before_its_time_is_said():
    assert outcome(moved("ant-dir", 0.0, 40)).endswith("after 40 steps")


def test_a_family_that_says_nothing_of_itself_tells_what_was_earned(toy):
    (demo,) = record(toy.task(5), 1)
    demo = dataclasses.replace(demo, rewards=np.full(len(demo), -0.5))
    assert outcome(demo) == "earns −0.50 a step"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_an_outcome(name):
    assert 0 < len(outcome(moved(name, 1.0))) < 90
    assert len(geometry.poses(moved(name, 1.0).task, moved(name, 1.0, 1).states)) == 1


def test_a_verdict_names_who_earns_more_and_by_how_much():
    assert verdict("A", "B", 157.4, 102.0) == "B earns more than A: +157 [+55, +259]"
    assert verdict("A", "B", -16.3, 8.6) == "A earns more than B: +16.3 [+7.7, +24.9]"
    undecided = verdict("A", "B", 9.6, 19.8)
    assert undecided == "whether B earns more than A is undecided: +9.6 [−10.2, +29.4]"
