"""The size of the transformer: the part of the page beneath table 1."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from workbench.app.charts import offer_table
from workbench.app.known_runs import Known
from workbench.paper import model_size
from workbench.paper.numbers import ends_of, number, signed
from workbench.tasks import find


def show_size(known: Known) -> None:
    """Show what every row earns with a transformer of the paper's size beside what ships.

    Nothing is shown before a row of that size was run: hours, of networks that do not ship.

    Args:
        known: All runs that there are.
    """
    table = _assembled(known.key, known)
    small, large = model_size.SIZES
    if not table.loc[table["size"] == large, "seeds"].any():
        return
    st.subheader("The same with a transformer of the paper's size")
    st.markdown(
        f"What ships has {small} (layers × width), as the released code; the paper's has {large}. "
        f"{find(model_size.FAMILY).label}. The larger one was grown from the one that ships, as "
        "which it acted at first, and was trained on, too briefly to be better for its size; its "
        "diffuser was trained on for it. In brackets: how much more than the expert prompt of the "
        "same size, a paired difference."
    )
    st.markdown("\n".join(f"- {said}" for said in _said(table)))
    cells = table.set_index(["row", "size"])
    shown = [
        {"row": row}
        | {size: _cell(cells.loc[(row, size)]) for size in model_size.SIZES}
        | {"tuned": _tuned(cells.loc[(row, large)])}
        | {"paper": number(cells.loc[(row, large), "published"])}
        for row in model_size.ROWS
    ]
    st.dataframe(
        pd.DataFrame(shown),
        hide_index=True,
        height="content",
        column_config={
            "row": st.column_config.Column("", help="From expert data, unless it says others."),
            **{
                size: st.column_config.Column(
                    size,
                    help="Mean return over seeds and tasks; in brackets above the expert prompt.",
                )
                for size in model_size.SIZES
            },
            "tuned": st.column_config.Column(
                f"tuned of {large}", help="Parameters that a run changes, of the transformer's."
            ),
            "paper": st.column_config.Column("published", help="arXiv 2411.01168, 3 seeds."),
        },
        alt="Mean returns by row and size of the transformer, and what was published.",
    )
    few = table[table["seeds"].between(1, len(model_size.SEEDS) - 1)]
    for _, r in few.iterrows():
        of = f"{r['seeds']} of {len(model_size.SEEDS)} seeds"
        st.caption(f"{r['row']} with {r['size']} is of {of}.")
    if not table["seeds"].all():
        st.caption(f"A dash: not run yet; `python -m workbench sweep {model_size.NAME}` runs it.")
    with st.expander("Take the numbers along", icon=":material/download:"):
        caption = (
            "Returns with transformers of two sizes, 95 % intervals over seeds; more: mean "
            "difference to the expert prompt of the same size, paired by seed and task. "
            f"{table['runs'].sum()} runs. Made by `python -m workbench sweep {model_size.NAME}`."
        )
        offer_table(table, "model-size", "model-size-csv", caption)


def _said(table: pd.DataFrame) -> list[str]:
    """Say of each size how far Prompt Diffuser is from the expert prompt."""
    rows = table[table["row"] == "Prompt Diffuser"].set_index("size")
    return [
        f"**{size}**: Prompt Diffuser, from expert data, {signed(r['more'])} "
        f"{ends_of(r, 'more')} beside the expert prompt."
        for size, r in rows.iterrows()
        if pd.notna(r["more"])
    ]


def _cell(r: pd.Series) -> str:
    if not r["seeds"]:
        return f"{r['runs']} of {r['of']} runs" if r["runs"] else "–"
    more = f" ({signed(r['more'])})" if pd.notna(r["more"]) else ""
    return number(r["mean"]) + more


def _tuned(r: pd.Series) -> str:
    if pd.isna(r["trainable"]):
        return "–"
    if not r["trainable"]:
        return "nothing"
    return f"{r['trainable']:,.0f} ({100 * r['trainable'] / r['model']:.2g} %)"


@st.cache_resource(max_entries=4, show_spinner=False)
def _assembled(made: tuple, _known: Known) -> pd.DataFrame:
    return model_size.assemble(_known.runs)
