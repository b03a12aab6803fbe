"""What the prompt does: the same frozen model under right, poor, wrong and no prompts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from workbench import assets
from workbench.behaviour import QUALITIES
from workbench.model import PromptedPolicy
from workbench.rollout import evaluate
from workbench.tasks import Family, Task
from workbench.trajectory import Segment, Trajectories
from workbench.tune import EVALUATION_SEED, load_model

PROMPTS = (*QUALITIES, "wrong-task", "none")
"""Kinds of prompt: demonstrations of a quality, expert ones of the other test tasks, none."""


def draw(family: Family, task: Task, kind: str, n: int, length: int, seed: int) -> Segment:
    """Draw ``n`` prompts of a kind for ``task`` from the shipped few-shot sets.

    Args:
        family: The task's family.
        task: A test task.
        kind: One of ``PROMPTS``. ``wrong-task`` takes the other test tasks in turn.
        n: How many prompts.
        length: K*.
        seed: Seed of the positions.
    """
    if kind == "none":
        return Segment.empty(family)
    sources = [task]
    if kind == "wrong-task":
        sources = [other for other in family.tasks("test") if other != task]
    quality = "expert" if kind == "wrong-task" else kind
    sets = [assets.demos(source, quality) for source in sources]
    data = Trajectories([sets[i % len(sets)][i % len(sets[0])] for i in range(n)])
    index, rng = np.arange(n), np.random.default_rng(seed)
    return data.segments(index, data.starts(rng, index, length, whole=True), length)


def compare_prompts(
    family: Family, episodes: int, n_prompts: int, seed: int
) -> Iterator[dict[str, object]]:
    """Evaluate the shipped model on every test task under every kind of prompt.

    Args:
        family: The family.
        episodes: Per prompt.
        n_prompts: Per task and kind.
        seed: Seed of the prompts; the episodes are the evaluation's.

    Yields:
        ``{task, goal, prompt, return_mean, return_sd, episodes}``.
    """
    model = load_model(family.name)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes * n_prompts)
    for task in family.tasks("test"):
        for kind in PROMPTS:
            prompt = draw(family, task, kind, n_prompts, model.config.prompt_length, seed)
            result = evaluate(PromptedPolicy(model, prompt), task, seeds).summary()
            yield {"task": task.index, "goal": task.goal[0], "prompt": kind, **result}
