"""Addresses (URLs) of the pages: how one is made that shows certain runs, and broken ones.

Everything a reader chooses stands in the address, so that a link opens the same view. The names of
the options are what a link holds; those that this module writes itself stand here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Container, Hashable, Mapping
from urllib.parse import parse_qsl, urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.navigation.page import StreamlitPage

from workbench.app.page import plain
from workbench.networks.models import PROMPT_DT
from workbench.networks.variants import VARIANTS
from workbench.shipped import assets
from workbench.tasks import FAMILIES, Task, find
from workbench.tasks.splits import TEST
from workbench.tuning.presets import CHOSEN, LAMBDAS, live_updates, method_label
from workbench.tuning.spec import RunSpec
from workbench.viewing.scene.appearance import goal_words

GUIDANCE = {
    "both": "both losses",
    "diffusion": "diffusion loss alone",
    "downstream": "downstream loss alone",
    "q-regularised": "both losses and the critic",
    "diffusion-ql": "diffusion loss and the critic",
}
"""Guidance of Prompt Diffuser → the name of the option."""
SHARED = "shared"
"""The option of a column's data that stands for the data that both columns share."""
VIEWS = ("Losses", "Conflict", "Per layer", "In the plane")
"""The tabs of the gradients, in order."""
Offers = Mapping[str, tuple[str, Container[str]]]
"""Parameter of an address → what it is called in words, and which values it may have."""
_STREAMLITS = {"embed", "embed_options"}
_FORMERLY = re.compile(
    r"(?:ablate|runs|data)-(robot|data|seeds|lam|projection|method|columns|tab|.+-task)"
)


class _Anything:
    """All values there are: what a text or a number of a link may be."""

    def __contains__(self, value: object) -> bool:
        """Whether a value is offered: always."""
        return True


ANYTHING: Container[str] = _Anything()
"""Values of a parameter that is free: a search, or what only the page itself writes."""


def renamed(query: str) -> str:
    """Return the query of an address with today's names of its parameters.

    Once a setting had a name of its own on each page, such as ``ablate-data`` and ``quality`` for
    ``data``: links of then open the same view.

    Args:
        query: What stands behind the ``?``.
    """
    once = {"quality": "data", "compared-by": "by", "ablate-answers": "all-data"}
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [(m[1] if (m := _FORMERLY.fullmatch(n)) else once.get(n, n)) for n, _ in pairs]
    if names == [name for name, _ in pairs]:
        return query
    return urlencode([(name, value) for name, (_, value) in zip(names, pairs, strict=True)])


def keep_apart(page: str) -> None:
    """Give each page its own values of the parameters that several pages have.

    To be called before a page is drawn. Streamlit hands the value of a control on to that of the
    same name on the next page, whatever is offered there; here each page finds its own again.

    Args:
        page: Its name.
    """
    state = st.session_state
    left, kept = state.get("page-seen"), state.setdefault("of-pages", {})
    state["page-seen"] = page
    if left in (None, page):
        return
    kept[left] = {name: state[name] for name in _shared() if name in state}
    for name in kept[left]:
        del state[name]
    for name, value in kept.get(page, {}).items():
        if name not in st.query_params:
            state[name] = value
    for name, value in state.pop("led-to", {}).items():
        state[name] = value
        with contextlib.suppress(StreamlitAPIException):  # a control of the page before has it yet
            st.query_params[name] = value


def lead_to(page: StreamlitPage, params: Mapping[str, str]) -> None:
    """Switch to another page with some of its controls set.

    Streamlit sets no parameter of an address that a control of the present page is bound to, so
    those that several pages have are left for ``keep_apart`` to set on the other one.

    Args:
        page: Where to.
        params: As its address would say it.
    """
    here = {name: value for name, value in params.items() if name in _shared()}
    st.session_state["led-to"] = here
    rest = {name: value for name, value in params.items() if name not in here}
    st.switch_page(page, query_params=rest)


def _shared() -> tuple[str, ...]:
    """Return the parameters that several pages have."""
    return ("robot", "data", "view", *(f"{family}-task" for family in FAMILIES))


def broken_choices(offers: Offers) -> list[str]:
    """Return what in the address is not offered, such as ``robot “Dog”``: values and parameters.

    To be called before the controls are drawn: a control silently drops what it does not know.

    Args:
        offers: What the page offers.
    """
    values = [
        f"{words} “{value[:60]}”"
        for name, (words, offered) in offers.items()
        for value in st.query_params.get_all(name)
        if value not in offered
    ]
    # what is of another robot than the one that is shown stays in an address, and means nothing
    others = tuple(f"{family}-" for family in FAMILIES)
    unknown = []
    for name in st.query_params:
        if name in offers or name in _STREAMLITS or name.startswith(others):
            continue
        near = difflib.get_close_matches(name, offers, 1)
        unknown.append(
            f"parameter “{name[:60]}”" + (f" (did you mean “{near[0]}”?)" if near else "")
        )
    return values + unknown


def show_broken(page: str, broken: list[str], chosen: Hashable) -> None:
    """Say which values of a link are not offered, until the reader chooses something else.

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


def task_params(task: Task, quality: str) -> dict[str, str]:
    """Return what the first page's address must say to show a task with certain data."""
    return {
        "robot": find(task.family).label,
        f"{task.family}-task": goal_words(task),
        "data": quality,
    }


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
        **task_params(task, b.quality),
        "seed": str(b.seed),
        "updates": str(_slider(b) or _slider(a) or 100),
    }
    for name, spec in (("a", a), ("b", b)):
        params[f"{name}-method"] = method_label(spec.method)
        params[f"{name}-data"] = spec.quality if spec.quality != b.quality else SHARED
        settings = spec.asked["settings"]
        if "guidance" in settings:
            params[f"{name}-lam"] = f"{settings['lam']:g}"
            params[f"{name}-projection"] = settings["projection"]
            params[f"{name}-guidance"] = GUIDANCE[settings["guidance"]]
        if spec.variant:
            params[f"{name}-pretrained"] = pretrainings(b.family)[spec.variant]
    return params


def pretrainings(family: str) -> dict[str, str]:
    """Return how the diffusers of a family that are here were pretrained: variant → option."""
    found = {"": "as published"}
    for name, known in VARIANTS.items():
        path = assets.pretrained_path(family, "diffuser", variant=name)
        if not (known.changes("diffuser") and path.exists()):
            continue
        if known.prompt_qualities is not None:
            found[name] = f"from {' and '.join(known.prompt_qualities)} prompts alone"
        elif known.lam is not None:
            how = "plain sum" if known.projection == "none" else "projected"
            found[name] = f"with λ = {known.lam:g}, {how}" if known.lam else "without guidance"
    return found


def _slider(spec: RunSpec) -> int:
    """Return where the slider of updates stands for a run.

    The slider counts updates of a method that usually takes 100 or more; those of others are in
    proportion.
    """
    usual = live_updates(spec.method)
    return spec.updates * 100 // usual if usual else 0


def explore_url(first: RunSpec, second: RunSpec | None = None) -> str:
    """Return the address of the first page for ``explore_params``, from any page."""
    return f"./?{urlencode(explore_params(first, second))}"


def can_explore(spec: RunSpec) -> bool:
    """Return whether the first page has the controls to show a run like this."""
    settings = spec.asked["settings"]
    return (
        spec.split == TEST
        and spec.model == PROMPT_DT
        and (not spec.variant or spec.variant in pretrainings(spec.family))
        and not spec.prompts
        and assets.other_task(spec.quality) is None
        and (not CHOSEN[spec.method][1] or _slider(spec) in range(50, 501, 50))
        and settings.get("lam", 1.0) in LAMBDAS
        and settings == _usual(spec).asked["settings"]
    )


def _usual(spec: RunSpec) -> RunSpec:
    """Return the run with what the tables choose for its method, guided as it is."""
    settings, guided = dict(CHOSEN[spec.method][0]), spec.asked["settings"]
    settings |= {n: guided[n] for n in ("lam", "projection", "guidance") if n in guided}
    return dataclasses.replace(spec, settings=settings)


def runs_params(*cell: str) -> dict[str, str]:
    """Return what the address of the page of runs must say to show the runs of a cell alone."""
    return {"cell": "|".join(cell)}


def runs_url(*cell: str) -> str:
    """Return the address of the page of runs for ``runs_params``, from any page."""
    return f"./runs?{urlencode(runs_params(*cell))}"
