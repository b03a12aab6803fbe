"""Verbs that list what there is: tasks and methods."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
import torch
from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result
from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.paper.settings_search import CANDIDATES
from workbench.shipped import assets
from workbench.shipped.networks import NETWORKS, load_model, load_network
from workbench.tasks import FAMILIES, Family, Task, find
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import plain_settings


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
        "goal": f"{family.goal_label} [{family.goal_unit}]",
        "training tasks": len(family.train_indices),
        "test tasks": len(family.test_indices),
        "steps": family.horizon,
        "networks that ship": ", ".join(_networks(family)) or "–",
    }


def _row(family: Family, task: Task) -> dict[str, object]:
    return {
        "task": task.index,
        f"{family.goal_label} [{family.goal_unit}]": ", ".join(f"{g:.4g}" for g in task.goal),
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


def methods(
    family: Annotated[str, arg(help="Task family whose networks are counted.")] = "cheetah-vel",
    as_json: Json = False,
) -> None:
    """List every way of adapting: what it trains, its settings, and which of them are published.

    Counts are of FAMILY's shipped networks. `tables`: what the tables run, chosen on tasks that
    nothing was pretrained on (`table search`).
    """
    rows = [_row_methods(name, family) for name in METHODS]
    if as_json:
        print_result(rows, True)
        return
    table = pd.DataFrame(rows)
    table["trainable"] = [
        f"{r['trainable']:,} ({r['percent']:.3g} %)" if r["trainable"] else "–" for r in rows
    ]
    print_result(table[["method", "label", "learns_from", "trainable"]], False)
    for row in rows:
        print(f"\n{row['method']}: {row['label']}")
        for what in ("published", "ours", "tables"):
            text = ", ".join(f"{n} {v}" for n, v in row[what].items()) or "–"
            print(f"  {what:<10}{text}")
        print(f"  {'searched':<10}{row['candidates']} candidates")


def _row_methods(name: str, family: str) -> dict[str, object]:
    kind, model = METHODS[name], load_model(family)
    settings = plain_settings(kind())
    chosen, updates = CHOSEN[name]
    task = find(family).tasks("test")[0]
    try:
        networks = {f: load_network(family, n) for f, n in kind.needs.items()}
        learner = kind(**chosen, **networks).start(
            model, assets.demos(task, "expert"), torch.Generator().manual_seed(0)
        )
        trainable = learner.n_trainable
    except ValueError:  # a network that does not ship for this family
        trainable = None
    return {
        "method": name,
        "label": kind.label,
        "learns_from": {"none": "nothing", "few-shot": "5 trajectories", "full": "all data"}[
            kind.data
        ],
        "trainable": trainable,
        "percent": None if trainable is None else 100 * trainable / model.n_parameters,
        "published": {n: v for n, v in settings.items() if n in kind.published},
        "ours": {n: v for n, v in settings.items() if n not in kind.published},
        "tables": {**chosen, "updates": updates},
        "candidates": len(CANDIDATES.get(name, ())),
    }
