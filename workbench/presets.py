"""Runs with a name."""

from __future__ import annotations

from workbench.behaviour import QUALITIES
from workbench.tasks import FAMILIES, find
from workbench.tune import RunSpec

LIVE_EPISODES = 10
"""Episodes per evaluation in a live view; the tables use more."""


def first_look(family: str, task: int, quality: str = "medium") -> RunSpec:
    """Return what the first page asks for at first: λ = 1 as published, our default projection."""
    return RunSpec(
        family,
        task,
        quality,
        settings={"lam": 1.0, "projection": "subspace"},
        updates=200,
        seed=0,
        episodes=LIVE_EPISODES,
    )


_FIRST_TASK = {"cheetah-vel": 7}


def first_task(family: str) -> int:
    """Return the test task that a page shows first: the first one, or a telling one."""
    return _FIRST_TASK.get(family, find(family).test_indices[0])


RECORDED: dict[str, tuple[RunSpec, ...]] = {
    name: tuple(first_look(name, first_task(name), quality) for quality in QUALITIES)
    for name in FAMILIES
}
"""Runs that ship with their baselines, so that no page is ever empty."""
