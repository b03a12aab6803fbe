"""The paper's claims one by one: does each hold here, and by how much?"""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from workbench.app.charts import chart, offer_figures, offer_table
from workbench.app.families import labelled
from workbench.app.known_runs import Known
from workbench.app.links import runs_url
from workbench.app.page import paint_first
from workbench.app.report import Item, offer_item
from workbench.paper.claims import CLAIMS, NEAR, ClaimComparison, findings
from workbench.viewing.figures.claims import differences

VERDICTS = {
    "yes": (
        "✓",
        "holds",
        "The whole corrected interval of the difference lies on the claim's side.",
    ),
    "no": ("✗", "does not", "The whole interval lies on the other side: the opposite is the case."),
    "undecided": ("?", "undecided", "The interval lies around the limit: more seeds would tell."),
    "not run": ("–", "not run", "One of the two sides was not run here yet."),
}
"""Verdict → its sign, what a reader calls it, what it means."""
_KINDS = {
    "better": "The claim is that the first of the two returns **more**: a difference above 0.",
    "near": "The claim is that the first of the two comes **near** the second: it loses at most "
    f"{100 * NEAR:.0f} % of the distance between the random and the expert policy.",
}


def prepare(known: Known) -> None:
    """Judge every claim.

    Args:
        known: What there is.
    """
    _judged(known.key, known)


def show_claims(known: Known) -> None:
    """Draw every claim with its verdict, and the comparisons behind one of them.

    Args:
        known: What there is.
    """
    st.header("What the paper claims, and what holds here")
    st.markdown(
        "A claim says that one way to a prompt is better than another. We ran both with the same "
        "seeds on the same tasks: the **difference of their returns** decides. **Click a claim** "
        "to see it."
    )
    rows = _judged(known.key, known)
    for place, (name, (sign, words, meaning)) in zip(st.columns(4), VERDICTS.items(), strict=True):
        count = int((rows["verdict"] == name).sum())
        place.metric(f"{sign} {words}", f"{count} of {len(rows)}", border=True, help=meaning)
    st.caption(
        f"{len(rows)} comparisons stand behind {rows['claim'].nunique()} claims: most are made of "
        "several robots, or of several kinds of data."
    )
    _overview(rows)
    claim = st.selectbox(
        "Claim",
        list(dict.fromkeys(rows["claim"])),
        key="claim",
        bind="query-params",
        help="Which claim to look into; a click on its line above sets it.",
    )
    paint_first("claims", 1.5)
    _show_claim(rows[rows["claim"] == claim])
    part = rows[rows["claim"] == claim]
    offer_item(
        Item(
            f"Claim: {claim}",
            f"{_overall(part['verdict'])}.",
            {"differences": differences(part)},
            pd.DataFrame([_line(r) for _, r in part.iterrows()]).drop(columns="runs"),
            ("python -m workbench findings",),
        ),
        "claims-report",
    )
    with st.expander("Take the figure and the numbers along", icon=":material/download:"):
        offer_figures({claim: differences(part)}, "claim", "claims-html")
        caption = (
            "Claims of arXiv 2411.01168: differences paired by seed and task, 95 % intervals over "
            f"seeds, corrected by Holm's rule; {rows['pairs'].sum():.0f} pairs. Made by "
            "`python -m workbench findings`."
        )
        offer_table(rows.drop(columns="runs"), "claims", "claims-csv", caption)


@st.cache_resource(max_entries=4, show_spinner="Judging the claims …")
def _judged(made: tuple, _known: Known) -> pd.DataFrame:
    """Return the rows of ``findings`` in a reader's words, with what is compared and its runs."""
    rows = pd.DataFrame(findings(lambda _: _known.runs))
    compared = [comparison for claim in CLAIMS for comparison in claim.comparisons]
    return rows.assign(
        comparison=[labelled(text) for text in rows["comparison"]],
        first=[_name(c, c.first) for c in compared],
        second=[_name(c, c.second) for c in compared],
        runs=[runs_url(c.table, *c.first) for c in compared],
    )


def _name(comparison: ClaimComparison, cell: tuple[str, str]) -> str:
    """Return what stands in a cell: its row, or in table 2 its column, the method."""
    return cell[1] if comparison.table == "2" else cell[0]


def _overall(verdicts: pd.Series) -> str:
    """Return what several verdicts say together."""
    known = set(verdicts) - {"not run"}
    if not known:
        word = "not run"
    elif len(known) == 1:
        word = known.pop()
    else:
        return "◐ in part" if "yes" in known else "✗ mostly not"
    sign, words, _ = VERDICTS[word]
    return f"{sign} {words}"


def _overview(rows: pd.DataFrame) -> None:
    """Draw one line per claim."""
    lines = []
    for (claim, source), part in rows.groupby(["claim", "source"], sort=False):
        counts = {words: (part["verdict"] == v).sum() for v, (_, words, _) in VERDICTS.items()}
        lines.append(
            {"here": _overall(part["verdict"]), "claim": claim, **counts, "claimed in": source}
        )
    counted = {
        words: st.column_config.NumberColumn(f"{sign} {words}", help=meaning, width=72)
        for sign, words, meaning in VERDICTS.values()
    }
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        height=38 + 35 * len(lines),
        key="claims",
        on_select=lambda: _take_click(lines),
        selection_mode="single-cell",
        alt="Every claim, whether it holds, and in how many comparisons.",
        column_config={
            "claim": st.column_config.TextColumn(width=340),
            "here": st.column_config.TextColumn(help="All comparisons of it together.", width=110),
            **counted,
            "claimed in": st.column_config.TextColumn(
                width=90,
                help="Where in arXiv 2411.01168; *ours*: a claim about a method of our own.",
            ),
        },
    )


def _take_click(lines: list[dict]) -> None:
    """Choose the claim that was clicked."""
    picked = st.session_state["claims"]["selection"]["cells"]
    if picked:
        st.session_state["claim"] = lines[picked[0][0]]["claim"]


def _show_claim(part: pd.DataFrame) -> None:
    """Draw the comparisons behind a claim, as marks and as numbers."""
    shared = _shared_end(part["comparison"].tolist())
    pairs = part[["first", "second"]].drop_duplicates()
    sides = "; ".join(f"{r['first']}, against {r['second']}" for _, r in pairs.iterrows())
    sides = (
        f"{part['first'].iloc[0]}{shared}"
        if (pairs["first"] == pairs["second"]).all()
        else (f"{sides}{shared}")
    )
    st.markdown(f"{_KINDS[part['kind'].iloc[0]]} Compared: {sides}.")
    part = part.assign(comparison=[text.removesuffix(shared) for text in part["comparison"]])
    figure = differences(part)
    figure.update_layout(title_text="")  # the choice above says it
    chart(figure, "claim-figure", "Difference of returns of every comparison.", "claim")
    st.caption(
        "Thick bars are 95 % intervals of the mean paired difference, over seeds. Thin lines are "
        "the same, corrected for how many comparisons the table holds (Holm): among many, some "
        "lie apart by luck, so the thin line alone decides"
        + ("; diamonds are what was published." if part["published"].notna().any() else ".")
    )
    st.dataframe(
        pd.DataFrame([_line(r) for _, r in part.iterrows()]),
        hide_index=True,
        height=38 + 35 * len(part),
        key="claim-lines",
        placeholder="–",
        alt="Every comparison: verdict, difference with intervals, published difference.",
        column_config={
            "compared": st.column_config.TextColumn(help="The robot, or the data."),
            "here": st.column_config.TextColumn(
                help="What the corrected interval says of the claim."
            ),
            "difference": st.column_config.NumberColumn(
                format="%+.1f", help="Mean return of the first minus that of the second."
            ),
            "95 % interval": st.column_config.TextColumn(
                help="Of the difference alone: Student's t over seeds, paired by seed and task."
            ),
            "corrected": st.column_config.TextColumn(
                help="The interval that decides: wider, so that of all comparisons of the table "
                "that are decided one is wrong by chance in at most one of twenty (Holm)."
            ),
            "p": st.column_config.NumberColumn(
                format="%.3f", help="Corrected (Holm), two-sided; up to 0.05 it is decided."
            ),
            "published": st.column_config.NumberColumn(
                format="%+.1f", help="The same difference in arXiv 2411.01168; –: not there."
            ),
            "pairs": st.column_config.NumberColumn(help="Seeds times tasks."),
            "runs": st.column_config.LinkColumn(
                display_text="open", help="The runs of the first side, on the page Runs."
            ),
        },
    )


def _shared_end(texts: list[str]) -> str:
    """Return the words after a comma or a colon that all of several texts end with, or ""."""
    parts = [re.split(r"(?=[:,] )", text, maxsplit=1) for text in texts]
    ends = {part[1] if len(part) > 1 else "" for part in parts}
    return ends.pop() if len(ends) == 1 and len(texts) > 1 else ""


def _line(r: pd.Series) -> dict:
    sign, words, _ = VERDICTS[r["verdict"]]
    return {
        "compared": r["comparison"],
        "here": f"{sign} {words}",
        "difference": r["difference"],
        "95 % interval": _ends(r["low"], r["high"]),
        "corrected": _ends(r["corrected_low"], r["corrected_high"]),
        "p": r["p_holm"],
        "published": r["published"],
        "pairs": r["pairs"],
        "runs": r["runs"] if r["pairs"] else None,
    }


def _ends(low: float, high: float) -> str:
    return f"{low:+,.1f} … {high:+,.1f}".replace("-", "−") if pd.notna(low) else "–"
