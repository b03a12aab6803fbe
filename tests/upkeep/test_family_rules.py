"""A family that is not sound is refused, each for its own reason."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from tests.conftest import TOY, Point, toy_reward
from workbench.tasks import FAMILIES, Family
from workbench.upkeep.family_rules import check_family, problems


def broken(family, monkeypatch):
    """Return the rules that a family breaks, and what is said of them."""
    monkeypatch.setitem(FAMILIES, family.name, family)
    return {one.rule: one.problem for one in problems(list(check_family(family)))}


class Push(gymnasium.Env):
    """A cart at the speed of its goal; subclasses do something wrong."""

    action_space = Box(-1, 1, (1,), np.float32)
    observation_space = Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(self):
        self.goal, self.mass = 0.0, 1.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.v, self.x = self.np_random.normal(0, 0.5, 2)
        return self.seen(), {}

    def step(self, action):
        self.v += 0.3 * float(action[0]) / self.mass
        self.x += 0.3 * self.v
        return self.seen(), self.reward(), False, False, {}

    def seen(self):
        return np.array([self.v, self.x])

    def reward(self):
        return -abs(self.v - self.goal)


class Constant(Push):
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def seen(self):
        return np.array([self.v, self.x, 4.0])


class Telling(Push):
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def seen(self):
        return np.array([self.v, self.x, self.goal])


class Hinting(Push):
    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def seen(self):
        return np.array([self.v, self.x, self.goal + 0.05 * self.x])


class Leaking(Push):
    def reward(self):
        return -abs(self.v) + 3.0 * self.goal


class Unseeded(Push):
    def step(self, action):
        self.v += np.random.normal()
        return super().step(action)


class Alike(Push):
    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.v = self.x = 0.0
        return self.seen(), {}


class Forgetful(Push):
    def reset(self, *, seed=None, options=None):
        seen = super().reset(seed=seed)
        self.x = getattr(self, "kept", 0.0)
        return seen

    def step(self, action):
        self.kept = 1.0
        return super().step(action)


class Ignoring(Push):
    def reward(self):
        return -abs(self.v)


class Deaf(Push):
    def step(self, action):
        return super().step(np.zeros(1))


def set_goal(env, goal):
    env.goal = goal[0]


def family_of(kind, change=set_goal):
    gymnasium.register("workbench-test/Push-v0", kind, disable_env_checker=True)
    return Family.from_gymnasium(
        "workbench-test/Push-v0",
        name="push",
        goals=[-0.8, -0.3, 0.2, 0.7, 1.2],
        set_goal=change,
        test=[1],
        horizon=40,
        target_return=0.0,
        return_scale=40.0,
    )


@pytest.fixture(autouse=True)
def _registry():
    yield
    gymnasium.registry.pop("workbench-test/Push-v0", None)


def test_sound_families_keep_every_rule(toy, monkeypatch):
    assert broken(toy, monkeypatch) == {}
    assert broken(family_of(Push), monkeypatch) == {}


@pytest.mark.parametrize(
    ("kind", "rule", "said"),
    [
        (Constant, "no observation is constant", "Observation 2 (observation 2)"),
        (Telling, "no observation tells the goal", "differs between tasks"),
        (Hinting, "no observation tells the goal", "predicts"),
        (Leaking, "no reward tells the goal", "differ by the same in every step"),
        (Unseeded, "the same seed gives the same episode", "self.np_random"),
        (Alike, "episodes begin at random", "begin alike"),
        (Forgetful, "the same seed gives the same episode", "`reset` must set everything"),
        (Ignoring, "tasks differ", "does not enter"),
        (Deaf, "actions have an effect", "changes nothing"),
    ],
)
def test_one_that_is_not_is_refused_for_its_fault(monkeypatch, kind, rule, said):
    found = broken(family_of(kind), monkeypatch)
    assert said in found[rule]


def test_a_goal_that_is_added_to_and_not_set_is_refused(monkeypatch):
    def heavier(env, goal):
        env.goal, env.mass = 0.0, env.mass * (1.5 + goal[0])

    found = broken(family_of(Push, heavier), monkeypatch)
    assert "must set values" in found["a goal can be given anew"]


@pytest.mark.parametrize("leak", [0.0, 1.0])
def test_a_term_that_tells_the_goal_is_found_where_the_dynamics_differ_too(monkeypatch, leak):
    class Moving(Push):
        def reward(self):
            return -abs(self.v) + leak * self.goal

    def heavier(env, goal):
        env.goal, env.mass = goal[0], 2.0 + goal[0]

    found = broken(family_of(Moving, heavier), monkeypatch)
    assert set(found) == ({"no reward tells the goal"} if leak else set())
    assert not leak or "At like steps" in found["no reward tells the goal"]


def test_a_goal_that_the_reward_is_about_is_no_leak_where_the_dynamics_differ_too(monkeypatch):
    def heavier(env, goal):
        env.goal, env.mass = goal[0], 2.0 + goal[0]

    assert broken(family_of(Push, heavier), monkeypatch) == {}


def test_a_term_of_the_reward_that_tells_the_goal_is_refused(monkeypatch):
    def telling(velocity, actions, goal):
        return {**toy_reward(velocity, actions, goal), "bonus": 2 * goal[0] + 0 * velocity[..., 0]}

    class Told(Point):
        def step(self, action):
            observed, reward, *rest = super().step(action)
            return observed, reward + 2 * self.goal[0], *rest

    family = dataclasses.replace(TOY, name="told", build=Told, reward_terms=telling)
    assert "'bonus'" in broken(family, monkeypatch)["no reward tells the goal"]
    other = dataclasses.replace(family, reward_terms=toy_reward)
    assert "sum up to" in broken(other, monkeypatch)["rewards recompute"]


def test_an_error_in_an_environment_is_words_and_not_a_crash(monkeypatch):
    class Falls(Push):
        def step(self, action):
            raise RuntimeError("no such cart")

    found = broken(family_of(Falls), monkeypatch)
    assert "RuntimeError: no such cart" in found["no observation is constant"]
