"""The worked examples of docs/examples: plug-ins that are found, sound in small, and watched."""

from pathlib import Path

import numpy as np
import pytest

from workbench.data.behaviour import BehaviourConfig, UniformPolicy, train_behaviour
from workbench.data.rollout import evaluate
from workbench.tasks import find, plugins
from workbench.upkeep import family_rules

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
NAMES = {"pendulum": "pendulum", "ball": "ball", "hopper": "hopper-random"}


@pytest.fixture(params=NAMES)
def family(request, plugged):
    plugged((EXAMPLES / f"{request.param}.py").read_text(), f"{request.param}.py")
    assert plugins.failures() == []
    return find(NAMES[request.param])


def test_it_keeps_every_rule(family, monkeypatch):
    monkeypatch.setattr(family_rules, "SEEDS", 4)
    assert family_rules.problems(list(family_rules.check_family(family))) == []


def test_a_behaviour_policy_learns_it(family):
    pytest.importorskip("stable_baselines3")
    config = BehaviourConfig(env_steps=64, n_envs=2, n_steps=16, batch_size=16, snapshots=2)
    *_, last = train_behaviour(family, config, 0)
    task = family.task(family.test_indices[0])
    (episode,) = evaluate(last.policy.given(task), task, (1,)).trajectories
    assert np.isfinite(episode.episode_return)


def test_tasks_are_told_apart_by_what_happens(family):
    one, two = (family.task(i) for i in family.test_indices[:2])
    policy = UniformPolicy(len(family.actions))
    first, second = (evaluate(policy, task, (4,)).trajectories[0] for task in (one, two))
    rows = min(len(first), len(second))
    np.testing.assert_allclose(first.observations[0], second.observations[0])
    assert not np.allclose(first.observations[:rows], second.observations[:rows])


def test_a_task_of_ml1_by_its_name_records_its_own_data(plugged, tmp_path, monkeypatch):
    monkeypatch.setenv("ML1", "button-press-v3")
    monkeypatch.setattr("sys.argv", ["x"])
    plugged((EXAMPLES / "ml1.py").read_text(), "ml1.py")
    assert plugins.failures() == []
    family = find("button-press")
    env = family.build(family.goals[0])
    first, _ = env.reset(seed=0)
    assert len(first) == len(family.observations) < 39
    assert not np.array_equal(first, env.reset(seed=1)[0])
    observed, reward, ended, _, _ = env.step(np.zeros(4))
    assert np.isfinite([*observed, reward]).all()
    assert not ended


@pytest.mark.parametrize("name", ["pendulum.py", "hopper.py", "ml1.py"])
def test_the_page_tells_of_it(name):
    assert name in (EXAMPLES.parent / "your_own.md").read_text()
