"""A cheetah, some states of it, and episodes of every family."""

import numpy as np
import pytest

from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import rollout, trajectories_of
from workbench.tasks import find, make


@pytest.fixture(scope="module")
def task():
    return find("cheetah-vel").task(15)


@pytest.fixture(scope="module")
def states(task):
    env, rng = make(task), np.random.default_rng(0)
    env.reset(seed=0)
    out = []
    for _ in range(12):
        out.append(env.state())
        env.step(rng.uniform(-1, 1, 6))
    return np.array(out)


def episode(name, steps):
    """The first states of a random episode of a family's first test task."""
    family = find(name)
    task, transitions = family.tasks("test")[0], []
    for transition in rollout(UniformPolicy(len(family.actions)), task, [0]):
        transitions.append(transition)
        if len(transitions) == steps:
            break
    (trajectory,) = trajectories_of(transitions, task)
    return task, trajectory.states
