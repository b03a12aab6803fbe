"""The page Report: what a reader collected on the other pages, to be kept as one file."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from workbench.app.charts import as_html
from workbench.app.links_copied import offer_link
from workbench.app.page import guarded, styled
from workbench.paper.citations import bibtex


@dataclass(frozen=True, eq=False)
class Item:
    """One thing in the report.

    Attributes:
        title: What it is.
        words: What it says, in Markdown.
        figures: By name.
        table: Its numbers, or None.
        commands: Command lines that make its runs.
        address: Where it was seen, after the server's own address.
    """

    title: str
    words: str
    figures: Mapping[str, go.Figure]
    table: pd.DataFrame | None = None
    commands: tuple[str, ...] = ()
    address: str = ""


def offer_item(
    item: Item, key: str, anchor: str = "", params: Mapping[str, str] | None = None
) -> None:
    """Draw the button that puts something into the report, and the one that copies its address.

    Args:
        item: What goes in.
        key: Streamlit's identity of the buttons.
        anchor: See ``offer_link``.
        params: See ``offer_link``.
    """
    items = _items()
    there = any(known.title == item.title and known.words == item.words for known in items)
    with st.container(horizontal=True, vertical_alignment="center", key=f"{key}-row"):
        if st.button(
            "In the report" if there else "Add to the report",
            icon=":material/check:" if there else ":material/note_add:",
            disabled=there,
            key=key,
            help="Keeps what it says, its figures, numbers and commands on the page *Report*, from "
            "which all of it is downloaded as one file.",
        ):
            items.append(dataclasses.replace(item, address=_address(params)))
            st.rerun()
        offer_link(f"{key}-link", anchor, params)


def _address(params: Mapping[str, str] | None) -> str:
    """Return the address of the page that is drawn, after the server's own."""
    query = dict(params) if params is not None else st.query_params.to_dict()
    path = urlsplit(st.context.url or "").path.rpartition("/")[2]
    return f"/{path}" + (f"?{urlencode(query)}" if query else "")


def _items() -> list[Item]:
    return st.session_state.setdefault("report", [])


@guarded
def page() -> None:
    """Draw the page."""
    styled()
    items = _items()
    st.header("Your report")
    st.markdown(
        "What you put in with **Add to the report** on Explore, Ablate, Compare and Runs. It is "
        "kept as long as this tab is open; **download it to keep it**."
    )
    title = st.text_input(
        "Title", "Prompt Diffuser: a report", key="report-title", help="Heads both files."
    )
    notes = st.text_area(
        "Your words",
        key="report-notes",
        placeholder="What was asked, and what came out.",
        help="Markdown; it stands before everything else.",
    )
    places = st.columns(3)
    for place, (name, made, kind) in zip(
        places,
        (
            ("Markdown", lambda: markdown(title, notes, items), "md"),
            ("HTML with figures", lambda: page_of(title, notes, items), "html"),
            ("BibTeX", bibtex, "bib"),
        ),
        strict=True,
    ):
        place.download_button(
            name,
            lambda made=made: made().encode(),
            f"report.{kind}",
            "text/plain",
            icon=":material/download:",
            on_click="ignore",
            key=f"report-{kind}",
            width="stretch",
            help={
                "md": "Words, numbers and commands; figures are in the HTML.",
                "html": "One file that any browser opens; its figures are saved as SVG or printed "
                "as PDF from there.",
                "bib": "The method, the frozen model, and this software.",
            }[kind],
        )
    if not items:
        st.info(
            "Nothing yet. Press **Add to the report** beside a result.",
            icon=":material/note_add:",
        )
    for number, item in enumerate(items):
        left, right = st.columns([6, 1], vertical_alignment="center")
        left.subheader(item.title)
        if right.button("Remove", key=f"report-remove-{number}", help="Takes it out again."):
            items.pop(number)
            st.rerun()
        st.markdown(item.words)
        if item.address:
            st.markdown(f"[Where it was seen](.{item.address})")
        for name, figure in item.figures.items():
            st.plotly_chart(figure, key=f"report-{number}-{name}", alt=f"{item.title}: {name}.")
        if item.table is not None:
            st.dataframe(item.table, hide_index=True, key=f"report-table-{number}")
        if item.commands:
            st.code("\n".join(item.commands), language="sh", wrap_lines=True)
    with st.expander("How to cite this", icon=":material/format_quote:", expanded=not items):
        st.code(bibtex(), language="latex")


def markdown(title: str, notes: str, items: list[Item]) -> str:
    """Return the report as Markdown: words, numbers and commands.

    Args:
        title: Of the report.
        notes: The reader's own words.
        items: What was collected.
    """
    parts = [f"# {title}", notes]
    for item in items:
        parts += [f"## {item.title}", item.words]
        if item.table is not None:
            parts.append(_plain_table(item.table))
        if item.commands:
            parts.append("```sh\n" + "\n".join(item.commands) + "\n```")
        if item.address:
            parts.append(f"Seen at `{item.address}` of the workbench.")
    parts += ["## References", f"```bibtex\n{bibtex()}```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def page_of(title: str, notes: str, items: list[Item]) -> str:
    """Return the report as one page of HTML with its figures inside.

    Args:
        title: Of the report.
        notes: The reader's own words.
        items: What was collected.
    """
    figures = {
        f"{number}. {item.title}: {name}": figure
        for number, item in enumerate(items, 1)
        for name, figure in item.figures.items()
    }
    words = html.escape(markdown(title, notes, items))
    return as_html(figures, title, f"<pre class='words'>{words}</pre>")


def _plain_table(table: pd.DataFrame) -> str:
    """Return a table as Markdown has it."""
    head = [str(column) for column in table]
    rows = [[_said(value) for value in row] for row in table.itertuples(index=False)]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _said(value: object) -> str:
    if isinstance(value, float):
        return "–" if pd.isna(value) else f"{value:.3g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
