"""Any environment of Gymnasium as a family: its spaces, its goals, its pictures."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.tasks import FAMILIES, Family

GIVEN = {"test": (1,), "target_return": 0.0, "return_scale": 100.0}


class Cart(gymnasium.Env):
    """A cart of two observations by name; a goal in its constructor, a thrust of up to 3 N."""

    action_space = Box(-3, 3, (1,), np.float32)

    def __init__(self, goal, spaces=None):
        self.goal = goal
        self.observation_space = spaces or Dict(
            {"speed": Box(-9, 9, (1,)), "place": Box(-9, 9, (2,))}
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.v, self.x = self.np_random.normal(size=2)
        return self._seen(), {}

    def step(self, action):
        self.thrust = float(action[0])
        self.v += 0.1 * self.thrust
        self.x += 0.1 * self.v
        return self._seen(), -abs(self.v - self.goal[0]), False, False, {}

    def _seen(self):
        place = np.array([self.x, self.x**2], np.float32)
        return {"speed": np.array([self.v], np.float32), "place": place}


def cart(**fields):
    return Family.from_gymnasium(
        Cart, name="cart", goals=[(0.5,), (1.0,)], horizon=20, **{**GIVEN, **fields}
    )


def pendulum(**fields):
    return Family.from_gymnasium(
        "Pendulum-v1",
        **{"name": "p", "goals": [0.8, 1.2, 1.6], "set_goal": "m", **GIVEN, **fields},
    )


def test_what_a_user_need_not_say_is_taken_from_the_environment():
    family = pendulum()
    assert (family.horizon, family.label, family.dt) == (200, "p", 0.05)
    assert family.train_indices == (0, 2)
    assert [v.name for v in family.observations] == [f"observation {i}" for i in range(3)]
    assert family.goals == ((0.8,), (1.2,), (1.6,))
    assert not family.formula
    named = pendulum(observations=("cosine", ("sine", "1"), "rate"), actions=[("torque", "Nm")])
    assert list(map(str, named.observations)) == ["cosine [raw]", "sine [1]", "rate [raw]"]
    assert str(named.actions[0]) == "torque [Nm]"


def test_observations_by_name_are_flattened_and_actions_scaled():
    family = cart()
    assert [v.name for v in family.observations] == ["place 0", "place 1", "speed 0"]
    env = family.build((0.5,))
    observation, _ = env.reset(seed=0)
    assert observation.shape == (3,)
    assert observation.dtype == np.float64
    _, reward, *_, info = env.step(np.array([0.5]))
    assert env._own.thrust == pytest.approx(1.5)
    assert info["measured"] == [reward]
    env.step(np.array([7.0]))
    assert env._own.thrust == pytest.approx(3.0)


def test_another_goal_is_another_environment():
    for family, goal in ((cart(), (1.0,)), (pendulum(), (1.6,))):
        changed, fresh = family.build(family.goals[0]), family.build(goal)
        changed.reset(seed=1)
        changed.goal = goal
        for env in (changed, fresh):
            env.reset(seed=2)
        for _ in range(5):
            one, two = (env.step(np.array([0.4])) for env in (changed, fresh))
            np.testing.assert_array_equal(one[0], two[0])
            assert one[1] == two[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"set_goal": None}, "`set_goal` must say how a goal enters"),
        ({"set_goal": ("m", "l")}, "an attribute for each number"),
        ({"set_goal": "weight"}, "no attribute 'weight'"),
        ({"horizon": 300}, "at most 200"),
        ({"test": (9,)}, "some of the tasks 0 to 2"),
        ({"test": (0, 1, 2)}, "leave some to learn"),
        ({"observations": ("one",)}, "must name 3 variables: got 1"),
        ({"observations": ("a", "a", "b")}, "names that differ"),
    ],
)
def test_what_does_not_fit_says_so(fields, said):
    with pytest.raises(ValueError, match=said):
        pendulum(**fields).build((1.0,)).reset(seed=0)


def test_an_environment_of_other_kinds_is_refused():
    class Buttons(Cart):
        action_space = Discrete(2)

    with pytest.raises(ValueError, match="bounded `Box`"):
        Family.from_gymnasium(Buttons, name="b", goals=[1.0, 2.0], horizon=5, **GIVEN)
    with pytest.raises(ValueError, match="`horizon` must be given"):
        Family.from_gymnasium(Cart, name="c", goals=[1.0, 2.0], **GIVEN)


def test_without_poses_the_first_episodes_are_filmed(monkeypatch):
    pytest.importorskip("pygame")
    family = pendulum(horizon=30)
    monkeypatch.setitem(FAMILIES, "p", family)
    first, second = evaluate(UniformPolicy(1), family.task(1), (3, 4), filmed=1).trajectories
    assert first.states is None
    assert (first.film.n, first.film.every) == (30, 1)
    assert second.film is None
    pictures = first.film.pictures().astype(int)
    assert pictures.shape[1:] == (144, 144, 3)
    assert np.abs(pictures[0] - pictures[-1]).max() > 50, "the pole moves"
    again = evaluate(UniformPolicy(1), family.task(1), (3, 4)).trajectories[0]
    np.testing.assert_array_equal(again.rewards, first.rewards)


def test_a_mujoco_environment_is_replayed_by_its_poses(monkeypatch):
    from workbench.viewing.scene import geometry

    def heavier(env, goal):
        env.model.body_mass[1] = goal[0]

    family = Family.from_gymnasium(
        "Hopper-v5", name="h", goals=[3.0, 4.0], set_goal=heavier, horizon=10, **GIVEN
    )
    monkeypatch.setitem(FAMILIES, "h", family)
    (episode,) = evaluate(UniformPolicy(3), family.task(1), (3,), filmed=1).trajectories
    assert episode.film is None
    assert episode.states.shape == (len(episode), 12)
    poses = geometry.poses(family.task(1), episode.states)
    assert poses.shape == (len(episode), len(geometry.scene(family.task(1))["geoms"]), 7)
    assert not geometry.scene(family.task(1))["filmed"]
