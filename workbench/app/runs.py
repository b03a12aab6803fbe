"""The page Runs: find one, name it, run it again, take it along, delete it and undo that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from workbench.app import jobs, sharing
from workbench.app.known_runs import IN_TABLES, RECORDED, YOURS, Known, known_runs
from workbench.app.links import ANYTHING, Offers, broken_choices, show_broken
from workbench.app.page import guarded, plain, styled
from workbench.app.runs_listed import COLUMNS, show_listed
from workbench.app.runs_selected import show_picked
from workbench.data.qualities import QUALITIES
from workbench.networks.models import PROMPT_DT
from workbench.paper import ablation
from workbench.paper.measured import Runs
from workbench.paper.settings_search import differing
from workbench.paper.tables import TABLES, cells
from workbench.runs.library import Label, Library
from workbench.tasks import FAMILIES, find
from workbench.tasks.splits import TEST
from workbench.tuning.presets import method_label
from workbench.viewing.scene.appearance import goal_words

ALL = "all"
WHERE = {
    YOURS: "yours",
    RECORDED: "recorded",
    IN_TABLES: "of the tables",
}
_FILTERS = ("where", "find", "robot", "method", "data", "tags")
"""Keys of the controls that choose runs."""


@guarded
def page(explore_page) -> None:
    """Draw the page.

    Args:
        explore_page: The first page, as Streamlit navigates.
    """
    known, library = known_runs(), Library(jobs.OWN)
    labels = _labels(library)
    table = _listed(known, labels)
    broken = broken_choices(_offers(table))
    found = _filtered(table)
    styled()
    st.header("Every run there is")
    st.markdown(
        "What you tuned, what ships to look at, and what stands behind the tables. **Tick runs** "
        "to see one, name it, run it again, take it along or delete it."
    )
    show_broken("runs", broken, tuple(str(st.session_state.get(key)) for key in _FILTERS))
    named = st.query_params.get("runs", "")
    found = _of_ids(table, named) if named else _of_cell(found, known)
    _show_bin(library)
    _show_damaged(known.damaged)
    picked = show_listed(found)
    show_picked(known.table.loc[picked.index], picked, library, labels, explore_page)


def prepare() -> None:
    """Describe every run that there is."""
    known = known_runs()
    _described(known.key, known)


def _labels(library: Library) -> dict[str, Label]:
    try:
        return library.labels()
    except ValueError as error:
        st.error(str(error), icon=":material/error:")
        return {}


def _listed(known: Known, labels: dict[str, Label]) -> pd.DataFrame:
    """Return what the table shows of each run, newest of the reader's own first."""
    table = _described(known.key, known)
    mine = table["where"] == WHERE[YOURS]
    own = [labels.get(run, Label()) if is_mine else Label() for run, is_mine in
           zip(table["run"], mine, strict=True)]  # fmt: skip
    table = table.assign(
        name=[label.name for label in own], tags=[list(label.tags) for label in own]
    )
    return table.iloc[::-1]


@st.cache_resource(max_entries=4, show_spinner=False)
def _described(made: tuple, _known: Known) -> pd.DataFrame:
    table = _known.table
    tasks = {
        (family, index): goal_words(find(family).task(index))
        for family, index in table[["family", "task"]].drop_duplicates().itertuples(index=False)
    }
    pairs = zip(table["family"], table["task"], strict=True)
    return pd.DataFrame(
        {
            "run": table["run"],
            "robot": [FAMILIES[name].label for name in table["family"]],
            "task": [tasks[pair] for pair in pairs],
            "data": table["quality"],
            "method": table["method"].map(method_label),
            "settings": [_settings(row) for row in table[_SETTINGS].to_dict("records")],
            "updates": table["updates"],
            "seed": table["seed"],
            "return": table["return_mean"],
            "seconds": table["seconds"],
            # a file that ships is as old as the copy of the repository
            "when": table["when"].where(table["where"] == YOURS) if "when" in table else pd.NaT,
            "where": table["where"].map(WHERE),
        },
        index=table.index,
    )


_USUAL = {"model": PROMPT_DT, "variant": "", "split": TEST, "prompts": ""}
_SETTINGS = ["method", "settings", *_USUAL]


def _settings(row: Mapping[str, str]) -> str:
    """Return what differs from the method's defaults, and on what it ran if not the usual."""
    told = [f"{name} {row[name]}" for name, usual in _USUAL.items() if row[name] != usual]
    own = differing(row["method"], json.loads(row["settings"]))
    return ", ".join(told if told and own == "defaults" else [*told, own])


def _choices(table: pd.DataFrame, name: str) -> list[str]:
    """Return the options of the filter of a column."""
    return [ALL, *sorted(set(table[name]), key=lambda v: (v not in QUALITIES, v))]


def _offers(table: pd.DataFrame) -> Offers:
    """Return the values that an address of the page may have."""
    columns = ("robot", "method", "data")
    return {
        "where": ("where from", WHERE.values()),
        **{name: (name, _choices(table, name)) for name in columns},
        "columns": ("column", COLUMNS),
        **dict.fromkeys(("find", "tags", "cell", "runs", "by"), ("", ANYTHING)),
    }


def _filtered(table: pd.DataFrame) -> pd.DataFrame:
    """Draw the sidebar and return the runs that it asks for."""
    bar = st.sidebar
    bar.header("Find runs")
    where = bar.pills(
        "Where from",
        list(WHERE.values()),
        selection_mode="multi",
        default=list(WHERE.values()),
        key="where",
        bind="query-params",
        help="*yours*: what you ran. *recorded*: what ships to be looked at. *of the tables*: what "
        "stands behind the tables and the ablation; of those, only the numbers ship.",
    )
    words = bar.text_input(
        "Search",
        key="find",
        bind="query-params",
        placeholder="0.6 m/s lam 3",
        help="All words must be in a run's name, tags, task, method, settings or id.",
    )
    choices = (
        ("robot", "Robot", "Which family of tasks."),
        ("method", "Method", "How the prompt was made or tuned."),
        ("data", "Data", "What it was tuned on: a quality, or `own:NAME` for a set of your own."),
    )
    kept = table["where"].isin(where)
    for name, label, text in choices:
        wanted = bar.selectbox(
            label, _choices(table, name), key=name, bind="query-params", help=text
        )
        if wanted != ALL:
            kept &= table[name] == wanted
    tags = sorted({tag for own in table["tags"] for tag in own})
    if tags:
        wanted = bar.multiselect(
            "Tags", tags, key="tags", bind="query-params", help="Runs that have all of these tags."
        )
        kept &= table["tags"].map(lambda own: set(wanted) <= set(own)).astype(bool)
    return _searched(table[kept], words)


def _searched(table: pd.DataFrame, words: str) -> pd.DataFrame:
    if not words.split() or not len(table):
        return table
    columns = ["run", "name", "robot", "task", "data", "method", "settings"]
    text = table[columns].agg(" ".join, axis=1) + table["tags"].map(lambda t: " ".join(["", *t]))
    text = text.str.casefold()
    kept = pd.Series(True, index=table.index)
    for word in words.casefold().split():
        kept &= text.str.contains(word, regex=False)
    return table[kept]


def _of_ids(table: pd.DataFrame, named: str) -> pd.DataFrame:
    """Keep the runs that the address names, whatever the filters say."""
    wanted = dict.fromkeys(named.split(","))
    found = table[table["run"].isin(wanted)].drop_duplicates("run")
    if lacking := [run for run in wanted if run not in set(found["run"])]:
        st.warning(
            f"The link asks for runs that are not here: {plain(', '.join(lacking)[:200])}.",
            icon=":material/link_off:",
        )
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.info(f"Only the {len(found)} runs of a link.", icon=":material/filter_alt:")
    if right.button(
        "Show all", key="show-all", width="stretch", help="Forget the link and list every run."
    ):
        del st.query_params["runs"]
        st.rerun()
    return found


def _of_cell(found: pd.DataFrame, known: Known) -> pd.DataFrame:
    """Keep the runs of the cell that the address names, if it names one."""
    named = st.query_params.get("cell", "")
    if not named:
        return found
    place, wanted = named.split("|"), None
    try:
        wanted = _cell(place)
    except (KeyError, ValueError, StopIteration):
        st.warning(
            f"The link asks for the cell “{named}”, which no table has: all runs are listed.",
            icon=":material/link_off:",
        )
        return found
    there = Runs(known.table, known.keys).find(wanted).index
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.info(
        f"Only the {len(there)} runs of one cell: {_place_words(place)}.",
        icon=":material/filter_alt:",
    )
    if right.button(
        "Show all", key="show-all", width="stretch", help="Forget the cell and list every run."
    ):
        del st.query_params["cell"]
        st.rerun()
    return found[found.index.isin(there)]


def _place_words(place: Sequence[str]) -> str:
    name, *rest = (FAMILIES[part].label if part in FAMILIES else part for part in place)
    if name == ablation.NAME:
        family, quality, projection, lam = rest
        return f"ablation · {family} · {quality} data · projection {projection} · λ = {lam}"
    return " · ".join([f"table {name}" if name.isdecimal() else name, *rest])


def _cell(place: Sequence[str]):
    """Return the runs of a cell by its place: of a table, or of the ablation."""
    name, *rest = place
    if name == ablation.NAME:
        family, quality, projection, lam = rest
        grid = next(g for g in ablation.WHOLE if g.family == family)
        return grid.cell(quality, projection, float(lam))
    if name not in TABLES:
        raise ValueError(f"There is no table {name!r}.")
    row, column = rest
    return cells(name)[row, column]


def _show_bin(library: Library) -> None:
    """Offer to take a deletion back, as long as there is one."""
    gone = library.deleted()
    if not gone or sharing.shared():
        return
    last = [i for i in st.session_state.get("deleted", ()) if i in gone] or gone
    left, middle, right = st.columns([4, 1, 1], vertical_alignment="center")
    left.info(
        f"{len(gone)} deleted run{'s' * (len(gone) > 1)} in the bin, "
        f"{library.bin_bytes / 1e6:.1f} MB.",
        icon=":material/delete:",
    )
    if middle.button(
        f"Undo ({len(last)})",
        icon=":material/undo:",
        key="undo",
        width="stretch",
        help="Bring back what was deleted last.",
    ):
        back = library.restore(last)
        if len(back) < len(last):
            st.session_state["runs-note"] = (
                f"{len(last) - len(back)} were run again meanwhile: the newer ones are kept."
            )
        st.rerun()
    if right.button(
        "Empty the bin",
        icon=":material/delete_forever:",
        key="empty-bin",
        width="stretch",
        help="Delete these runs for good. This cannot be undone.",
    ):
        library.empty_bin()
        st.rerun()
    if note := st.session_state.pop("runs-note", None):
        st.info(note)


def _show_damaged(damaged: Mapping[str, str]) -> None:
    """Name the runs that cannot be read: they hide no other, and are made again by their spec."""
    if not damaged:
        return
    n = len(damaged)
    lines = "".join(f"\n- {plain(why[:300])}" for why in list(damaged.values())[:5])
    st.warning(
        f"**{n} run{'s' * (n > 1)} of your own cannot be read**, and {'are' if n > 1 else 'is'} "
        f"not in the list. Running the same again repairs it.{lines}",
        icon=":material/heart_broken:",
    )
