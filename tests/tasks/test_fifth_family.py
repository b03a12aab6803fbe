"""The documentation's worked example of a new family, run as it stands there."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests import test_all_tasks as rules
from workbench.data.behaviour import BehaviourConfig, collect, train_behaviour
from workbench.tasks import FAMILIES
from workbench.viewing.scene import geometry
from workbench.viewing.scene.appearance import goal_words

GUIDE = Path(__file__).parents[2] / "docs" / "adding_a_family.md"


@pytest.fixture(scope="module")
def example():
    (text,) = re.findall(r"```python\n(\"\"\"Swimmer-vel.*?)```", GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType("swimmer")
    sys.modules["swimmer"] = module
    exec(compile(text, "swimmer.py", "exec"), vars(module))
    yield module.FAMILY
    del sys.modules["swimmer"]


@pytest.fixture
def family(example, monkeypatch):
    monkeypatch.setitem(FAMILIES, example.name, example)
    return example


@pytest.mark.parametrize(
    "rule",
    [
        rules.test_a_task_is_plain_data,
        rules.test_the_same_seed_gives_the_same_episode,
        rules.test_observations_lie_in_the_declared_space,
        rules.test_no_observation_is_constant,
        rules.test_no_action_is_without_effect,
        rules.test_the_stored_reward_is_a_function_of_what_was_measured,
        rules.test_put_restores_a_state,
        rules.test_stored_trajectories_are_float32_and_aligned,
    ],
)
def test_the_example_keeps_the_rules(family, monkeypatch, rule):
    monkeypatch.setattr(rules, "TASKS", [*rules.TASKS, *map(family.task, range(6))])
    rule(family.task(4))


def test_the_example_keeps_the_rules_of_families(family):
    rules.test_the_splits_name_tasks_of_the_family(family)
    for variables in (family.observations, family.actions):
        assert len({v.name for v in variables}) == len(variables)
    rules.test_every_task_asks_for_something_else(family)
    assert rules.make(family.task(0)).dt == pytest.approx(family.dt)


def test_the_example_learns_is_collected_and_is_shown(family):
    config = BehaviourConfig(env_steps=64, n_envs=2, n_steps=16, batch_size=16, snapshots=2)
    *_, last = train_behaviour(family, config, 0)
    task = family.task(1)
    first, second = collect(last.policy, task, 2, seed=0)
    assert first.task == second.task == task
    assert not np.array_equal(first.observations, second.observations)
    poses = geometry.poses(task, first.states)
    assert poses.shape[0] == len(first)
    assert np.isfinite(poses).all()
    assert goal_words(task)
    assert any(geom["visible"] for geom in geometry.scene(task)["geoms"])
