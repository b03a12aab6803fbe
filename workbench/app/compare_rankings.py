"""How the rows of a table rank: intervals, performance profiles, probability of improvement."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.families import labelled
from workbench.app.known_runs import Known
from workbench.app.report import Item, offer_item
from workbench.paper import rankings
from workbench.paper.latex import measured
from workbench.paper.listed import ALL
from workbench.paper.tables import Cells
from workbench.viewing.figures.tables import improvements, intervals, levels_of, profiles

VIEWS = ("Intervals", "Performance profiles", "Probability of improvement")
_FIRST_ROWS = (
    "Prompt-DT, expert prompt", "Soft Prompt", "Prompt-Tuning DT", "Prompt Diffuser",
    "Prompt Diffuser, told the task (ours)", "Prompt-DT-FT",
)  # fmt: skip
_MANY_ROWS = 8  # more of them are not drawn before a reader asks for them


def show_rankings(name: str, cells: Cells, table: pd.DataFrame, known: Known) -> None:
    """Draw one column of a table in one of three ways.

    Args:
        name: Of the table.
        cells: Its runs.
        table: Of ``measured.assemble``.
        known: All runs that there are.
    """
    st.subheader("How the rows stand to each other")
    columns = [c for c in rankings.columns_of(cells) if c in set(table["column"])]
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    view = left.segmented_control(
        "View",
        VIEWS,
        default=VIEWS[0],
        required=True,
        key="view",
        bind="query-params",
        help="*Intervals*: interquartile mean and 95 % interval of each row. *Performance "
        "profiles*: the share of runs above every score. *Probability of improvement*: how often "
        "a run beats one of another row on the same task.",
    )
    column = right.selectbox(
        "Of the column",
        columns,
        index=columns.index("cheetah-vel") if "cheetah-vel" in columns else 0,
        format_func=labelled,
        key=f"of-{name}",
        bind="query-params",
        help="Which column of the table is drawn. All families together are drawn normalised: 0 "
        "is the random behaviour policy, 1 the expert.",
    )
    if view == VIEWS[0]:
        figure = _intervals(name, column, known.key, table)
        note = "Bars are 95 % intervals over seeds"
        published = table.loc[table["column"] == column, "published"].notna().any()
        note += "; full diamonds are our means, open ones those published." if published else "."
    else:
        drawn = _normalised(name, column, cells, known, view)
        if drawn is None:
            return
        figure, note = drawn
    file = f"table-{name}-{view.lower().replace(' ', '-')}"
    chart(figure, f"view-{name}-{view}", f"{view} of {labelled(column)}.", file)
    st.caption(note)
    with st.expander("Take the figure and the numbers along", icon=":material/download:"):
        offer_figures({view: figure}, file, "compare-html")
        caption = _caption(name, table)
        offer_table(
            table,
            f"table-{name}",
            "compare-csv",
            caption,
            lambda caption: measured(table, caption, f"pd-{name}"),
        )
        offer_item(
            Item(
                f"Table {name}, {labelled(column)}: {view}",
                caption,
                {view: figure},
                table,
                (_command(name),),
            ),
            "compare-report",
        )


def _caption(name: str, table: pd.DataFrame) -> str:
    """Say what a table holds, of how many runs, and the command that makes them."""
    table = table[(table["runs"] > 0) & (table["column"] != ALL)]
    seeds, episodes = table["seeds"], table["episodes"]
    what = f"Table {name} of arXiv 2411.01168"
    if name == "models":
        what = "Models of other papers under the same prompts"
    n = f"{int(table['runs'].sum()):,} runs"
    if len(seeds):
        n += f", {int(seeds.max())} seeds of each task, {int(episodes.max())} episodes a run"
    return (
        f"{what}, measured: mean ± sd over seeds of the return per "
        f"episode; {n}. Made by `{_command(name)}`."
    )


def _command(name: str) -> str:
    return f"python -m workbench table {name} --run"


def _normalised(name: str, column: str, cells: Cells, known: Known, view: str):
    """Return a figure of normalised scores and a note on it; None where there is nothing."""
    try:
        found = _scores(name, column, known.key, cells, known)
    except ValueError as error:  # no bounds to normalise with
        st.info(str(error))
        return None
    if len(found) < 2:
        st.info("Fewer than two rows of this column have run all tasks of a seed.")
        return None
    rows = list(found)
    start = [row for row in rows if row in _FIRST_ROWS] if len(rows) > _MANY_ROWS else rows
    shown = st.multiselect(
        "Rows",
        rows,
        default=start or rows[:_MANY_ROWS],
        key=f"rows-{name}",
        bind="query-params",
        help="Which rows are drawn.",
    )
    picked = {row: found[row] for row in rows if row in shown}
    if not picked:
        st.info("Choose at least one row.")
        return None
    if view == VIEWS[1]:
        arrays = {row: table.to_numpy() for row, table in picked.items()}
        levels = levels_of(arrays)
        bands = rankings.bands_of(picked, levels)
        return profiles(arrays, levels, bands), (
            "Normalised task by task: 0 is the random behaviour policy, 1 the expert. A curve "
            "further right is better. Bands are 95 % intervals, level by level."
        )
    against = st.selectbox(
        "Against",
        rows,
        index=rows.index(_FIRST_ROWS[0]) if _FIRST_ROWS[0] in rows else 0,
        key=f"against-{name}",
        bind="query-params",
        help="The row that the others are held against.",
    )
    wanted = {**picked, against: found[against]}
    estimates = rankings.improvements_over(wanted, against)
    return improvements(estimates, against), (
        "Right of the dotted line the row is more likely to be ahead. Bars are 95 % intervals "
        "over seeds."
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _scores(
    name: str, column: str, made: tuple, _cells: Cells, _known: Known
) -> dict[str, pd.DataFrame]:
    return rankings.scores_of(_cells, _known.runs, column)


@st.cache_resource(max_entries=32, show_spinner=False)
def _intervals(name: str, column: str, made: tuple, _table: pd.DataFrame) -> go.Figure:
    figure = intervals(_table, column)
    figure.update_layout(title_text=labelled(column))
    return figure
