"""The verb that lists the tasks; without torch, so that it answers at once."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result
from workbench.data.qualities import QUALITIES
from workbench.shipped import assets
from workbench.tasks import FAMILIES, Family, Task, find

NETWORKS = (
    *("prompt-dt", "multi-game-dt", "harmodt", "gato"),
    *("mt-orl", "diffuser", "vae", "gan", "informed", "hyper", "critic"),
)
"""The names of ``workbench.shipped.networks.NETWORKS``, which needs torch."""


def tasks(
    families: Positional[
        Annotated[tuple[str, ...], arg(help="Task families; a line for each if left out.")]
    ] = (),
    as_json: Json = False,
) -> None:
    """List the task families, or every task of some: goal, split, few-shot sets that ship.

    A family is a robot and a kind of wish, a task one goal of it. The transformer learns from the
    training tasks; the test tasks are what it is adapted to.
    """
    known = [find(name) for name in families or FAMILIES]
    if as_json:
        print_result([_plain(family) for family in known], True)
        return
    if not families:
        print_result(pd.DataFrame(map(_line, known)), False)
        print("\nThe tasks of one: python -m workbench tasks cheetah-vel")
        return
    for family in known:
        networks = ", ".join(_networks(family)) or "none"
        print(f"{family.name}: {family.label}, {family.hint}".rstrip(", "))
        print(f"networks that ship: {networks}\n")
        print_result(pd.DataFrame(_row(family, task) for task in _tasks(family)), False)
        print()


def _tasks(family: Family) -> list[Task]:
    """Return every task once; one that is in both splits, as in Cheetah-dir, as a test task."""
    both = [*family.tasks("test"), *family.tasks("train")]
    return sorted({task.index: task for task in reversed(both)}.values(), key=lambda t: t.index)


def _splits(family: Family, task: Task) -> list[str]:
    indices = {"train": family.train_indices, "test": family.test_indices}
    return [split for split, own in indices.items() if task.index in own]


def _networks(family: Family) -> list[str]:
    return [name for name in NETWORKS if assets.pretrained_path(family.name, name).exists()]


def _few_shot(task: Task) -> list[str]:
    return [q for q in QUALITIES if assets.demos_path(task, q).exists()]


def _line(family: Family) -> dict[str, object]:
    return {
        "family": family.name,
        "robot": family.label,
        "goal": _goal(family),
        "training tasks": len(family.train_indices),
        "test tasks": len(family.test_indices),
        "steps": family.horizon,
        "networks that ship": ", ".join(_networks(family)) or "–",
    }


def _goal(family: Family) -> str:
    return f"{family.goal_label} [{family.goal_unit}]" if family.goal_unit else family.goal_label


def _row(family: Family, task: Task) -> dict[str, object]:
    return {
        "task": task.index,
        _goal(family): ", ".join(f"{g:.4g}" for g in task.goal),
        "split": " and ".join(_splits(family, task)),
        "few-shot sets that ship": ", ".join(_few_shot(task)) or "–",
    }


def _plain(family: Family) -> dict[str, object]:
    return {
        "family": family.name,
        "label": family.label,
        "goal_label": family.goal_label,
        "goal_unit": family.goal_unit,
        "horizon": family.horizon,
        "observations": len(family.observations),
        "actions": len(family.actions),
        "networks": _networks(family),
        "tasks": [
            {
                "task": task.index,
                "goal": list(task.goal),
                "splits": _splits(family, task),
                "few_shot": _few_shot(task),
            }
            for task in _tasks(family)
        ],
    }
