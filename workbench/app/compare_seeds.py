"""What holds over pretraining seeds: the part of the page beneath the table of models."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from workbench.app.charts import offer_table
from workbench.app.known_runs import Known
from workbench.paper import pretraining_seeds
from workbench.paper.numbers import ends_of, number, signed
from workbench.paper.pretraining_seeds import COLUMNS, FAMILY, REFERENCE
from workbench.paper.tables import Cells
from workbench.tasks import find


def show_pretraining_seeds(cells: Cells, known: Known) -> None:
    """Say of every row that all pretraining seeds have run where it lies over them.

    Args:
        cells: Of the table of models.
        known: All runs that there are.
    """
    table = _assembled(known.key, cells, known)
    if table.empty:
        return
    label = find(FAMILY).label
    st.subheader("Over pretraining seeds")
    st.markdown(
        f"On {label} the Prompt-DT and its diffusers were trained {len(COLUMNS)} times from "
        "nothing. Here a *pretraining* is the unit: what one of them did by luck shows."
    )
    told = [r for _, r in table.iterrows() if r["row"] not in (REFERENCE, *_WITHOUT_A_METHOD)]
    st.markdown("\n".join(f"- {_said(r)}" for r in told))
    rows = [r for _, r in table.iterrows()]
    compared = [pd.notna(r["more"]) for r in rows]
    shown = table.assign(
        over=[f"{number(r['mean'])} {ends_of(r, 'mean')}" for r in rows],
        above=[_more(r) if c else "–" for r, c in zip(rows, compared, strict=True)],
        corrected=[
            ends_of(r, "corrected") if c else "–" for r, c in zip(rows, compared, strict=True)
        ],
        **{f"seed {n}": table["seeds"].str[n] for n in range(len(COLUMNS))},
    )
    seeds = [name for name in shown if name.startswith("seed ")]
    st.dataframe(
        shown[["row", *seeds, "over", "above", "corrected"]].style.format(number, subset=seeds),
        hide_index=True,
        column_config={
            "row": st.column_config.Column("", help="A row of the table of models."),
            **{
                name: st.column_config.Column(
                    help="Mean return over tuning seeds and test tasks of this pretraining."
                )
                for name in seeds
            },
            "over": st.column_config.Column(
                "over the seeds", help="Mean and 95 % interval over pretraining seeds."
            ),
            "above": st.column_config.Column(
                "above the expert prompt",
                help="Mean difference and its 95 % interval, paired by pretraining seed.",
            ),
            "corrected": st.column_config.Column(
                help="The interval corrected by Holm's rule for all these rows. It decides: of "
                "many comparisons at 95 % some lie apart by luck."
            ),
        },
        alt="Mean returns of every pretraining seed, and over them.",
    )
    with st.expander("Take the numbers along", icon=":material/download:"):
        caption = (
            f"{label}: mean returns of {len(COLUMNS)} pretraining seeds, each over three tuning "
            "seeds and the test tasks, with 95 % intervals (Student's) over pretraining seeds. "
            "Made by `python -m workbench table models --run`."
        )
        offer_table(table, "pretraining-seeds", "pretraining-seeds-csv", caption)


_WITHOUT_A_METHOD = ("random prompt", "no prompt")


def _said(r: pd.Series) -> str:
    """Say whether a row is apart from the expert prompt over pretraining seeds."""
    difference = _more(r)
    if r["corrected_low"] > 0:
        return f"**{r['row']}** is ahead of the expert prompt: {difference}."
    if r["corrected_high"] < 0:
        return f"**{r['row']}** is behind the expert prompt: {difference}."
    if r["more_low"] <= 0 <= r["more_high"]:
        return f"**{r['row']}** is not told apart from the expert prompt: {difference}."
    side = "ahead of" if r["more"] > 0 else "behind"
    return (
        f"**{r['row']}** is {side} the expert prompt, {difference}; corrected for all rows, "
        f"{ends_of(r, 'corrected')}, that is undecided."
    )


def _more(r: pd.Series) -> str:
    return f"{signed(r['more'])} {ends_of(r, 'more')}"


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _cells: Cells, _known: Known) -> pd.DataFrame:
    return pretraining_seeds.assemble(_cells, _known.runs)
