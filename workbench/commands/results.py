"""The verb that writes the measured tables of the documentation, so that none is typed by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pandas as pd
from tyro.conf import arg

from workbench.commands.markdown import between, cell, limits, markdown, runs_of
from workbench.commands.measured_ablations import ABLATIONS
from workbench.commands.output import Json, print_result
from workbench.data.atomic_files import whole_file
from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.paper import (
    curves,
    listed,
    listing,
    pretraining_seeds,
)
from workbench.paper.claims import findings
from workbench.paper.measured import CAUTION, assemble
from workbench.paper.numbers import number
from workbench.paper.settings_search import ranking
from workbench.paper.tables import BY_QUALITY, TableName, cells
from workbench.runs.run_table import load_shipped
from workbench.shipped import assets
from workbench.tasks import FAMILIES, SHIPPED

ROOT = assets.ROOT.parent
_BLOCK = re.compile(r"(<!-- measured: (.+?) -->\n).*?(<!-- end -->)", re.S)


def pages() -> tuple[Path, ...]:
    """Return the files of the repository that may hold measured tables."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def results(
    write: Annotated[bool, arg(help="Write them; without it, only say which are old.")] = False,
    files: Annotated[
        tuple[Path, ...], arg(help="Whose marked blocks; the README and the site by default.")
    ] = (),
    as_json: Json = False,
) -> None:
    """Write the measured tables of README and site anew from the runs that ship.

    With them, unless some files are named, what `table` and `methods` print of all that ships.
    A block stands between `<!-- measured: NAME -->` and `<!-- end -->`. Exit status 1: some block
    is old and was not written.
    """
    blocks, old = 0, []
    for path in files or pages():
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error}. Name others by --files.") from error
        fresh, names = refreshed(text)
        blocks += len(_BLOCK.findall(text))
        old += [f"{path.name}: {name}" for name in names]
        if write and names:
            with whole_file(path) as partial:
                partial.write_text(fresh, encoding="utf-8")
    if not files and not listed.is_fresh():
        old.append(listed.path().name)
        if write:
            listing.keep()
    print_result({"blocks": blocks, "old": old, "written": write}, as_json)
    if old and not write:
        raise SystemExit(1)


def refreshed(text: str) -> tuple[str, list[str]]:
    """Return a text with its blocks made anew, and the names of those that were old.

    Raises:
        ValueError: if a block has a name that nobody knows.
    """
    old = []

    def block(found: re.Match) -> str:
        name = found[2]
        if name not in BLOCKS:
            raise ValueError(f"There is no block {name!r}: it must be one of {', '.join(BLOCKS)}.")
        new = f"{found[1]}{BLOCKS[name]()}\n{found[3]}"
        if new != found[0]:
            old.append(name)
        return new

    return _BLOCK.sub(block, text), old


def _assembled(name: TableName) -> pd.DataFrame:
    return assemble(name, cells(name), runs_of(name)).set_index(["row", "column"])


def _means(r: pd.Series) -> str:
    """Return our mean beside the published one, where there is one."""
    if pd.isna(r["published"]):
        return ""
    return f"<br>{_mean(r)}"


def _mean(r: pd.Series) -> str:
    beside = "" if pd.isna(r["published"]) else f" *({number(r['published'])})*"
    return number(r["mean"]) + beside


def _trainable(r: pd.Series) -> str:
    if pd.isna(r["trainable"]) or not r["trainable"]:
        return "–"
    return f"{r['trainable']:,.0f} ({100 * r['share']:.3g}\u00a0%)"


def _table_1() -> str:
    table = _assembled("1")
    rows = list(dict.fromkeys(table.index.get_level_values("row")))
    head = ["", "trainable", *(FAMILIES[f].label for f in SHIPPED)]
    return markdown(
        head,
        [
            [
                _name(row),
                _trainable(table.loc[row, "cheetah-vel"]),
                *(cell(r := table.loc[row, f]) + _means(r) for f in SHIPPED),
            ]
            for row in rows
        ],
    )


def _name(row: str) -> str:
    return "Prompt Diffuser (as published)" if row == "Prompt Diffuser" else row


_HEADLINES = (
    "Prompt-DT, expert prompt",
    "Prompt-DT, expert prompt, late rows",
    "Soft Prompt",
    "Prompt-Tuning DT",
    "Prompt Diffuser",
    "Prompt Diffuser, told the task (ours)",
)


def _table_1_in_short() -> str:
    table = _assembled("1")
    lines = [
        [
            _name(row),
            *(_mean(table.loc[row, f]) for f in SHIPPED),
        ]
        for row in _HEADLINES
    ]
    return markdown(["", *(FAMILIES[f].label for f in SHIPPED)], lines)


def _table_2() -> str:
    table, lines = _assembled("2"), []
    for data in QUALITIES:
        for prompt in QUALITIES:
            row = f"{data} data, {prompt} prompt"
            sides = [table.loc[row, m] for m in ("Prompt-Tuning DT", "Prompt Diffuser")]
            lines.append([row, *(t for r in sides for t in (cell(r), _mean(r)))])
    head = ["learned from, initial prompt"]
    for method in ("Prompt-Tuning DT", "Prompt Diffuser"):
        head += [f"{method}, IQM", "mean *(published)*"]
    return markdown(head, lines)


def _by_quality() -> str:
    table = _assembled("2")
    lines = [
        [f"{q} data", *(cell(table.loc[f"{q} data, {q} prompt", m]) for m in BY_QUALITY)]
        for q in QUALITIES
    ]
    return markdown(["learned from, and initial prompt", *BY_QUALITY], lines)


def _plain(name: TableName) -> str:
    table = _assembled(name)
    rows, columns = (list(dict.fromkeys(table.index.get_level_values(i))) for i in (0, 1))
    columns = [c for c in columns if not c.startswith("all families")]

    def told(row: str, column: str) -> str:
        if (row, column) not in table.index:  # no column has to ask for every row
            return "–"
        found = table.loc[row, column]
        return cell(found) + _means(found)

    return markdown(["", *columns], [[row, *(told(row, c) for c in columns)] for row in rows])


def _pretraining_seeds() -> str:
    """Return what rows of the table of models do over pretraining seeds, a line each."""
    table = pretraining_seeds.assemble(cells("models"), runs_of("models"))
    lines = []
    for _, r in table.iterrows():
        more = ""
        if pd.notna(r["more"]):
            more = between(r["more"], r["more_low"], r["more_high"])
            more += f", {limits(r['corrected_low'], r['corrected_high'])}"
        over = between(r["mean"], r["mean_low"], r["mean_high"])
        lines.append([r["row"], *(number(v) for v in r["seeds"]), over, more])
    seeds = [f"seed {n}" for n in range(len(pretraining_seeds.COLUMNS))]
    return markdown(["", *seeds, "over the seeds", "above the expert prompt"], lines)


def _search() -> str:
    """Return the place of what the tables run among its candidates, and all candidates."""
    table, places, lines = ranking(load_shipped("search")), [], []
    for method, part in table.groupby("method", sort=False):
        part = part.reset_index(drop=True)
        found = [f"{n + 1}" for n in part.index[part["chosen"]]]
        places.append(f"{METHODS[method].label} {' and '.join(found) or 'none'} of {len(part)}")
        for _, r in part.iterrows():
            settings = f"**{r['settings']}**" if r["chosen"] else r["settings"]
            numbers = (number(r[name]) for name in (*QUALITIES, "mean", "normalised"))
            lines.append([METHODS[method].label, settings, str(r["updates"]), *numbers])
    head = ["", "settings", "updates", *(f"{q} data" for q in QUALITIES), "mean", "normalised"]
    said = f"Places of what the tables run (bold) by *normalised*: {'; '.join(places)}."
    return f"{said}\n\n{markdown(head, lines)}"


def _findings() -> str:
    judged = pd.DataFrame(findings(runs_of))
    lines = []
    for claim, part in judged.groupby("claim", sort=False):
        lines.append(
            [claim, *("<br>".join(_of(part, v)) or "–" for v in ("yes", "no", "undecided"))]
        )
    return markdown(["claim", "holds for", "does not hold for", "undecided for"], lines)


def _of(part: pd.DataFrame, verdict: str) -> list[str]:
    """Return the comparisons with a verdict: raw difference, its interval, the corrected one."""
    return [
        f"{r['comparison']} {between(r['difference'], r['low'], r['high'])}, "
        f"{limits(r['corrected_low'], r['corrected_high'])}"
        for _, r in part[part["verdict"] == verdict].iterrows()
    ]


def _curves() -> str:
    """Return when each method is of use, a line per method, two columns per quality."""
    table = curves.assemble(runs_of(curves.NAME))
    found = curves.useful(table)
    if found.empty:
        return f"*Not run yet: `python -m workbench sweep {curves.NAME}`.*"
    there = [q for q in QUALITIES if found["quality"].eq(q).any()]
    head = ["", *(w for q in there for w in (f"{q} data: useful after", "best"))]
    lines = []
    for row, part in found.groupby("row", sort=False):
        by_quality = part.set_index("quality")
        cells = []
        for q in there:
            r = by_quality.loc[q] if q in by_quality.index else None
            seconds = "–" if r is None else "never"
            if r is not None and pd.notna(r["seconds"]):
                seconds = f"{r['seconds']:.1f} s" if r["contexts"] else "no update"
            cells += [seconds, "–" if r is None else number(r["best"])]
        lines.append([row, *cells])
    return markdown(head, lines)


def _speed() -> str:
    """Return what `make bench` measured last, beside what was to be reached."""
    kept = json.loads((ROOT / "docs" / "bench.json").read_text())
    lines = []
    for part in kept["parts"].values():
        for r in part:
            low, high = (f"{r[end]:.3g}".replace("-", "−") for end in ("low", "high"))
            value = f"{r['median']:.3g}".replace("-", "−")
            unit = "" if r["unit"] == "return" else f" {r['unit']}"
            spread = "" if r["low"] == r["high"] else f" [{low}, {high}]"
            goal, met = "", ""
            if r["goal"] is not None:
                goal = f"{'at most' if r['at_most'] else 'at least'} {r['goal']:g}{unit}"
                met = "yes" if r["reached"] else "**no**"
            lines.append([r["name"], f"{value}{unit}{spread}", goal, met])
    told = [kept.get("processor", ""), kept["machine"], f"{kept['repeats']} repeats"]
    return markdown([", ".join(filter(None, told)), "", "goal", "met"], lines)


def _caution() -> str:
    return f"> **Caution.** {CAUTION}"


BLOCKS: dict[str, Callable[[], str]] = {
    "caution": _caution,
    "table 1, in short": _table_1_in_short,
    "table 1": _table_1,
    "table 2": _table_2,
    "table 2, other methods": _by_quality,
    "table 3": lambda: _plain("3"),
    "models": lambda: _plain("models"),
    "pretraining seeds": _pretraining_seeds,
    "guidance": lambda: _plain("guidance"),
    "search": _search,
    "findings": _findings,
    **ABLATIONS,
    "curves": _curves,
    "speed": _speed,
}
"""The name of a block → how its text is made from what ships."""
