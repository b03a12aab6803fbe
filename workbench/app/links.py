"""Addresses: what one must say to show runs, and what is said of one that asks for too much."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Hashable, Mapping
from urllib.parse import urlencode

import streamlit as st

from workbench.app.controls import GUIDANCE, SHARED, methods_of
from workbench.app.data_sets import plain
from workbench.app.families import with_models
from workbench.data import own_sets as own
from workbench.data.qualities import QUALITIES
from workbench.methods.projection import MODES
from workbench.shipped import files as assets
from workbench.tasks import find
from workbench.tasks.splits import TEST
from workbench.tuning.presets import CHOSEN, LAMBDAS, first_task, method_label
from workbench.tuning.spec import RunSpec
from workbench.viewing.scene.appearance import goal_words

VIEWS = ("Losses", "Conflict", "Per layer", "In the plane")
"""Of the gradients, in the order of their tabs."""


Offers = Mapping[str, tuple[str, Container[str]]]
"""Of each parameter of an address what it is, and what it may say."""


def broken_choices(offers: Offers) -> list[str]:
    """Return what of the address cannot be had, such as ``robot “Dog”``.

    To be called before the controls are drawn: each of them drops what it does not know.
    """
    return [
        f"{words} “{value[:60]}”"
        for name, (words, offered) in offers.items()
        for value in st.query_params.get_all(name)
        if value not in offered
    ]


def show_broken(page: str, broken: list[str], chosen: Hashable) -> None:
    """Say what a link could not have, until the reader chooses something else.

    Args:
        page: Name of the page.
        broken: Of ``broken_choices``.
        chosen: What the page shows now.
    """
    key = f"{page}-broken"
    if broken:
        st.session_state[key] = (broken, chosen)
    notes, then = st.session_state.get(key, ([], chosen))
    if then == chosen and notes:
        st.warning(
            f"The link asks for what is not offered here: {plain('; '.join(notes))}. "
            "The usual choice stands in its place.",
            icon=":material/link_off:",
        )


def explore_offers() -> Offers:
    """Return what the addresses of the first page may say."""
    labels = with_models()
    family = labels.get(st.query_params.get("robot", ""), next(iter(labels.values())))
    tasks = {goal_words(task): task for task in family.tasks("test")}
    task = tasks.get(st.query_params.get(f"{family.name}-task", ""))
    sets = (*QUALITIES, *own.qualities(task or family.task(first_task(family.name))))
    offers = {
        "robot": ("robot", labels),
        f"{family.name}-task": ("task", tasks),
        "quality": ("data", sets),
        "updates": ("updates", [str(n) for n in range(50, 501)]),
        "seed": ("seed", [str(n) for n in range(10_000)]),
        "view": ("view", VIEWS),
    }
    methods = [method_label(method) for method in methods_of(family)[0]]
    for side in "ab":
        of = f"of {side.upper()}"
        offers |= {
            f"{side}-method": (f"method {of}", methods),
            f"{side}-lam": (f"λ {of}", [f"{v:g}" for v in LAMBDAS]),
            f"{side}-projection": (f"projection {of}", MODES),
            f"{side}-guidance": (f"guidance {of}", tuple(GUIDANCE.values())),
            f"{side}-data": (f"data {of}", (SHARED, *sets)),
        }
    return offers


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
