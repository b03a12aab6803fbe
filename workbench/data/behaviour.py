"""Behaviour policies: the actors of the recorded demonstrations, and how they are trained by PPO.

One goal-conditioned policy per family (the goal is appended to the observation) stands in for
the published per-task experts. Snapshots taken while it learns are the lower qualities; which
snapshot counts as which is decided in ``upkeep/making.py``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from workbench.data.atomic_files import whole_file
from workbench.data.rollout import Policy, evaluate
from workbench.data.trajectory import Trajectory
from workbench.tasks import Family, Task, find, make


@dataclass(frozen=True, eq=False)
class BehaviourPolicy(Policy):
    """A goal-conditioned Gaussian policy; a ``Policy`` once it is given a task.

    Attributes:
        weights: Layers of a tanh network as ``(matrix (in, out), bias (out,))``.
        mean, scale: Statistics that normalise ``(observation, goal)``, (O + G,) each.
        std: Standard deviation of the action noise, (A,).
        goal: Features of the goal that it pursues, ``Family.goal_features``, (G,); or None.
    """

    weights: tuple[tuple[np.ndarray, np.ndarray], ...]
    mean: np.ndarray
    scale: np.ndarray
    std: np.ndarray
    goal: tuple[float, ...] | None = None

    def given(self, task: Task) -> BehaviourPolicy:
        """Return the same policy pursuing the goal of ``task``."""
        return dataclasses.replace(self, goal=find(task.family).goal_features(task.goal))

    def start(self, seeds) -> _GaussianActing:
        """Begin one episode per seed; the seeds also draw the action noise."""
        if self.goal is None:
            raise ValueError("`BehaviourPolicy` has no goal: call `.given(task)` first.")
        # A stream of its own (7): an environment draws its start from the same seed.
        return _GaussianActing(self, [np.random.default_rng([7, seed]) for seed in seeds])

    def mean_action(self, observations: np.ndarray) -> np.ndarray:
        """Return the mean action, (B, A), of raw observations, (B, O)."""
        goal = np.asarray(self.goal)
        goals = np.broadcast_to(goal, (len(observations), len(goal)))
        # Clipped at 10 standard deviations, as VecNormalize did while the policy learned.
        x = np.clip((np.concatenate([observations, goals], 1) - self.mean) / self.scale, -10, 10)
        for matrix, bias in self.weights[:-1]:
            x = np.tanh(x @ matrix + bias)
        matrix, bias = self.weights[-1]
        return x @ matrix + bias

    def save(self, path: Path, **metadata: object) -> None:
        """Write the policy as safetensors, ``metadata`` as JSON in its header."""
        tensors = {"mean": self.mean, "scale": self.scale, "std": self.std}
        for i, (matrix, bias) in enumerate(self.weights):
            tensors |= {f"layer{i}.matrix": matrix, f"layer{i}.bias": bias}
        tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}
        with whole_file(path) as partial:
            save_file(tensors, partial, {"workbench": json.dumps(metadata)})

    @classmethod
    def load(cls, path: Path) -> BehaviourPolicy:
        """Read what ``save`` wrote.

        Raises:
            ValueError: if the file cannot be read.
        """
        try:
            t = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path} cannot be read ({error}). Make it again.") from error
        n = sum(name.endswith(".matrix") for name in t)
        weights = tuple((t[f"layer{i}.matrix"], t[f"layer{i}.bias"]) for i in range(n))
        return cls(weights, t["mean"], t["scale"], t["std"])


class _GaussianActing:
    def __init__(self, policy: BehaviourPolicy, rngs: list[np.random.Generator]):
        self.policy, self.rngs = policy, rngs

    def act(self, observations: np.ndarray) -> np.ndarray:
        noise = np.stack([rng.standard_normal(len(self.policy.std)) for rng in self.rngs])
        return np.clip(self.policy.mean_action(observations) + self.policy.std * noise, -1, 1)

    def receive(self, rewards: np.ndarray) -> None:
        """Do nothing: the policy does not depend on rewards."""


@dataclass(frozen=True)
class UniformPolicy(Policy):
    """Acts uniformly at random: its return is the zero of the normalised return."""

    n_actions: int

    def start(self, seeds) -> _UniformActing:
        """Begin one episode per seed."""
        return _UniformActing(self.n_actions, [np.random.default_rng([11, seed]) for seed in seeds])


class _UniformActing:
    def __init__(self, n_actions: int, rngs):
        self.n_actions, self.rngs = n_actions, rngs

    def act(self, observations: np.ndarray) -> np.ndarray:
        return np.stack([rng.uniform(-1, 1, self.n_actions) for rng in self.rngs])

    def receive(self, rewards: np.ndarray) -> None:
        """Do nothing: the policy does not depend on rewards."""


def collect(
    policy: BehaviourPolicy, task: Task, n: int, seed: int, filmed: int = 0
) -> tuple[Trajectory, ...]:
    """Record ``n`` episodes of ``policy`` pursuing the goal of ``task``.

    Args:
        policy: Acts with its own action noise.
        task: The task.
        n: Episodes.
        seed: Distinct seeds give distinct episodes; none is an evaluation seed.
        filmed: See ``evaluate``.
    """
    seeds = range(seed * 10_000 + 1, seed * 10_000 + 1 + n)
    return evaluate(policy.given(task), task, seeds, filmed=filmed).trajectories


@dataclass(frozen=True)
class BehaviourConfig:
    """PPO settings for a goal-conditioned behaviour policy; ours, none are published.

    Attributes:
        env_steps: Environment steps in total.
        n_envs: Environments in lock-step in one process.
        n_steps: Steps of each environment between two updates.
        batch_size: Transitions per gradient step.
        n_epochs: Passes over the collected transitions per update.
        lr: Learning rate at the start; falls linearly to zero.
        gamma: Discount.
        log_std: Initial log standard deviation of the action noise.
        width: Units in each of the two hidden layers.
        snapshots: Policies yielded along the way, the last included, the first before training.
    """

    env_steps: int = 10_000_000
    n_envs: int = 16
    n_steps: int = 256
    batch_size: int = 512
    n_epochs: int = 8
    lr: float = 3e-4
    gamma: float = 0.99
    log_std: float = -0.5
    width: int = 128
    snapshots: int = 60

    def __post_init__(self):
        if not 1 <= self.snapshots <= self.env_steps:
            raise ValueError(
                f"`snapshots` must lie between 1 and `env_steps`: got {self.snapshots=}, "
                f"{self.env_steps=}."
            )


@dataclass(frozen=True, eq=False)
class BehaviourStep:
    """The policy after ``env_steps`` environment steps of training."""

    env_steps: int
    policy: BehaviourPolicy


class _GoalEnv(gymnasium.Env):
    """An environment whose goal is drawn anew each episode and appended to the observation.

    ``progress`` in [0, 1], how much of the training is done, moves the weights of the reward terms
    from the first to the last of ``Family.training_weights``.
    """

    def __init__(self, family: Family):
        self.family, self.env = family, make(family.task(0))
        self.horizon, self.t, self.progress = family.horizon, 0, 0.0
        n = len(family.observations) + len(family.goal_features(family.goals[0]))
        self.observation_space = Box(-np.inf, np.inf, (n,), np.float64)
        self.action_space = self.env.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        goals = self.family.goals
        self.env.goal = goals[self.np_random.integers(len(goals))]
        self.t = 0
        observation, info = self.env.reset(seed=int(self.np_random.integers(2**31)))
        return self._with_goal(observation), info

    def _with_goal(self, observation: np.ndarray) -> np.ndarray:
        return np.concatenate([observation, self.family.goal_features(self.env.goal)])

    def step(self, action):
        observation, earned, terminated, _, info = self.env.step(action)
        reward = float(earned)
        self.t += 1
        if weights := self.family.training_weights:
            terms = self.family.reward_terms(info["measured"], action, self.env.goal)
            for term, (first, last) in weights.items():
                weight = first + self.progress * (last - first)
                reward += (weight - 1) * float(terms[term])  # the environment counted it once
        return self._with_goal(observation), reward, terminated, self.t >= self.horizon, info


def train_behaviour(
    family: Family, config: BehaviourConfig, seed: int, folder: Path | None = None
) -> Iterator[BehaviourStep]:
    """Train one goal-conditioned policy by PPO and yield snapshots of rising skill.

    Goals are drawn from all tasks of the family: the behaviour stands for the published
    per-task experts, which exist for test tasks too. No model is ever trained on test-task data.

    Args:
        family: The task family.
        config: PPO settings.
        seed: Seed of everything.
        folder: Where to keep a checkpoint after every snapshot; an existing one resumes.

    Raises:
        ModuleNotFoundError: if Stable-Baselines3 is not installed.
    """
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Training a behaviour policy needs Stable-Baselines3: "
            "install the extra with `pip install -e .[collect] -c constraints.txt`."
        ) from error

    plain = DummyVecEnv([lambda: _GoalEnv(family)] * config.n_envs)
    checkpoint = None if folder is None else Path(folder) / "checkpoint"
    if checkpoint is not None and checkpoint.with_suffix(".zip").exists():
        envs = VecNormalize.load(str(checkpoint.with_suffix(".stats")), plain)
        ppo = PPO.load(checkpoint.with_suffix(".zip"), envs, device="cpu")
    else:
        envs = VecNormalize(plain, gamma=config.gamma)
        ppo = PPO(
            "MlpPolicy",
            envs,
            n_steps=config.n_steps,
            batch_size=config.batch_size,
            n_epochs=config.n_epochs,
            gamma=config.gamma,
            policy_kwargs={
                "net_arch": [config.width, config.width],
                "log_std_init": config.log_std,
            },
            seed=seed,
            device="cpu",
        )
    if ppo.num_timesteps == 0:
        envs.reset()
        yield BehaviourStep(0, _policy_of(ppo, envs))
    chunk = config.env_steps // config.snapshots
    while ppo.num_timesteps < config.env_steps:
        progress = ppo.num_timesteps / config.env_steps
        envs.set_attr("progress", progress)

        # Stable-Baselines3 would let the rate fall to zero within each call of `learn`; here it is
        # constant within a chunk and falls from one to the next.
        def constant(_: float, lr: float = config.lr * (1 - progress)) -> float:
            return lr

        ppo.learning_rate = ppo.lr_schedule = constant
        ppo.learn(chunk, reset_num_timesteps=False)
        if checkpoint is not None:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            envs.save(str(checkpoint.with_suffix(".stats")))
            ppo.learning_rate = config.lr  # a function would be saved as code
            ppo.lr_schedule = config.lr  # type: ignore[assignment]
            ppo.save(checkpoint.with_suffix(".zip"))
        yield BehaviourStep(ppo.num_timesteps, _policy_of(ppo, envs))


def _policy_of(ppo, envs) -> BehaviourPolicy:
    """Copy a Stable-Baselines3 policy into plain arrays."""
    from torch import nn

    net, head = ppo.policy.mlp_extractor.policy_net, ppo.policy.action_net
    layers = [layer for layer in (*net, head) if isinstance(layer, nn.Linear)]
    weights = tuple(
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in layers
    )
    rms = envs.obs_rms
    std = ppo.policy.log_std.detach().exp().numpy().copy()
    return BehaviourPolicy(weights, rms.mean.copy(), np.sqrt(rms.var + envs.epsilon), std)
