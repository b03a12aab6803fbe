"""What a link asks for and cannot have: said before the controls forget it."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping

import streamlit as st

from workbench import own
from workbench.behaviour import QUALITIES
from workbench.pages.controls import GUIDANCE, LAMBDAS, SHARED, methods_of
from workbench.pages.families import with_models
from workbench.pages.sets import plain
from workbench.presets import first_task, method_label
from workbench.projection import MODES
from workbench.views import goal_words

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
