"""Making the assets of a family by simulation: behaviour policies, training data, few-shot sets.

Each ``make_…`` is one verb of the command line; ``recipes.py`` has all verbs in order. The networks
are made by the room ``pretraining``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from workbench.data.atomic_files import write_json
from workbench.data.behaviour import (
    BehaviourConfig,
    BehaviourPolicy,
    BehaviourStep,
    UniformPolicy,
    collect,
    train_behaviour,
)
from workbench.data.qualities import QUALITIES, Quality
from workbench.data.rollout import evaluate
from workbench.data.trajectory_files import header_of, load_trajectories, save_trajectories
from workbench.pretraining.prompt_dt import Pool
from workbench.shipped import assets
from workbench.tasks import Family, Script, Task, find, plugins
from workbench.tasks.splits import TEST, evaluated_tasks, pretraining_tasks, split_of

NOISE: dict[Quality, float] = {"expert": 0.3, "medium": 0.3, "random": 1.0}
"""Share of PPO's exploration noise that a quality keeps: episodes differ, at little cost."""
MEDIUM = (0.4, 0.7)
"""Normalised returns that count as medium; the snapshot nearest the middle is taken."""
FEW_SHOT = 5
"""Trajectories in a few-shot set; the paper does not say how many it has."""
USUAL_EPISODES = 20
EPISODES = {"cheetah-dir": 100, "reach": 10}
"""Training episodes per task and quality where they are not 20: few tasks, or long episodes."""
_EPISODES_EACH = 4  # of a policy in each task, to measure its return
# Standard deviations of the action noise of a hand-written expert.
_EXPERT_NOISE = 0.3
_RANDOM_NOISE = 3**-0.5  # that of uniform actions in [-1, 1]
_MEDIUM_NOISE = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


def family_return(policy_of: Callable[[Task], object], tasks: tuple[Task, ...]) -> float:
    """Return the mean return of a policy over ``tasks``, 4 episodes each."""
    results = [evaluate(policy_of(task), task, _seeds(task)).returns for task in tasks]
    return float(np.mean(results))


def _seeds(task: Task) -> range:
    """Return the 4 seeds that a policy's return is measured with.

    In a family with a script episodes begin nearly alike, so that equal seeds would give equal
    action noise and nearly equal episodes in all tasks: there each task has seeds of its own.
    """
    first = task.index * _EPISODES_EACH if find(task.family).script is not None else 0
    return range(first, first + _EPISODES_EACH)


@dataclasses.dataclass(frozen=True, eq=False)
class Graded:
    """A policy with its mean return over the training tasks, raw."""

    policy: BehaviourPolicy
    env_steps: int
    mean_return: float


def _with_noise(policy: BehaviourPolicy, quality: Quality) -> BehaviourPolicy:
    """Return the policy with the share of its action noise that a quality keeps."""
    return dataclasses.replace(policy, std=policy.std * NOISE[quality])


def pick_qualities(
    family: Family, snapshots: list[BehaviourStep]
) -> dict[Quality, tuple[Graded, float]]:
    """Choose the three behaviour policies among snapshots, each with its normalised return.

    Expert is the last snapshot, random the first (untrained), medium the one whose normalised
    return is nearest the middle of ``MEDIUM``; all measured on the training tasks.

    Raises:
        ValueError: if no snapshot is of medium quality.
    """

    def of(step: BehaviourStep, quality: Quality) -> BehaviourStep:
        return BehaviourStep(step.env_steps, _with_noise(step.policy, quality))

    between = [of(step, "medium") for step in snapshots]
    if plugins.of_family(family.name) is not None:
        # a small task may be learned between two snapshots: a noisy expert is medium as well
        between += [_noisier(snapshots[-1], by) for by in _MEDIUM_NOISE]
    return _pick(family, of(snapshots[-1], "expert"), between, of(snapshots[0], "random"))


def _noisier(step: BehaviourStep, by: float) -> BehaviourStep:
    noise = np.maximum(step.policy.std, 0.1) * by
    return BehaviourStep(step.env_steps, dataclasses.replace(step.policy, std=noise))


def noisy_script(script: Script, std: float) -> BehaviourPolicy:
    """Return a hand-written expert with Gaussian action noise of a standard deviation."""
    matrix = np.asarray(script.matrix)
    noise = np.full(matrix.shape[1], std)
    zeros, ones = np.zeros(len(matrix)), np.ones(len(matrix))
    return BehaviourPolicy(((matrix, np.asarray(script.bias)),), zeros, ones, noise)


def pick_noise(family: Family) -> dict[Quality, tuple[Graded, float]]:
    """Choose the three policies of a family whose expert is written by hand.

    Expert is the script with a little noise, medium the script with that noise whose normalised
    return is nearest the middle of ``MEDIUM``, random nothing but noise.

    Raises:
        ValueError: if no noise gives medium quality.
    """

    def noisy(std: float) -> BehaviourStep:
        return BehaviourStep(0, noisy_script(family.script, std))

    nothing = Script(0 * family.script.matrix, 0 * family.script.bias)
    untrained = BehaviourStep(0, noisy_script(nothing, _RANDOM_NOISE))
    return _pick(family, noisy(_EXPERT_NOISE), [noisy(std) for std in _MEDIUM_NOISE], untrained)


def _pick(
    family: Family, expert: BehaviourStep, between: list[BehaviourStep], untrained: BehaviourStep
) -> dict[Quality, tuple[Graded, float]]:
    tasks = family.tasks("train")

    def graded(step: BehaviourStep) -> Graded:
        mean = family_return(step.policy.given, tasks)
        return Graded(step.policy, step.env_steps, mean)

    best, lowest, candidates = graded(expert), graded(untrained), [graded(s) for s in between]
    zero = family_return(lambda _: UniformPolicy(len(family.actions)), tasks)

    if best.mean_return <= zero:
        raise ValueError(
            f"The behaviour policy learned nothing: it earns {best.mean_return:.4g}, and random "
            f"actions {zero:.4g}. Take more `--env-steps`, or other settings of PPO (in "
            "`Family.training` of a plug-in), or bring trajectories of your own, `--from-data`."
        )

    def normalised(g: Graded) -> float:
        return (g.mean_return - zero) / (best.mean_return - zero)

    medium = min(candidates, key=lambda g: abs(normalised(g) - sum(MEDIUM) / 2))
    if not MEDIUM[0] <= normalised(medium) <= MEDIUM[1]:
        raise ValueError(
            f"No candidate is of medium quality: the nearest has a normalised return of "
            f"{normalised(medium):.2f}, and it must lie in {MEDIUM}. Take more `snapshots`."
        )
    chosen = zip(QUALITIES, (best, medium, lowest), strict=True)
    return {quality: (g, normalised(g)) for quality, g in chosen}


def make_behaviour(
    family: Family, config: BehaviourConfig, seed: int, work: Path, command: str
) -> Iterator[BehaviourStep]:
    """Train the behaviour policies and ship the three qualities; yields training snapshots.

    Snapshots and a checkpoint are kept below ``work``, so that a killed run resumes. A family
    with a hand-written expert trains nothing.

    Raises:
        ValueError: if ``work`` holds a training of this family with other settings.
    """
    if family.script is not None:
        qualities = pick_noise(family)
    else:
        folder = work / f"{family.name}-{seed}"
        _keep_settings(folder, config)
        for step in train_behaviour(family, config, seed, folder):
            step.policy.save(folder / f"{step.env_steps:09d}.safetensors")
            yield step
        snapshots = [
            BehaviourStep(int(path.stem), BehaviourPolicy.load(path))
            for path in sorted(folder.glob("*.safetensors"))
        ]
        qualities = pick_qualities(family, snapshots)
    for quality, (chosen, normalised) in qualities.items():
        episodes = {
            task: evaluate(chosen.policy.given(task), task, _seeds(task)).trajectories
            for task in family.tasks("test")
        }
        test = {
            str(task.index): round(float(np.mean([t.episode_return for t in items])), 2)
            for task, items in episodes.items()
        }
        extra = {}
        if family.succeeded is not None:
            done = [family.succeeded(t.rewards) for items in episodes.values() for t in items]
            extra["success_test_tasks"] = round(float(np.mean(done)), 3)
        path = assets.policy_path(family.name, quality)
        chosen.policy.save(path, env_steps=chosen.env_steps, seed=seed)
        assets.record(
            path,
            command=command,
            seed=seed,
            env_steps=chosen.env_steps,
            normalised_return=round(normalised, 3),
            return_train_tasks=round(chosen.mean_return, 2),
            return_test_tasks=round(float(np.mean(list(test.values()))), 2),
            return_by_test_task=test,
            **extra,
        )


def _keep_settings(folder: Path, config: BehaviourConfig) -> None:
    """Write the settings beside the checkpoints, or compare them with what stands there."""
    path, wanted = folder / "settings.json", dataclasses.asdict(config)
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise ValueError(
            f"{folder} holds a training with other settings, which cannot be continued with "
            "these. Choose another `--work`, or remove the folder."
        )
    write_json(path, wanted)


def data_path(folder: Path, task: Task, quality: Quality) -> Path:
    """Where the training data of a task and quality is kept below ``folder``."""
    return folder / task.family / f"{task.index}-{quality}.safetensors"


def make_data(
    family: Family, folder: Path, episodes: int | None, seed: int
) -> Iterator[tuple[Task, Quality, float]]:
    """Collect the training data, one file per training task and quality.

    A file that holds as many episodes of the same policy is left as it is.

    Args:
        family: The family.
        folder: Where the files go.
        episodes: Per task and quality; None for what the shipped models were trained on.
        seed: Seed of everything.

    Yields:
        Task, quality and mean return of each file as it is written.
    """
    episodes = EPISODES.get(family.name, USUAL_EPISODES) if episodes is None else episodes
    for number, quality in enumerate(QUALITIES):
        policy = assets.behaviour(family.name, quality)
        made_by = {
            "quality": quality,
            "policy": assets.sha256(assets.policy_path(family.name, quality))[:16],
            "seed": seed,
            "episodes": episodes,
        }
        for task in family.tasks("train"):
            path = data_path(folder, task, quality)
            if not made_by.items() <= header_of(path).items():
                # of its own for every file, and below those of `make_demos`
                unique = 1 + (seed * len(QUALITIES) + number) * len(family.goals) + task.index
                save_trajectories(path, collect(policy, task, episodes, unique), **made_by)
            mean = np.mean([t.episode_return for t in load_trajectories(path)])
            yield task, quality, float(mean)


def load_pool(
    family: Family,
    folder: Path,
    qualities: tuple[Quality, ...] = QUALITIES,
    split: str = TEST,
) -> Pool:
    """Load the training data that ``collect`` wrote, of the tasks that a split trains on.

    Raises:
        ValueError: if a file is missing, naming the command that makes it.
    """
    tasks = pretraining_tasks(family, split)
    paths = {(t, q): data_path(folder, t, q) for t in tasks for q in qualities}
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(paths)} training files are missing below {folder}, "
            f"such as {missing[0].name}. Make them: `python -m workbench collect {family.name}`."
        )
    return Pool((q, load_trajectories(path)) for (_, q), path in paths.items())


def make_demos(
    family: Family, seed: int, command: str, split: str = TEST
) -> Iterator[tuple[Task, Quality, float]]:
    """Collect the few-shot sets, 5 trajectories per evaluated task and quality; most ship."""
    wanted = QUALITIES if split == TEST else split_of(family, split).qualities
    for number, quality in enumerate(QUALITIES):
        if quality not in wanted:
            continue
        policy = assets.behaviour(family.name, quality)
        for task in evaluated_tasks(family, split):
            unique = 50_000 + (seed * len(QUALITIES) + number) * len(family.goals) + task.index
            items = collect(policy, task, FEW_SHOT, unique, filmed=FEW_SHOT)
            path = assets.demos_path(task, quality, split)
            save_trajectories(path, items, quality=quality)
            mean = float(np.mean([t.episode_return for t in items]))
            if assets.holding(path) is not None:
                assets.record(path, command=command, seed=seed, return_mean=round(mean, 2))
            yield task, quality, mean
