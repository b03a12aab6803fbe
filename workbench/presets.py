"""Runs with a name."""

from __future__ import annotations

from workbench.behaviour import QUALITIES
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


RECORDED: dict[str, tuple[RunSpec, ...]] = {
    "cheetah-vel": tuple(first_look("cheetah-vel", 7, quality) for quality in QUALITIES)
}
"""Runs that ship with their baselines, so that no page is ever empty."""
