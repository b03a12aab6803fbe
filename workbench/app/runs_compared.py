"""Several ticked runs beside each other: what differs, their curves, groups with intervals."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.report import Item, offer_item
from workbench.runs.library import command
from workbench.tuning.loop import TuneStep
from workbench.tuning.presets import method_label
from workbench.tuning.spec import RunSpec
from workbench.viewing.figures.runs import COLUMNS, Line, curves
from workbench.viewing.figures.several_runs import grouped_means, in_parallel

_LINES = 8
"""Curves that are overlaid at most; more cannot be told apart."""
_SPEC = (
    *("family", "task", "quality", "method", "updates", "seed", "prompts", "split"),
    *("model", "variant"),
)


def differing_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what is not the same in all runs: a row per run, a column per name.

    Args:
        rows: Rows of ``Known.table``.
    """
    told = [
        {
            **{name: row[name] for name in _SPEC},
            **json.loads(row["settings"]),
        }
        for row in rows.to_dict("records")
    ]
    table = pd.DataFrame(told, index=rows.index)
    table["method"] = table["method"].map(method_label)
    kept = [name for name in table if table[name].astype(str).nunique() > 1]
    return table[kept]


def show_compared(
    rows: pd.DataFrame, specs: list[RunSpec], steps: list[list[TuneStep] | None]
) -> None:
    """Draw several runs beside each other.

    Args:
        rows: Rows of ``Known.table``.
        specs: What they ran.
        steps: Their steps, or None where only numbers ship.
    """
    st.subheader(f"{len(rows)} runs beside each other")
    differs = differing_settings(rows)
    table = differs.assign(**{"return": rows["return_mean"]})
    if not len(differs.columns):
        st.caption("They differ in nothing: the same run, from several places.")
    st.dataframe(
        table,
        hide_index=True,
        height=min(300, 38 + 35 * len(table)),
        key="compared-table",
        placeholder="–",
        alt="What differs between the runs, and their returns.",
        column_config={"return": st.column_config.NumberColumn(format="%.1f")},
    )
    figures = _figures(table, differs, specs, steps)
    for name, figure in figures.items():
        chart(figure, f"compared-{name}", f"{name} of the ticked runs.", f"runs-{name}")
    st.caption("Bars are 95 % intervals over the runs of a group, or over the episodes of a run.")
    with st.container(horizontal=True):
        offer_figures(figures, "runs-compared", "compared-html")
        caption = f"{len(table)} runs: what differs in their settings, and their mean returns."
        offer_table(table, "runs-compared", "compared-csv", caption)
        offer_item(
            Item(
                f"{len(rows)} runs beside each other",
                f"They differ in {', '.join(differs.columns) or 'nothing'}.",
                figures,
                table,
                tuple(dict.fromkeys(map(command, specs))),
            ),
            "compared-report",
            params={"runs": ",".join(rows["run"])},
        )


def _figures(table: pd.DataFrame, differs: pd.DataFrame, specs, steps) -> dict:
    figures = {}
    drawn = [
        Line(_name(differs.loc[index]), COLUMNS[i % len(COLUMNS)], found)
        for i, (index, found) in enumerate(zip(table.index, steps, strict=True))
        if found and any(step.evaluation is not None for step in found)
    ]
    if len(drawn) > 1:
        updates = max(1, *(spec.updates for spec in specs))
        figures["returns"] = curves(drawn[:_LINES], None, updates)
    names = [name for name in differs if name != "seed"]
    if names:
        by = st.selectbox(
            "Group by",
            names,
            index=names.index("method") if "method" in names else 0,
            key="by",
            bind="query-params",
            help="Runs that have the same of this are one group: its mean, with an interval.",
        )
        groups = table.groupby(differs[by].astype(str), sort=True)["return"]
        figures["groups"] = grouped_means({name: part.to_numpy() for name, part in groups})
    if len(differs.columns) > 1 and len(table) > 2:
        figures["settings"] = in_parallel(table)
    return figures


def _name(row: pd.Series) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items()) or "the same run"
