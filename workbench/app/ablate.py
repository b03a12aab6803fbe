"""The page Ablate: λ × projection as a map, as curves, and as a sweep that fills them.

Its numbers are ``paper/ablation.assemble`` of all runs that there are: those that ship as tables
(``assets/results``) and the reader's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app import ablate_factorial, ablate_lengths, ablate_pretraining, sweeps
from workbench.app.ablate_answers import show_answers
from workbench.app.ablate_grid import choose_grid, grid_offers, run_so_far, usual_grid
from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.families import first, labelled
from workbench.app.known_runs import YOURS, Known, known_runs, show_runs
from workbench.app.links import broken_choices, runs_params, show_broken
from workbench.app.links_copied import offer_link
from workbench.app.page import guarded, paint_first, styled
from workbench.paper import ablation
from workbench.paper.ablation import Grid
from workbench.runs.run_table import key
from workbench.runs.watched_sweep import duration_between
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.spec import RunSpec
from workbench.viewing.figures.ablation import (
    PROJECTIONS,
    conflicts,
    curves,
    gains,
    heat_map,
    helps,
)

SWEEP = "ablation"


@guarded
def page(runs_page) -> None:
    """Draw the page.

    Args:
        runs_page: The page of runs, as Streamlit navigates.
    """
    broken = broken_choices(grid_offers())
    grid = choose_grid()
    styled()
    st.header("How much λ, and does the projection help?")
    st.markdown(
        "Prompt Diffuser follows two gradients at once; **λ** weighs the second, and the "
        "**projection** removes what fights the first. Each cell is one setting, run on every "
        "task and seed. **Click a cell** to see its runs."
    )
    show_broken("ablate", broken, grid)
    specs = ablation.specs([grid])
    active = _offer_sweep(grid, specs)
    st.fragment(guarded(_live), run_every=sweeps.EVERY if active else None)(grid, runs_page, active)


def prepare() -> None:
    """Fold the grid that the page shows before anybody chooses."""
    usual, known = usual_grid(first()), known_runs()
    run_so_far(known.key, known)
    tasks = tuple(task.index for task in evaluated_tasks(first()))
    grid = Grid(usual.family, usual.lambdas, usual.projections, ("medium",), tasks=tasks)
    _lacking(grid, known.key, known)
    _count(grid, known.key, known)
    _figures(grid, known.key, _assembled(grid, known.key, known))


def _offer_sweep(grid: Grid, specs: list[RunSpec]) -> bool:
    """Draw what of the grid is missing, and the button that runs it; return whether one runs."""
    known, going = known_runs(), sweeps.sweep_of(SWEEP)
    if going is not None and going.active:
        return True
    lacking = _lacking(grid, known.key, known)
    if not lacking:
        return False
    expected = sweeps.expected_seconds(lacking)
    left, right = st.columns([1, 3], vertical_alignment="center")
    if left.button(
        f"Run the missing {len(lacking)}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        key="ablate-run",
        help="One run after another, on this machine, seed by seed. It goes on when you change "
        "the page or close the tab, and can be stopped at any time.",
    ):
        sweeps.begin(SWEEP, "The ablation", lacking, expected)
        st.rerun()
    right.markdown(
        f"**{len(lacking)} of {len(specs)} runs of this grid are missing**: "
        f"{duration_between(*expected)} on one core, by how long runs like them took. Fewer tasks, "
        "seeds or λ take less."
    )
    return False


@st.cache_resource(max_entries=16, show_spinner=False)
def _lacking(grid: Grid, made: tuple, _known: Known) -> list[RunSpec]:
    there = set(_known.runs.keys)
    return [spec for spec in ablation.specs([grid]) if key(spec.asked) not in there]


def _live(grid: Grid, runs_page, was_active: bool) -> None:
    """Draw the sweep and the figures, again and again while it goes on."""
    going = sweeps.sweep_of(SWEEP)
    if was_active and (going is None or not going.active):
        st.rerun()
    sweeps.show_sweep(SWEEP, "ablate")
    known = known_runs()
    table = _assembled(grid, known.key, known)
    if not table["seeds"].any():
        st.info(
            "No cell of this grid has a seed that has run all of its tasks. Choose another robot "
            "or other data on the left, or run what is missing.",
            icon=":material/grid_off:",
        )
    figures = _figures(grid, known.key, table)
    show_answers(grid, table, figures, lambda other: _assembled(other, known.key, known))
    _map_and_cell(grid, table, known, runs_page)
    paint_first("ablate", 2.5)
    _curves(table, figures)
    ablate_pretraining.show(grid.family, grid.qualities[0], known)
    ablate_factorial.show(grid.family, grid.qualities[0], known)
    ablate_lengths.show(grid.family, grid.qualities[0], known)


@st.cache_resource(max_entries=16, show_spinner=False)
def _assembled(grid: Grid, made: tuple, _known: Known) -> pd.DataFrame:
    return ablation.assemble(_known.runs, [grid])


# Drawing takes most of a view, and every visitor sees the same: nobody changes what is drawn.
@st.cache_resource(max_entries=16, show_spinner=False)
def _figures(grid: Grid, made: tuple, _table: pd.DataFrame) -> dict[str, go.Figure]:
    draws = {"map": heat_map, "curves": curves, "conflicts": conflicts}
    return {n: draw(_table) for n, draw in {**draws, "helps": helps, "gains": gains}.items()}


@st.cache_resource(max_entries=64, show_spinner=False)
def _map(
    grid: Grid, made: tuple, picked: tuple[str, float], states: tuple, _table: pd.DataFrame
) -> go.Figure:
    return heat_map(_table, picked, dict(states))


@st.cache_resource(max_entries=16, show_spinner=False)
def _count(grid: Grid, made: tuple, _known: Known) -> tuple[int, int]:
    """Return how many runs of a grid there are, and how many of them are the reader's."""
    where = _known.runs.find(ablation.specs([grid]))["where"]
    return len(where), int(where.eq(YOURS).sum())


def _states(grid: Grid, known: Known) -> dict[tuple[str, float], str]:
    """Return which cells wait or run in the sweep that goes on."""
    going = sweeps.sweep_of(SWEEP)
    if going is None or not going.active:
        return {}
    lacking = {spec.id for spec in _lacking(grid, known.key, known)}
    wanted = {spec.id for spec in going.specs}
    now = going.store.now[0].id if going.store.now else ""
    states = {}
    for quality, projection, lam in grid.cells():
        cell = {spec.id for spec in grid.cell(quality, projection, lam)}
        if now in cell:
            states[projection, lam] = "running"
        elif cell & lacking & wanted:
            states[projection, lam] = "queued"
    return states


def _map_and_cell(grid: Grid, table: pd.DataFrame, known: Known, runs_page) -> None:
    """Draw the map, and beside it the cell that was clicked."""
    left, right = st.columns([2, 1], gap="large")
    with right:
        picked = _choose_cell(grid)
    with left:
        st.markdown("**Interquartile mean of returns** over tasks and seeds, with 95 % intervals")
        states = tuple(_states(grid, known).items())
        figure = _map(grid, known.key, picked, states, table)
        words = "Interquartile mean of returns, a row per projection, a column per weight λ."
        chart(figure, "ablate-map", words, "ablation-map", on_select=_take_click)
        there, own = _count(grid, known.key, known)
        words = f"{there} runs are drawn{f', {own} of them yours' if own else ''}."
        if 0 in grid.lambdas and len(grid.projections) > 1:
            words += " At λ = 0 nothing is projected: all rows show the same runs."
        st.caption(words)
    with right:
        _show_cell(grid, picked, table, known, runs_page)


def _take_click() -> None:
    """Choose the cell that was clicked."""
    points = st.session_state["ablate-map"]["selection"]["points"]
    if points and points[0].get("customdata"):
        projection, lam = points[0]["customdata"]
        st.session_state["projection"] = projection
        st.session_state["lam"] = float(lam)


def _choose_cell(grid: Grid) -> tuple[str, float]:
    st.markdown("**One cell**")
    left, right = st.columns([3, 2])
    projection = left.selectbox(
        "Projection",
        grid.projections,
        index=len(grid.projections) - 1,
        format_func=PROJECTIONS.__getitem__,
        key="projection",
        bind="query-params",
        help="Row of the map.",
    )
    lam = right.selectbox(
        "Weight λ",
        grid.lambdas,
        index=grid.lambdas.index(1.0) if 1.0 in grid.lambdas else 0,
        format_func=lambda value: f"{value:g}",
        key="lam",
        bind="query-params",
        help="Column of the map.",
    )
    return projection, lam


def _show_cell(
    grid: Grid, picked: tuple[str, float], table: pd.DataFrame, known: Known, runs_page
) -> None:
    """Draw a cell's numbers and its runs, each with its way to the first page."""
    projection, lam = picked
    r = table[(table["projection"] == projection) & (table["lam"] == lam)].iloc[0]
    wanted = grid.cell(grid.qualities[0], projection, lam)
    found = known.runs.find(wanted)
    if not len(found):
        st.info("This cell was not run yet.", icon=":material/hourglass_empty:")
        return
    facts = [f"{int(r['runs'])} of {int(r['of'])} runs"]
    if pd.notna(r["gain"]):
        interval = "(one seed, so no interval)"
        if pd.notna(r["gain_low"]):
            interval = f"[{r['gain_low']:+.1f}, {r['gain_high']:+.1f}]"
        facts.append(f"{r['gain']:+.1f} {interval} against the plain sum")
    if pd.notna(r["conflict_share"]):
        facts.append(f"{100 * r['conflict_share']:.0f} % of updates conflict")
    st.caption(" · ".join(facts).replace("-", "−"))
    plain = {(spec.task, spec.seed): spec for spec in grid.cell(grid.qualities[0], "none", lam)}

    def beside(spec: RunSpec) -> RunSpec | None:
        other = plain[spec.task, spec.seed]
        return None if key(other.asked) == key(spec.asked) else other

    show_runs(found, beside, "the plain sum (or, beside that itself, the untuned prompt)", "runs")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            runs_page,
            label="All about these runs",
            icon=":material/list:",
            query_params=runs_params(SWEEP, grid.family, grid.qualities[0], projection, f"{lam:g}"),
            help="Opens the page Runs with the runs of this cell alone.",
        )
        offer_link("cell-link")


def _curves(table: pd.DataFrame, figures: Mapping[str, go.Figure]) -> None:
    """Draw the same cells as curves over λ."""
    charts = (
        (
            "curves",
            "iqm",
            "Interquartile mean of returns over λ, a line and a band per projection.",
            "Bands are 95 % intervals over seeds. Higher is better.",
        ),
        (
            "conflicts",
            "conflict_share",
            "Share of updates in which the two gradients conflict, over λ.",
            "Where they do not conflict the projection changes nothing.",
        ),
        (
            "helps",
            "helps",
            "Probability that a run with projection beats the plain sum, over λ.",
            "Above one half the projection helps. Bars are 95 % intervals over seeds.",
        ),
        (
            "gains",
            "gain",
            "Mean return above the plain sum, paired by seed and task, over λ.",
            "The mean of paired differences: same seed, same task. 0: no difference.",
        ),
    )
    there = [c for c in charts if table[c[1]].notna().any()]
    drawn = {name: figures[name] for name, *_ in there}
    for row in (there[:2], there[2:]):
        for place, (name, _, alt, caption) in zip(st.columns(2, gap="large"), row, strict=False):
            with place:
                chart(drawn[name], f"ablate-{name}", alt, f"ablation-{name}")
                st.caption(caption)
    if 0 < len(there) < len(charts):
        st.caption(
            "Whether a projection helps is drawn as soon as it and the plain sum (*none*) have "
            "both run at one λ."
        )
    with st.expander("Take the figures and numbers along", icon=":material/download:"):
        offer_figures({"map": figures["map"], **drawn}, "ablation", "ablate-html")
        qualities = ", ".join(dict.fromkeys(table["quality"]))
        caption = (
            f"{labelled(table['family'].iloc[0])}, {qualities} data: λ and projection, "
            "interquartile mean of returns, 95 % intervals over seeds; "
            f"{table['runs'].sum()} runs. Made by `python -m workbench sweep {SWEEP}`."
        )
        offer_table(table, "ablation", "ablate-csv", caption)
