"""The page Compare: the paper's tables, what was published and what we measured side by side.

A table and one of its cells are here. In ``compare_….py``: how its rows rank (``rankings``), how
fast they learn (``curves``), under a larger transformer (``size``), from bad data (``any_data``),
over pretraining seeds (``seeds``); and the claims (``claims``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from workbench.app import compare_claims
from workbench.app.compare_any_data import show_any_data
from workbench.app.compare_curves import show_curves
from workbench.app.compare_rankings import VIEWS, show_rankings
from workbench.app.compare_seeds import show_pretraining_seeds
from workbench.app.compare_size import show_size
from workbench.app.families import labelled
from workbench.app.known_runs import YOURS, Known, known_runs, show_runs
from workbench.app.links import Offers, broken_choices, runs_params, show_broken
from workbench.app.links_copied import offer_link
from workbench.app.page import guarded, paint_first, styled
from workbench.paper.claims import CLAIMS
from workbench.paper.listed import ALL, NEEDS_GRADIENT
from workbench.paper.measured import CAUTION, assemble
from workbench.paper.numbers import interval, number
from workbench.paper.rankings import columns_of
from workbench.paper.tables import GUIDED, OF_PROMPT_DT, OTHER_SEEDS, TABLES, Cells, cells, runs_of
from workbench.runs.run_table import key

NAMES = {
    "1": ("Table 1", "every method on four robots"),
    "2": ("Table 2", "few-shot data × initial prompt"),
    "3": ("Table 3", "far tasks, and zero-shot"),
    "guidance": ("Guidance", "which losses, which projection"),
    "models": ("Models", "others under the same prompts"),
    "claims": ("Claims", "one by one: does it hold here?"),
}
"""Table, or what follows from all of them → its name for readers and links, and what it shows."""
_HEADER = "The paper's tables, measured here"
_BESIDE = "Every number of the paper beside the mean"
_CLAIMS = "claims"  # beside the names of the tables


@dataclass(frozen=True, eq=False)
class Seen:
    """A table as the page shows it.

    Attributes:
        name: Of the table.
        cells: Its runs.
        table: Of ``measured.assemble``.
        wanted: How many runs it is made of; one may stand in several cells.
        there: How many of them there are.
        own: How many of these are the reader's.
    """

    name: str
    cells: Cells
    table: pd.DataFrame
    wanted: int
    there: int
    own: int

    @property
    def rows(self) -> list[str]:
        """Its rows, in its order."""
        return list(dict.fromkeys(row for row, _ in self.cells))


@guarded
def page(runs_page) -> None:
    """Draw the page.

    Args:
        runs_page: The page of runs, as Streamlit navigates.
    """
    broken = broken_choices(_offers())
    name, known = _choose_table(), known_runs()
    styled()
    show_broken("compare", broken, name)
    st.warning(CAUTION, icon=":material/warning:")
    if name == _CLAIMS:
        compare_claims.show_claims(known)
        return
    seen = _seen(name, known.key, known)
    _count(seen)
    others = seen.name == "models"
    st.header("Other models under the same prompts" if others else _HEADER)
    st.markdown(
        ("Models of other papers in the Prompt-DT's place: the mean" if others else _BESIDE)
        + " of our own runs, **higher is better**. Press a "
        "column's name to sort by it; **click a number** to see the runs behind it. ± is over "
        "seeds, **bold** our best of a column. What follows is under **Claims**, at the left."
    )
    _overview(seen)
    place = _choose_cell(seen)
    _show_cell(seen, place, known, runs_page)
    paint_first("compare", 1.5)
    show_rankings(seen.name, seen.cells, seen.table, known)
    if seen.name == TABLES[0]:
        show_curves(known)
        show_size(known)
    if seen.name == "2":
        show_any_data(known)
    if others:
        show_pretraining_seeds(seen.cells, known)


def prepare() -> None:
    """Count the runs of the table that the page shows first."""
    known = known_runs()
    _seen(TABLES[0], known.key, known)
    compare_claims.prepare(known)


def _offers() -> Offers:
    """Return the values that an address of the page may have."""
    offers = {
        "table": ("table", [label for label, _ in NAMES.values()]),
        "claim": ("claim", [claim.text for claim in CLAIMS]),
        "view": ("view", VIEWS),
    }
    for name in TABLES:
        parts = ("row", "column", "of", "rows", "against")
        if any(f"{part}-{name}" in st.query_params for part in parts):
            places = cells(name)
            columns = [labelled(c) for c in columns_of(places)]
            rows = [row for row, _ in places]
            offers |= {
                f"row-{name}": ("row", rows),
                f"rows-{name}": ("row", rows),
                f"against-{name}": ("row", rows),
                f"column-{name}": ("column", columns),
                f"of-{name}": ("column", columns),
            }
    return offers


def _choose_table() -> str:
    bar = st.sidebar
    bar.header("What was measured")
    return bar.radio(
        "Table",
        (*TABLES, _CLAIMS),
        format_func=lambda name: NAMES[name][0],
        captions=[words for _, words in NAMES.values()],
        key="table",
        bind="query-params",
        help="Of arXiv 2411.01168. The guidance ablation is a figure there, without numbers. "
        "*Claims* says what follows from the tables.",
    )


def _count(seen: Seen) -> None:
    """Say in the sidebar how much of a table there is."""
    there, of = seen.there, seen.wanted
    whose = f", {seen.own} of them yours" if seen.own else ""
    if there == of:
        st.sidebar.caption(f"All {of:,} runs are there{whose}.")
    else:
        st.sidebar.caption(
            f"{there:,} of {of:,} runs are there{whose}. Empty cells were not run yet; "
            f"`python -m workbench table {seen.name} --run` runs them."
        )


@st.cache_resource(max_entries=8, show_spinner="Counting the runs …")
def _seen(name: str, made: tuple, _known: Known) -> Seen:
    whole = cells(name)
    wanted = runs_of(whole)
    found = _known.runs.find(wanted)
    n_wanted = len({key(spec.asked) for spec in wanted})
    counts = n_wanted, len(found), int(found["where"].eq(YOURS).sum())
    return Seen(name, whole, assemble(name, whole, _known.runs), *counts)


def _overview(seen: Seen) -> None:
    """Draw the whole table: a row per row, two columns per column, ours and the published."""
    there = set(seen.table["column"]) - set(OF_PROMPT_DT)  # those are shown below, over seeds
    columns = [c for c in columns_of(seen.cells) if c in there]
    wide, texts = pd.DataFrame({"": seen.rows}), {}
    # names are whole where there is room
    n_wide = len(columns) + seen.table.dropna(subset="published")["column"].nunique()
    room, here = (182, 97) if n_wide > 5 else (285, 118) if n_wide == 5 else (330, 130)
    config = {"": st.column_config.TextColumn(pinned=True, width=room)}
    for column in columns:
        part = seen.table[seen.table["column"] == column].set_index("row").reindex(seen.rows)
        large = part["mean"].abs().max() >= 1000
        digits = 3 if column == ALL else 0 if large else 1
        label = labelled(column)
        for what, name, title, words in (
            (
                "here",
                "mean",
                _HEADS.get(column, label),
                f"{label}: our mean over seeds and tasks; –: not run yet.",
            ),
            ("paper", "published", "paper", f"{label}: the mean that arXiv 2411.01168 gives."),
        ):
            if what == "paper" and part["published"].isna().all():
                continue
            # Streamlit shows what is missing as "–" whatever its text: so what never is has a value
            never = [seen.cells.get((row, column)) == [] for row in seen.rows]
            wide[f"{column}|{what}"] = part[name].mask(never, -math.inf).to_numpy()
            config[f"{column}|{what}"] = st.column_config.Column(
                title, help=words, width=here if what == "here" else 58
            )
            sd = part["sd"] if what == "here" else pd.Series(float("nan"), part.index)
            texts[f"{column}|{what}"] = {
                mean: number(mean, digits) + (f" ± {number(s, digits)}" if pd.notna(s) else "")
                for mean, s in zip(part[name], sd, strict=True)
                if pd.notna(mean)
            } | {-math.inf: NEEDS_GRADIENT}
    families = sorted({spec.family for cell in seen.cells.values() for spec in cell})
    if len(families) == 1:
        st.caption(f"All of it is {labelled(families[0])}.")
    elif "reach" in families:
        st.caption(
            f"{labelled('reach')} is published on another scale of returns: compare its rows with "
            "each other, not ours with the paper's."
        )
    formats = {"": _short, **{n: _Texts(known) for n, known in texts.items()}}
    styled_table = wide.style.format(formats, na_rep="–")
    ours = [name for name in texts if name.endswith("|here")]
    styled_table = styled_table.highlight_max(ours, props="font-weight: bold")
    st.dataframe(
        styled_table,
        hide_index=True,
        height=38 + 35 * len(wide),
        column_config=config,
        key=f"overview-{seen.name}",
        placeholder="–",
        on_select=lambda: _take_click(seen, wide),
        selection_mode="single-cell",
        alt="Mean return of every row and column, measured here and published.",
    )


_HEADS = {
    "reach": "reach",
    ALL: "all (0 to 1)",
    **{name: labelled(name.replace("pretraining ", "")) for name in OTHER_SEEDS},
    **{n: n.removeprefix("cheetah-").removesuffix(" data") for n in GUIDED if "," in n},
}
"""Columns whose names are too long for the head of a narrow column."""


def _short(row: str) -> str:
    """Return a row's name as the first column has room for it."""
    return row.replace(", told the task", ", told").replace("expert prompt, ", "expert, ")


class _Texts:
    """How the numbers of a column are written: with ± where a number has one.

    Args:
        known: Number → its text.
    """

    def __init__(self, known: dict[float, str]):
        self._known = known

    def __call__(self, value: float) -> str:
        """Return the text of one number."""
        return self._known.get(value, "–")


def _take_click(seen: Seen, wide: pd.DataFrame) -> None:
    """Choose the cell that was clicked."""
    picked = st.session_state[f"overview-{seen.name}"]["selection"]["cells"]
    if not picked:
        return
    line, name = picked[0]
    row, column = seen.rows[line], name.partition("|")[0]
    st.session_state[f"row-{seen.name}"] = row
    if (row, column) in seen.cells:
        st.session_state[f"column-{seen.name}"] = column


def _choose_cell(seen: Seen) -> tuple[str, str]:
    left, right, _ = st.columns([2, 2, 1])
    start = "Prompt Diffuser" if "Prompt Diffuser" in seen.rows else seen.rows[0]
    row = left.selectbox(
        "Row",
        seen.rows,
        index=seen.rows.index(start),
        key=f"row-{seen.name}",
        bind="query-params",
        help="Which row of the table to look into; a click on a number sets it.",
    )
    columns = [column for r, column in seen.cells if r == row]
    first = columns.index("cheetah-vel") if "cheetah-vel" in columns else 0
    column = right.selectbox(
        "Column",
        columns,
        index=first,
        format_func=labelled,
        key=f"column-{seen.name}",
        bind="query-params",
        help="Which column of the table to look into; a click on a number sets it.",
    )
    return row, column


def _show_cell(seen: Seen, place: tuple[str, str], known: Known, runs_page) -> None:
    """Draw the numbers of a cell, and its runs."""
    row, column = place
    table = seen.table
    r = table[(table["row"] == row) & (table["column"] == column)].iloc[0]
    found = known.runs.find(seen.cells[place])
    if not seen.cells[place]:
        model, _, method = row.partition(": ")
        st.info(
            f"**{method}** {NEEDS_GRADIENT}, and none reaches the prompt of a {model}: there is "
            "nothing to run.",
            icon=":material/block:",
        )
        return
    if not len(found):
        st.info(
            f"**{row}, {labelled(column)}** was not run yet."
            + (f" Published: {number(r['published'])}." if pd.notna(r["published"]) else ""),
            icon=":material/hourglass_empty:",
        )
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _numbers(r)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                runs_page,
                label=f"All about these {len(found)} runs",
                icon=":material/list:",
                query_params=runs_params(seen.name, row, column),
                help="Opens the page Runs with the runs of this cell alone.",
            )
            offer_link("cell-link")
    with right:
        show_runs(found, lambda spec: None, "its untuned prompt", "compare-runs")


def _numbers(r: pd.Series) -> None:
    facts = (
        (
            "Mean ± sd over seeds",
            number(r["mean"]) + (f" ± {number(r['sd'])}" if pd.notna(r["sd"]) else ""),
            "As the paper gives it: mean over tasks for each seed, then over seeds.",
        ),
        (
            "Published",
            number(r["published"])
            + (f" ± {number(r['published_sd'])}" if pd.notna(r["published_sd"]) else ""),
            "In arXiv 2411.01168, K* = 5, 3 seeds.",
        ),
        (
            "IQM [95 %]",
            interval(r["iqm"], r["iqm_low"], r["iqm_high"]),
            "Interquartile mean over seeds and tasks, with its interval over seeds.",
        ),
        (
            "P(beats Prompt-DT)",
            interval(r["improvement"], r["improvement_low"], r["improvement_high"], 2),
            "Probability that a run beats one of Prompt-DT with expert prompts on the same task.",
        ),
        (
            "Tuned numbers",
            f"{r['trainable']:,.0f}" if r["trainable"] else "none",
            f"Trainable parameters, {100 * r['share']:.2g} % of the transformer's.",
        ),
        ("Seconds per run", number(r["seconds"]), "Wall time with loading and evaluation."),
    )
    for part in (facts[:3], facts[3:]):
        for place, (label, value, words) in zip(st.columns(3), part, strict=True):
            place.caption(label, help=words)
            place.markdown(f"**{value}**")
    st.caption(
        f"{r['seeds']} seeds × {r['tasks']} tasks × {number(r['episodes'], 0)} episodes; "
        f"{r['runs']} of {r['of']} runs."
    )
