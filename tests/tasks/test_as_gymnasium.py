"""The tasks as environments of Gymnasium."""

import importlib
import tomllib
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import workbench
from workbench.tasks import FAMILIES, SHIPPED


@pytest.fixture(autouse=True)
def registered():
    """As Gymnasium does itself where the package is installed."""
    workbench.register_tasks()


def test_gymnasium_finds_the_registration():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    place = tomllib.loads(text)["project"]["entry-points"]["gymnasium.envs"]["__root__"]
    module, name = place.split(":")
    assert getattr(importlib.import_module(module), name) is workbench.register_tasks
    assert workbench._FAMILIES == SHIPPED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SHIPPED)
def test_every_family_passes_the_check(name):
    env = gymnasium.make(f"workbench/{name.capitalize()}-v0", task=FAMILIES[name].test_indices[0])
    check_env(env.unwrapped)
    env.close()


def test_an_episode_ends_at_the_horizon_and_the_goal_is_not_observed(toy):
    env = gymnasium.make("workbench/Task-v0", family="toy", task=2)
    first, info = env.reset(seed=4)
    assert info["goal"] == (0.5,)
    again, _ = env.reset(seed=4)
    np.testing.assert_array_equal(first, again)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(toy.horizon)]
    assert ends == [(False, False)] * (toy.horizon - 1) + [(False, True)]


def test_a_task_that_is_none_is_an_error(toy):
    with pytest.raises(ValueError, match="must name a task of toy"):
        gymnasium.make("workbench/Task-v0", family="toy", task=99)


def test_it_trains_in_stable_baselines(toy):
    sb3 = pytest.importorskip("stable_baselines3")
    env = gymnasium.make("workbench/Task-v0", family="toy", task=2)
    model = sb3.PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, device="cpu")
    assert model.learn(32).num_timesteps == 32
