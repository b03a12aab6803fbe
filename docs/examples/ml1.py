"""One task of Meta-World's ML1 by name, its goal hidden: ``ML1=pick-place-v3`` names it.

Nobody learns these within minutes: Meta-World's scripted experts record the trajectories.

    python docs/examples/ml1.py pick-place-v3 demonstrations
    export WORKBENCH_PLUGINS=docs/examples/ml1.py ML1=pick-place-v3
    python -m workbench reproduce-assets pick-place --from-data demonstrations
"""

import os
import sys
from pathlib import Path

import gymnasium
import metaworld
import numpy as np
from metaworld.policies import ENV_POLICY_MAP

from workbench import Family

NAME = sys.argv[1] if __name__ == "__main__" else os.environ.get("ML1", "pick-place-v3")
HORIZON, N_TASKS, TEST = 150, 15, (3, 7, 11)
NOISE = {"expert": (0.1, 5), "medium": (0.5, 3), "random": (None, 3)}
_BENCHMARK = metaworld.ML1(NAME, seed=1)
_KIND = _BENCHMARK.train_classes[NAME]


class Hidden(gymnasium.Wrapper):
    """Hides the goal, and lets the object lie elsewhere in every episode: it tells nothing."""

    def __init__(self, goal, seen=None):
        env = _KIND()
        env.set_task(_BENCHMARK.train_tasks[0])
        super().__init__(env)
        self.goal, self.seen = np.asarray(goal), slice(None) if seen is None else seen
        self.size = len(self.unwrapped._last_rand_vec)
        space, low = env.observation_space, np.full(39, -np.inf)
        n = len(low[self.seen])
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (n,), space.dtype)

    def reset(self, *, seed=None, options=None):
        """Draw where the object lies, and reset."""
        env = self.unwrapped
        if seed is not None:
            env.np_random, _ = gymnasium.utils.seeding.np_random(seed)
        low, high = env._random_reset_space.low, env._random_reset_space.high
        while True:
            drawn = env.np_random.uniform(low, high)
            drawn[self.size - len(self.goal) :] = self.goal
            if self.size == 3 or np.linalg.norm(drawn[:2] - drawn[3:5]) >= 0.15:
                break
        env._last_rand_vec, env._freeze_rand_vec = drawn, True
        observation, info = env.reset()
        for action in env.np_random.uniform(-1, 1, (5, 4)):  # the hand begins anywhere, too
            observation, *_ = self.env.step(action.astype(np.float32))
        return self._hidden(observation), info

    def step(self, action):
        """Step, and hide."""
        observation, reward, *_, info = self.env.step(np.asarray(action, np.float32))
        return self._hidden(observation), reward, False, False, info

    def _hidden(self, observation):
        env = self.unwrapped
        self.told = np.concatenate([observation[:36], env._target_pos])  # what a script reads
        return observation[self.seen].copy()


def _varying():
    """Return which observations ever change: the others pad what some tasks do not have."""
    env, rows = Hidden(_GOALS[0]), []
    for seed in range(3):
        rows.append(env.reset(seed=seed)[0])
        script = ENV_POLICY_MAP[NAME]()
        for _ in range(60):
            rows.append(env.step(script.get_action(env.told).clip(-1, 1))[0])
    return np.flatnonzero(np.ptp(rows, 0) > 0)


def _goal_of(task):
    import pickle  # of Meta-World itself, made in this process

    vector = pickle.loads(task.data)["rand_vec"]
    return tuple(float(x) for x in vector[-3:])


_GOALS = [_goal_of(task) for task in _BENCHMARK.train_tasks[:N_TASKS]]
_SEEN = _varying()


def build(goal):
    """Return the environment of a goal."""
    return Hidden(goal, _SEEN)


FAMILY = Family.from_gymnasium(
    build,
    name=NAME.removesuffix("-v3"),
    label=f"Meta-World {NAME}",
    goals=_GOALS,
    test=TEST,
    horizon=HORIZON,
    dt=0.0125,
    target_return=1500.0,
    return_scale=1000.0,
    goal_label="point, not observed",
    goal_unit="m",
    training={
        "pretrain": "--steps 2000 --warmup 200 --batch-size 32 --n-layers 2 --width 64 "
        "--context-length 10"
    },
    hint="A frozen transformer moves a robot arm to a goal that it cannot see.",
)


def record(folder, tasks=None):
    """Record every task with the scripted expert, with much noise, and at random."""
    from workbench.data.trajectory import Trajectory
    from workbench.data.trajectory_files import save_trajectories

    folder.mkdir(parents=True, exist_ok=True)
    for index in range(N_TASKS) if tasks is None else tasks:
        task = FAMILY.task(index)
        env = build(task.goal)
        for number, (quality, (noise, episodes)) in enumerate(NOISE.items()):
            items = []
            for episode in range(episodes):
                rng = np.random.default_rng([index, number, episode])
                rows, script = [], ENV_POLICY_MAP[NAME]()
                observation, _ = env.reset(seed=10_000 * index + 100 * number + episode)
                for _ in range(HORIZON):
                    if noise is None:
                        action = rng.uniform(-1, 1, 4)
                    else:
                        action = script.get_action(env.told) + noise * rng.normal(size=4)
                    action = action.clip(-1, 1).astype(np.float32)
                    following, reward, *_ = env.step(action)
                    rows.append((observation, action, reward))
                    observation = following
                columns = [np.array(c, np.float32) for c in zip(*rows, strict=True)]
                items.append(Trajectory(*columns, states=None, task=task))
            save_trajectories(folder / f"{index}-{quality}.safetensors", items)
            print(task, quality, round(float(np.mean([t.episode_return for t in items])), 1))


if __name__ == "__main__":
    from workbench import FAMILIES

    FAMILIES[FAMILY.name] = FAMILY
    record(Path(sys.argv[2]))
