"""The sidebar of the page Ablate: which grid of settings is asked for. All of it in the address."""

from __future__ import annotations

import dataclasses

import streamlit as st

from workbench.app.families import choose_family, first, with_models
from workbench.app.known_runs import Known, known_runs
from workbench.app.links import Offers
from workbench.app.page import plain
from workbench.data import own_sets
from workbench.data.qualities import QUALITIES
from workbench.paper import ablation
from workbench.paper.ablation import Grid
from workbench.runs.run_table import key
from workbench.tasks import Family
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import LAMBDAS
from workbench.viewing.figures.ablation import PROJECTIONS


def grid_offers() -> Offers:
    """Return the values that an address of the page may have."""
    labels = with_models()
    family = labels.get(st.query_params.get("robot", ""), first())
    lams = [f"{lam:g}" for lam in LAMBDAS]
    return {
        "robot": ("robot", labels),
        "data": ("data", (*QUALITIES, *_own_sets(family))),
        f"{family.name}-lams": ("λ", lams),
        f"{family.name}-projections": ("projection", PROJECTIONS),
        "projection": ("projection", PROJECTIONS.values()),
        "lam": ("λ", lams),
        "all-data": ("answers from all data", ("true", "false")),
        "seeds": ("seeds", [str(n + 1) for n in range(len(ablation.SEEDS))]),
        f"{family.name}-n-tasks": (
            "test tasks",
            [str(n + 1) for n in range(len(evaluated_tasks(family)))],
        ),
    }


def _own_sets(family: Family) -> dict[str, list[int]]:
    """Return the reader's own sets, each with the test tasks that it is there for."""
    found: dict[str, list[int]] = {}
    for task in evaluated_tasks(family):
        for quality in own_sets.qualities(task):
            found.setdefault(quality, []).append(task.index)
    return found


def usual_grid(family: Family) -> Grid:
    """Return the grid that a family is drawn with before anybody chooses."""
    return next((g for g in ablation.WHOLE if g.family == family.name), Grid(family.name))


def choose_grid() -> Grid:
    """Draw the sidebar and return the grid that it asks for."""
    bar = st.sidebar
    bar.header("The grid")
    family = choose_family("robot")
    usual = usual_grid(family)
    every = [task.index for task in evaluated_tasks(family)]
    quality = bar.segmented_control(
        "Data",
        (*QUALITIES, *_own_sets(family)),
        default="medium",
        required=True,
        key="data",
        bind="query-params",
        help="Who recorded the few-shot runs that every cell is tuned on.",
    )
    known = known_runs()
    bar.caption(_run_words(run_so_far(known.key, known)))
    lams = bar.pills(
        "Weights λ of the downstream loss",
        LAMBDAS,
        selection_mode="multi",
        default=usual.lambdas,
        format_func=lambda value: f"{value:g}",
        key=f"{family.name}-lams",
        bind="query-params",
        help="The columns of the map. 0: only look like the data. The paper uses 1.",
    )
    more = _more_weights(family)
    if not lams and not more:
        bar.caption("No weight is chosen: the usual ones are drawn.")
    projections = bar.pills(
        "Projections",
        tuple(PROJECTIONS),
        selection_mode="multi",
        default=usual.projections,
        key=f"{family.name}-projections",
        bind="query-params",
        help="The rows of the map. *none*: the two gradients are added. *published*: Eq. 8 "
        "and 9 to the letter. *vector*, *tensor*, *subspace*: other readings of what is projected "
        "away.",
    )
    if not projections:
        bar.caption("No projection is chosen: the usual ones are drawn.")
    tasks = _own_sets(family).get(quality, every)  # a set of one's own is there for some tasks
    n_tasks = (
        len(tasks)
        if len(tasks) == 1
        else bar.select_slider(
            "Test tasks",
            list(range(1, len(tasks) + 1)),
            value=len(tasks),
            key=f"{family.name}-n-tasks",
            bind="query-params",
            help="How many test tasks each cell counts, the first ones. Fewer take less time.",
        )
    )
    seeds = bar.select_slider(
        "Seeds",
        list(range(1, len(ablation.SEEDS) + 1)),
        value=len(ablation.SEEDS),
        key="seeds",
        bind="query-params",
        help="How many seeds each cell counts. One seed gives no interval.",
    )
    return Grid(
        family.name,
        tuple(sorted({*lams, *more})) or usual.lambdas,
        tuple(p for p in PROJECTIONS if p in projections) or usual.projections,
        (quality,),
        ablation.SEEDS[:seeds],
        tuple(tasks[:n_tasks]),
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def run_so_far(made: tuple, _known: Known) -> dict[str, dict[str, tuple[int, int]]]:
    """Return how much of the usual grid was run: family → quality → runs there, and of how many."""
    there, found = set(_known.runs.keys), {}
    for label, family in with_models().items():
        found[label] = {}
        for quality in QUALITIES:
            grid = dataclasses.replace(usual_grid(family), qualities=(quality,))
            wanted = {key(spec.asked) for spec in ablation.specs([grid])}
            found[label][quality] = (len(wanted & there), len(wanted))
    return found


def _run_words(found: dict[str, dict[str, tuple[int, int]]]) -> str:
    """Say which robots and data were run, whole or in part."""
    parts = []
    for label, qualities in found.items():
        words = [
            quality if n == of else f"{quality} {n} of {of}"
            for quality, (n, of) in qualities.items()
            if n
        ]
        if words:
            parts.append(f"{label}: {', '.join(words)}")
    said = "; ".join(parts) or "nothing yet"
    return f":material/check: Run already, of the usual grid: {said}."


def _more_weights(family: Family) -> list[float]:
    """Draw the field for any other λ; return those that are numbers from 0 up."""
    words = st.sidebar.text_input(
        "Other weights",
        key=f"{family.name}-more-lams",
        bind="query-params",
        placeholder="0.5 30",
        help="Any λ from 0 up, with spaces between: more columns of the map.",
    )
    found = []
    for word in words.replace(",", " ").split():
        try:
            value = float(word)
        except ValueError:
            value = -1.0
        if 0 <= value < 1e6:
            found.append(value)
        else:
            st.sidebar.caption(f"“{plain(word[:20])}” is no weight from 0 up: it is left out.")
    return found
