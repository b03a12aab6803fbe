"""What can be done with the runs that are ticked on the page of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from workbench.app import jobs, sharing, sweeps
from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.known_runs import RECORDED, YOURS
from workbench.app.links import can_explore, explore_params
from workbench.app.links_copied import offer_link
from workbench.app.page import plain
from workbench.app.runs_compared import show_compared
from workbench.runs.library import Label, Library, command, snippet, zipped
from workbench.runs.run_table import spec_of
from workbench.runs.store import RunStore
from workbench.runs.watched_sweep import duration_between
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec, acting_model
from workbench.viewing.figures.colours import look
from workbench.viewing.figures.data import return_strips
from workbench.viewing.figures.runs import Line, curves, gradients, losses

SWEEP = "again"


def show_picked(
    rows: pd.DataFrame, picked: pd.DataFrame, library: Library, labels, explore_page
) -> None:
    """Draw the buttons for ticked runs, and one run in full.

    Args:
        rows: Rows of ``Known.table``.
        picked: The same runs as the page lists them.
        library: Of the reader's own store.
        labels: Of its runs.
        explore_page: The first page, as Streamlit navigates.
    """
    going = sweeps.sweep_of(SWEEP)
    active = going is not None and going.active
    st.fragment(_progress, run_every=sweeps.EVERY if active else None)(active)
    if not len(rows):
        return
    specs = [spec_of(text) for text in rows["spec"]]
    mine = rows.loc[rows["where"] == YOURS, "run"].tolist()
    _actions(rows, specs, mine, library, explore_page, active)
    if mine:
        _name_and_tags(mine, library, labels)
    if len(rows) == 1:
        _one(rows.iloc[0], specs[0], labels)
    else:
        places = zip(rows["where"], rows["run"], specs, strict=True)
        show_compared(rows, specs, [_steps(*place) for place in places])


def _progress(was_active: bool) -> None:
    going = sweeps.sweep_of(SWEEP)
    if was_active and (going is None or not going.active):
        st.rerun()
    sweeps.show_sweep(SWEEP, SWEEP)


def _actions(rows, specs: list[RunSpec], mine: list[str], library, explore_page, active) -> None:
    n = len(rows)
    places = st.columns(5, vertical_alignment="center")
    sides = specs[:2]
    same = len(sides) == 1 or (
        (sides[0].family, sides[0].task, sides[0].seed)
        == (sides[1].family, sides[1].task, sides[1].seed)
    )
    with places[0]:
        if n <= 2 and same and all(map(can_explore, sides)):
            st.page_link(
                explore_page,
                label="Explore A | B" if n == 2 else "Explore",
                icon=":material/compare:",
                query_params=explore_params(*sides),
                help="Opens the first page with these settings; one run stands beside its untuned "
                "prompt.",
            )
        else:
            st.caption(
                "Explore takes one run, or two of the same task and seed, with settings that it "
                "has controls for."
            )
    expected = sweeps.expected_seconds(specs)
    if places[1].button(
        f"Run {'it' if n == 1 else f'all {n}'} again",
        icon=":material/replay:",
        width="stretch",
        disabled=active or (sharing.shared() and bool(mine)),
        key="again",
        help=f"Makes the same run{'s' * (n > 1)} once more, {duration_between(*expected)}. Runs of "
        "your own go to the bin first, so that nothing is lost.",
    ):
        st.session_state["deleted"] = library.delete(mine)
        sweeps.begin(SWEEP, f"{n} run{'s' * (n > 1)} again", specs, expected)
        st.rerun()
    if places[2].button(
        f"Delete {len(mine)}" if mine else "Delete",
        icon=":material/delete:",
        width="stretch",
        disabled=not mine or active or sharing.shared(),
        key="delete",
        help="Puts runs of your own into the bin, from which they can be taken back. What ships "
        "stays.",
    ):
        st.session_state["deleted"] = library.delete(mine)
        st.rerun()
    stored = [(_store(where), run) for run, where in zip(rows["run"], rows["where"], strict=True)]
    stored = [(store, run) for store, run in stored if store is not None]
    with places[3]:
        st.download_button(
            f"Zip of {len(stored)}" if stored else "Zip",
            lambda: zipped(stored),
            f"run-{stored[0][1]}.zip" if len(stored) == 1 else "runs.zip",
            "application/zip",
            icon=":material/folder_zip:",
            on_click="ignore",
            width="stretch",
            disabled=not stored,
            key="zip",
            help="All files of these runs, and what makes them again. Of the tables' runs only the "
            "numbers ship.",
        )
    with places[4]:
        caption = (
            f"{len(rows)} runs: settings and mean returns of the last evaluation. Listed by "
            "`python -m workbench runs`."
        )
        offer_table(rows.drop(columns="where"), "runs", "runs-csv", caption)


def _store(where: str) -> RunStore | None:
    return {YOURS: jobs.OWN, RECORDED: jobs.SHIPPED}.get(where)


def _name_and_tags(mine: list[str], library: Library, labels: dict[str, Label]) -> None:
    """Let the reader name one run and tag several."""
    own = [labels.get(run, Label()) for run in mine]
    tags = sorted(set.intersection(*(set(label.tags) for label in own)))
    every = sorted({tag for label in labels.values() for tag in label.tags})
    key = "-".join(mine)[:60]
    left, right = st.columns(2)
    name = own[0].name
    if len(mine) == 1:
        name = left.text_input(
            "Name",
            own[0].name,
            max_chars=80,
            key=f"name-{key}",
            placeholder="what you call this run",
            help="Shown in the list and found by the search. Empty: no name.",
        )
    wanted = right.multiselect(
        "Tags" if len(mine) == 1 else f"Tags that all {len(mine)} have",
        sorted({*every, *tags}),
        default=tags,
        accept_new_options=True,
        key=f"tags-{key}",
        placeholder="type a word, press enter",
        help="Your own words for runs; the sidebar finds them by these.",
    )
    try:
        if len(mine) == 1 and " ".join(name.split()) != own[0].name:
            library.rename(mine[0], name)
            st.rerun()
        if set(wanted) != set(tags):
            library.tag(mine, [t.strip() for t in wanted if t not in tags])
            library.untag(mine, [t for t in tags if t not in wanted])
            st.rerun()
    except ValueError as error:
        st.error(plain(str(error)), icon=":material/error:")


def _one(row: pd.Series, spec: RunSpec, labels: dict[str, Label]) -> None:
    """Draw one run in full: its curves, and what makes it again."""
    name = labels.get(row["run"], Label()).name or row["label"]
    st.subheader(plain(f"{name}, {row['quality']} data"))
    store = _store(row["where"])
    steps = _steps(row["where"], row["run"], spec)
    drawn = _figures(spec, row, steps)
    for place, (title, figure) in zip(st.columns(len(drawn)), drawn.items(), strict=True):
        with place:
            chart(figure, f"one-{title}-{row['run']}", f"{title} of this run.", f"run-{title}")
    if store is None:
        st.caption("Of this run the returns of its last evaluation ship, not its updates.")
    elif not store.whole(row["run"]):
        st.caption(
            "A sweep made this run, and kept its numbers alone. *Run it again* keeps its prompts, "
            "its chain of noise and its first episode too."
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        offer_figures(drawn, f"run-{row['run']}", "run-html")
        offer_link("run-link", params={"runs": row["run"]})
    left, right = st.columns(2, gap="large")
    left.markdown("**On the command line**")
    left.code(command(spec), language="sh", wrap_lines=True)
    right.markdown("**In Python**")
    right.code(snippet(spec), language="python", wrap_lines=True)


def _steps(where: str, run_id: str, spec: RunSpec) -> list[TuneStep] | None:
    """Return the steps of a run, or None where only its numbers ship."""
    store = _store(where)
    return _read(str(store.root), run_id, spec) if store is not None else None


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(root: str, run_id: str, _spec: RunSpec) -> list[TuneStep] | None:
    store = RunStore(root)
    try:
        if not store.whole(run_id):
            return store.numbers(run_id)
        return store.load(run_id, acting_model(_spec))
    except ValueError:
        return None  # damaged: what the list says is all that can be shown


def _figures(spec: RunSpec, row: pd.Series, steps: list[TuneStep] | None) -> dict:
    """Return the figures of a run by name: its curves, or the episodes of its last evaluation."""
    evaluated = [step for step in steps or () if step.evaluation is not None]
    found = {}
    if len(evaluated) > 1:
        line = Line(row["label"], look(row["label"]).colour, steps)
        found["returns"] = curves([line], None, spec.updates)
    else:
        found["episodes"] = return_strips({"episodes": np.array(row["returns"])})
    if steps and len(steps) > 1 and "loss_dm" in steps[1].metrics:
        found["losses"] = losses(steps, spec.updates)
        found["gradients"] = gradients(steps, spec.updates)
    return found
