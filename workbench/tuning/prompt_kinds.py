"""What the prompt does: the same frozen model under right, poor, wrong and no prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from workbench.data import own_sets
from workbench.data.qualities import QUALITIES
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Segment, Trajectories, Trajectory
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.models import PROMPT_DT, model_named
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import Family, Task
from workbench.tuning.loop import EVALUATION_SEED

PROMPTS = (*QUALITIES, "wrong-task", "none")
"""Kinds of prompt: demonstrations of a quality, expert ones of the other test tasks, none."""


def draw(family: Family, task: Task, kind: str, n: int, length: int, seed: int) -> Segment:
    """Draw ``n`` prompts of a kind for ``task`` from few-shot sets.

    Args:
        family: The task's family.
        task: A test task.
        kind: One of ``PROMPTS``, or ``own:<name>``. ``wrong-task`` takes the other test tasks in
            turn.
        n: How many prompts.
        length: K*.
        seed: Seed of the positions.
    """
    if kind == "none":
        return Segment.empty(family)
    sets = _sets(family, task, kind)
    data = Trajectories([sets[i % len(sets)][i % len(sets[0])] for i in range(n)])
    index, rng = np.arange(n), np.random.default_rng(seed)
    return data.segments(index, data.starts(rng, index, length, whole=True), length)


def _sets(family: Family, task: Task, kind: str) -> list[tuple[Trajectory, ...]]:
    """Return the few-shot sets that prompts of a kind are cut from."""
    if kind != "wrong-task":
        return [assets.demos(task, kind)]
    others = [other for other in family.tasks("test") if other != task]
    return [assets.demos(other, "expert") for other in others]


def told(model: FrozenModel, family: Family, task: Task, kind: str) -> FrozenModel:
    """Return the model as the data behind a kind of prompt make it; as it is, where there are none.

    A model that chooses by few-shot data what it is in a task is misled by another task's.
    """
    if kind == "none":
        return model
    return model.for_task([demo for demos in _sets(family, task, kind) for demo in demos])


def cells(
    family: Family, kinds: Sequence[str] = PROMPTS, tasks: Sequence[int] = ()
) -> list[tuple[Task, str]]:
    """Return what ``compare_prompts`` evaluates: every task under every kind that it has.

    Args:
        family: The family.
        kinds: Kinds of prompt: those of ``PROMPTS``, and ``own:<name>`` for a set of one's own,
            on the tasks that it was saved for.
        tasks: Indices of test tasks; all if empty.

    Raises:
        ValueError: if a kind or test task is none, or a set of one's own has none of the tasks.
    """
    known = family.tasks("test")
    chosen = [task for task in known if not tasks or task.index in tasks]
    unknown = set(tasks) - {task.index for task in known}
    if unknown:
        raise ValueError(
            f"`tasks` must be test tasks of {family.name}, {list(family.test_indices)}: "
            f"got {sorted(unknown)}."
        )
    for kind in kinds:
        if own_sets.name_of(kind) is None and kind not in PROMPTS:
            raise ValueError(
                f"`kinds` must be of {', '.join(PROMPTS)} or {own_sets.PREFIX}NAME: got {kind!r}."
            )
        name = own_sets.name_of(kind)
        if name and not any(kind in own_sets.qualities(task) for task in chosen):
            own_sets.load(chosen[0], name)  # says what there is and how to import
    return [
        (task, kind)
        for task in chosen
        for kind in kinds
        if own_sets.name_of(kind) is None or kind in own_sets.qualities(task)
    ]


def compare_prompts(
    family: Family,
    episodes: int,
    n_prompts: int,
    seed: int,
    kinds: Sequence[str] = PROMPTS,
    tasks: Sequence[int] = (),
    model: str = PROMPT_DT,
) -> Iterator[dict[str, object]]:
    """Evaluate the shipped model on test tasks under kinds of prompt.

    Args:
        family: The family.
        episodes: Per prompt.
        n_prompts: Per task and kind.
        seed: Seed of the prompts; the episodes are the evaluation's.
        kinds: See ``cells``.
        tasks: See ``cells``.
        model: Which; key of ``MODELS``.

    Yields:
        ``{task, goal, prompt, return_mean, return_sd, episodes}``, one for each of ``cells``;
        ``success``, a share of episodes, where the family has the notion.
    """
    todo = cells(family, kinds, tasks)
    model_named(model)
    loaded = load_model(family.name, name=model)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes * n_prompts)
    for task, kind in todo:
        prompt = draw(family, task, kind, n_prompts, loaded.config.prompt_length, seed)
        acting = told(loaded, family, task, kind)
        evaluation = evaluate(PromptedPolicy(acting, prompt), task, seeds)
        row = {"task": task.index, "goal": list(task.goal), "prompt": kind}
        row |= evaluation.summary()
        if family.succeeded is not None:
            done = [bool(family.succeeded(t.rewards)) for t in evaluation.trajectories]
            row["success"] = round(float(np.mean(done)), 3)
        yield row
