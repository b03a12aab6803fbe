"""Running policies in the simulator: ``rollout`` step by step, ``evaluate`` as a whole.

B episodes run in lock-step, so that a policy is called once for all of them at each step.
``step_from`` is for recordings: it repeats single steps from recorded states.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import mujoco
import numpy as np
from scipy import special

from workbench.data import films
from workbench.data.films import Film
from workbench.data.trajectory import Trajectory
from workbench.tasks import Task, find, make


class Acting(Protocol):
    """A policy in the middle of B episodes."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return actions, (B, A) in [-1, 1], for raw observations, (B, O)."""

    def receive(self, rewards: np.ndarray) -> None:
        """Learn the rewards, (B,) raw, that the last actions earned."""


class Policy(Protocol):
    """Something that can begin B episodes; itself an immutable value: a frozen dataclass."""

    def start(self, seeds: Sequence[int]) -> Acting:
        """Begin one episode per seed."""

    def share(self, places: Sequence[int]) -> Policy:
        """Return the policy of the episodes at ``places`` of the batch.

        It is the same one where an episode depends on its seed alone, not on its place.
        """
        return self


@dataclass(frozen=True, eq=False)
class Transition:
    """One step of B episodes.

    Attributes:
        timestep: Environment time t.
        observations: Before the action, (B, O) raw.
        actions: (B, A).
        rewards: (B,); 0 for an episode that has ended.
        states: Simulator state before the action, (B, S); S is 0 where it is not known.
        alive: Whether the episode was still running at t, (B,) bool.
        pictures: What the filmed episodes showed before the action, by their place in the batch.
    """

    timestep: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    states: np.ndarray
    alive: np.ndarray
    pictures: Mapping[int, np.ndarray] = field(default_factory=dict)


def rollout(
    policy: Policy, task: Task, seeds: Sequence[int], filmed: int = 0
) -> Iterator[Transition]:
    """Run one episode per seed in lock-step until all have ended or reached the horizon.

    The seed fixes the initial state, so the same seeds compare two policies in pairs. Of the first
    ``filmed`` episodes pictures are taken, where states do not say what there is to see.
    """
    family = find(task.family)
    envs = [family.build(task.goal) for _ in seeds]
    observations = np.stack([env.reset(seed=int(s))[0] for env, s in zip(envs, seeds, strict=True)])
    acting = policy.start(seeds)
    alive = np.ones(len(envs), bool)
    for t in range(family.horizon):
        states = np.stack([env.state() for env in envs])
        actions = np.asarray(acting.act(observations), np.float32)
        pictures = {}
        if t % films.stride(family.horizon) == 0:
            for i in np.flatnonzero(alive[:filmed]).tolist():
                if (picture := envs[i].picture()) is not None:
                    pictures[i] = films.shrunk(picture)
        following, rewards, ended = observations.copy(), np.zeros(len(envs)), np.zeros_like(alive)
        running = np.flatnonzero(alive)
        stepped = type(envs[0]).step_all([envs[i] for i in running], actions[running])
        following[running], rewards[running], ended[running] = stepped
        yield Transition(t, observations, actions, rewards, states, alive, pictures)
        acting.receive(rewards)
        observations, alive = following, alive & ~ended
        if not alive.any():
            return


class After(NamedTuple):
    """What one action did to one recorded state.

    Attributes:
        observation: (O,) raw.
        reward: Of the action, in the task.
        terminated: Whether the episode ended by it.
        measured: What the reward is a function of, (M,).
        state: The following simulator state, (S,).
        stable: Whether the simulation has stayed stable so far: finite, and without MuJoCo's
            warnings of a bad position, velocity or acceleration.
    """

    observation: np.ndarray
    reward: float
    terminated: bool
    measured: np.ndarray
    state: np.ndarray
    stable: bool


_UNSTABLE = [getattr(mujoco.mjtWarning, f"mjWARN_BADQ{x}") for x in ("POS", "VEL", "ACC")]


def step_from(task: Task, states: np.ndarray, actions: np.ndarray) -> Iterator[After]:
    """Put the simulator into each recorded state and take one step from there.

    A recording can be checked in this way: the next recorded observation and the recorded reward
    should come out, whoever chose the actions.

    Args:
        task: Whose simulator and reward.
        states: (N, S) raw simulator states.
        actions: (N, A).
    """
    with contextlib.closing(make(task)) as env:
        env.reset(seed=0)
        for state, action in zip(states, actions, strict=True):
            env.put(state)
            observation, reward, terminated, _, info = env.step(action)
            after = env.state()
            warning = getattr(getattr(env, "data", None), "warning", None)
            bad = warning is not None and any(warning[kind].number for kind in _UNSTABLE)
            stable = not bad and bool(np.isfinite(after).all())
            yield After(observation, float(reward), terminated, info["measured"], after, stable)


def trajectories_of(transitions: Iterable[Transition], task: Task) -> tuple[Trajectory, ...]:
    """Fold a rollout into one trajectory per episode, float32."""
    steps = list(transitions)
    lengths = np.sum([step.alive for step in steps], 0)
    columns = {
        name: np.stack([getattr(step, name) for step in steps]).astype(np.float32)
        for name in ("observations", "actions", "rewards", "states")
    }
    states = columns.pop("states")
    found = []
    for i, n in enumerate(lengths):
        filmed = [step for step in steps if i in step.pictures]
        seen = [step.pictures[i] for step in filmed]
        every = filmed[1].timestep if len(filmed) > 1 else max(1, int(n))
        found.append(
            Trajectory(
                **{name: c[:n, i] for name, c in columns.items()},
                states=states[:n, i] if states.shape[-1] else None,
                task=task,
                film=Film.of(seen, every) if seen else None,
            )
        )
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a policy did in one task.

    Attributes:
        task: The task.
        seeds: One per episode; they fix the initial states.
        returns: Undiscounted return of each episode, (B,) raw.
        trajectories: With recorded states, of the first episodes at least.
    """

    task: Task
    seeds: tuple[int, ...]
    returns: np.ndarray
    trajectories: tuple[Trajectory, ...]

    def summary(self) -> dict[str, float]:
        """Return mean, standard deviation over episodes, and their number, as plain JSON."""
        returns = self.returns
        sd = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
        return {
            "return_mean": round(float(returns.mean()), 3),
            "return_sd": round(sd, 3),
            "episodes": len(returns),
        }


def half_width(values: np.ndarray) -> float:
    """Return half the width of the 95 % confidence interval of the mean of ``values``, (n,).

    t(0.975, n - 1) s / √n, with Student's t. Infinite for a single value: one episode says nothing
    about the spread.
    """
    n = len(values)
    if n < 2:
        return float("inf")
    # the quantile of Student's t; `scipy.stats`, which has it too, takes a second to import
    return float(special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n))


def evaluate(
    policy: Policy,
    task: Task,
    seeds: Sequence[int],
    *,
    mode: str | None = None,
    precision: str | None = None,
    workers: int = 1,
    filmed: int = 0,
) -> Evaluation:
    """Run one episode per seed and keep everything.

    Args:
        policy: Who acts.
        task: Where.
        seeds: One per episode.
        mode: Of a ``PromptedPolicy``: ``"exact"``, or ``"block"`` for screening; by default the
            policy's own.
        precision: Of a ``PromptedPolicy``: ``"fp32"`` or ``"bf16"``; by default the policy's own.
        workers: Processes that share the episodes, one thread each; 1 is this one. Episodes are
            the same but for rounding, which depends on how many act together.
        filmed: Episodes, the first ones, of which pictures are taken where states do not say what
            there is to see.

    Raises:
        ValueError: if ``workers`` is not positive, or the policy has no mode or precision.
        ChildProcessError: if a worker process was killed.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be a whole number from 1 up: got {workers}.")
    policy = _with_settings(policy, mode=mode, precision=precision)
    seeds = tuple(int(seed) for seed in seeds)
    workers = min(workers, len(seeds))
    if workers > 1:
        trajectories = _in_processes(policy, task, seeds, workers, filmed)
    else:
        trajectories = trajectories_of(rollout(policy, task, seeds, filmed), task)
    returns = np.array([t.episode_return for t in trajectories])
    return Evaluation(task, seeds, returns, trajectories)


def _with_settings(policy: Any, **wanted: str | None) -> Policy:
    wanted = {name: value for name, value in wanted.items() if value is not None}
    known = {field.name for field in dataclasses.fields(policy)}
    lacking = [name for name in wanted if name not in known]
    if lacking:
        raise ValueError(
            f"A {type(policy).__name__} has no `{lacking[0]}` to choose: leave it out. "
            "Only a policy that acts by a transformer has one."
        )
    return dataclasses.replace(policy, **wanted) if wanted else policy


def _in_processes(
    policy: Policy, task: Task, seeds: Sequence[int], workers: int, filmed: int
) -> tuple[Trajectory, ...]:
    """Give each worker neighbouring episodes, and join them in order."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=workers, batch_size=1)
    shares = [part.tolist() for part in np.array_split(np.arange(len(seeds)), workers)]
    try:
        parts = parallel(
            delayed(_episodes)(
                policy.share(share),
                task,
                [seeds[i] for i in share],
                sum(i < filmed for i in share),
            )
            for share in shares
        )
    except TerminatedWorkerError as error:
        raise ChildProcessError(
            "A worker process was killed, perhaps for want of memory. Evaluate fewer episodes "
            f"at a time, or with fewer workers than {workers}."
        ) from error
    return tuple(trajectory for part in parts for trajectory in part)


def _episodes(
    policy: Policy, task: Task, seeds: Sequence[int], filmed: int
) -> tuple[Trajectory, ...]:
    import torch

    torch.set_num_threads(1)
    return trajectories_of(rollout(policy, task, seeds, filmed), task)
