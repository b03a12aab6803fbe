"""Links from page to page: what an address must say to show certain runs."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlencode

from workbench import assets
from workbench.pages.controls import GUIDANCE, LAMBDAS, SHARED
from workbench.presets import CHOSEN, method_label
from workbench.splits import TEST
from workbench.tasks import find
from workbench.tune import RunSpec
from workbench.views import goal_words


def explore_params(first: RunSpec, second: RunSpec | None = None) -> dict[str, str]:
    """Return what the first page's address must say to show one run, or two beside each other.

    The page evaluates more often and fewer episodes than the tables: it opens the same settings.

    Args:
        first: What stands in A; alone, it stands in B and its untuned prompt in A.
        second: What stands in B, of the same task and seed.
    """
    a, b = (first.untuned, first) if second is None else (first, second)
    task = find(b.family).task(b.task)
    params = {
        "robot": find(b.family).label,
        f"{b.family}-task": goal_words(task),
        "quality": b.quality,
        "seed": str(b.seed),
        "updates": str(_slider(b) or _slider(a) or 100),
    }
    for name, spec in (("a", a), ("b", b)):
        params[f"{name}-method"] = method_label(spec.method)
        params[f"{name}-data"] = spec.quality if spec.quality != b.quality else SHARED
        settings = spec.canonical["settings"]
        if "guidance" in settings:
            params[f"{name}-lam"] = f"{settings['lam']:g}"
            params[f"{name}-projection"] = settings["projection"]
            params[f"{name}-guidance"] = GUIDANCE[settings["guidance"]]
    return params


def _slider(spec: RunSpec) -> int:
    """Return where the slider of updates stands: it counts those of a method that takes 100."""
    usual = CHOSEN[spec.method][1] if spec.method in CHOSEN else 0
    return spec.updates * 100 // usual if usual else 0


def explore_url(first: RunSpec, second: RunSpec | None = None) -> str:
    """Return the address of the first page for ``explore_params``, from any page."""
    return f"./?{urlencode(explore_params(first, second))}"


def can_explore(spec: RunSpec) -> bool:
    """Return whether the first page has the controls to show a run like this."""
    settings = spec.canonical["settings"]
    return (
        spec.split == TEST
        and not spec.prompts
        and assets.other_task(spec.quality) is None
        and spec.method in CHOSEN
        and (not CHOSEN[spec.method][1] or _slider(spec) in range(50, 501, 50))
        and settings.get("lam", 1.0) in LAMBDAS
        and settings == _usual(spec).canonical["settings"]
    )


def _usual(spec: RunSpec) -> RunSpec:
    """Return the run with what the tables choose for its method, guided as it is."""
    settings, guided = dict(CHOSEN[spec.method][0]), spec.canonical["settings"]
    settings |= {n: guided[n] for n in ("lam", "projection", "guidance") if n in guided}
    return dataclasses.replace(spec, settings=settings)


def runs_params(*cell: str) -> dict[str, str]:
    """Return what the address of the page of runs must say to show the runs of a cell alone."""
    return {"cell": "|".join(cell)}


def runs_url(*cell: str) -> str:
    """Return the address of the page of runs for ``runs_params``, from any page."""
    return f"./runs?{urlencode(runs_params(*cell))}"
