"""How soon a prompt is useful: return over seconds, by method, from any few-shot data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tests.benchmarks.growth import Point
from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.tuning.loop import run
from workbench.tuning.presets import CHOSEN, chosen

FAMILY, TASK, SEED, EPISODES = "cheetah-vel", 2, 0, 10
KEYS = (
    "informed-diffuser",
    "soft-prompt",
    "prompt-tuning-dt",
    "prompt-dt-ft",
    "prompt-diffuser",
)
"""Of ``CHOSEN``: each takes the updates that the tables give it."""
EVALUATIONS = 8
USEFUL = "within 10 % of the expert prompt"
AT_ONCE = 0.01
"""Seconds that stand for none at all: about what it takes to draw prompts, and the axis is
logarithmic."""


def axis(quality: str) -> str:
    """Return what the panel of a quality is called."""
    return f"seconds, from {quality} data"


def approach(keys: tuple[str, ...] = KEYS) -> Iterator[Point]:
    """Tune in an unseen task, and evaluate on the way; warm, and without the evaluations' time."""
    (expert,) = run(_spec("prompt-dt", "expert", 0))
    level = float(expert.evaluation.returns.mean())
    for quality in QUALITIES:
        last = AT_ONCE
        for key in keys:
            seconds = 0.0
            for step in run(_spec(key, quality, CHOSEN[key][1])):
                seconds += step.seconds
                if step.evaluation is not None:
                    mean = float(step.evaluation.returns.mean())
                    label = METHODS[key].label
                    yield Point(axis(quality), label, max(seconds, AT_ONCE), mean, "return")
            last = max(last, seconds)
        for end in (AT_ONCE, last):
            yield Point(axis(quality), USEFUL, end, level - 0.1 * abs(level), "return")


def _spec(key: str, quality: str, updates: int):
    spec = chosen(key, FAMILY, TASK, quality=quality, seed=SEED)
    every = max(1, updates // EVALUATIONS)
    return dataclasses.replace(spec, eval_every=every if updates else 0, episodes=EPISODES)


PARTS = (approach,)
