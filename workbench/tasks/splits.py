"""Other splits of a family's tasks than the published one: for choosing settings, and for asking
what a model does far from what it was trained on.

The published split is called ``"test"``. In every other split a model is pretrained without some
of the *training* tasks, and those, or some of them, are what is adapted to.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.tasks import Family, Task, did_you_mean, find

TEST = "test"


@dataclass(frozen=True)
class HeldBack:
    """The training tasks that one split holds back in one family.

    Attributes:
        tasks: Training tasks that nothing is pretrained on.
        evaluated: Those of them that are adapted to.
        qualities: Of their few-shot sets.
    """

    tasks: tuple[int, ...]
    evaluated: tuple[int, ...]
    qualities: tuple[str, ...] = ("expert", "medium", "random")


def _all_evaluated(*tasks: int) -> HeldBack:
    return HeldBack(tasks, tasks)


def _trained_on(family: str, tasks: tuple[int, ...], evaluated: tuple[int, ...]) -> HeldBack:
    """Hold back all training tasks but some."""
    held_back = tuple(i for i in find(family).train_indices if i not in tasks)
    return HeldBack(held_back, evaluated, ("expert",))


SPLITS: dict[str, dict[str, HeldBack]] = {
    "validation": {
        "cheetah-vel": _all_evaluated(5, 12, 19, 29, 35),
        "ant-dir": _all_evaluated(7, 15, 21, 31, 44),
        "reach": _all_evaluated(1, 11, 21, 31, 41),
    },
    # As published: eight training tasks, two test tasks below their range and one above. They walk
    # at 69 to 236 degrees, some 25 apart; the three at 24, 43 and 268, which is 26 to 45 from any.
    "out-of-distribution": {
        "ant-dir": _trained_on("ant-dir", (0, 27, 7, 22, 16, 14, 15, 3), (1, 35, 43)),
    },
}
"""``validation``: settings are chosen there, never on test tasks. Cheetah-dir has none: its two
tasks are both the training and the test tasks. ``out-of-distribution``: table 3."""
NAMES = (TEST, *SPLITS)


def split_of(family: Family, name: str) -> HeldBack:
    """Return what a split other than the published one holds back.

    Raises:
        ValueError: if there is no such split, or the family has none of that name.
    """
    if name not in SPLITS:
        raise ValueError(f"There is no split {name!r}.{did_you_mean(name, list(NAMES))}")
    if family.name not in SPLITS[name]:
        has = ", ".join(SPLITS[name])
        raise ValueError(f"{family.name} has no {name} split; these families have: {has}.")
    return SPLITS[name][family.name]


def evaluated_tasks(family: Family, name: str = TEST) -> tuple[Task, ...]:
    """Return the tasks that a split adapts to and evaluates."""
    if name == TEST:
        return family.tasks("test")
    return tuple(family.task(i) for i in split_of(family, name).evaluated)


def pretraining_tasks(family: Family, name: str = TEST) -> tuple[Task, ...]:
    """Return the tasks that a split's models are pretrained on."""
    if name == TEST:
        return family.tasks("train")
    held_back = split_of(family, name).tasks
    return tuple(t for t in family.tasks("train") if t.index not in held_back)
