"""The verb that prints the paper's tables beside our runs, and makes these.

What ships whole is printed as it is kept, without torch; the rest is ``table_runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from tyro.conf import Positional, arg

from workbench.commands.environment import load_torch
from workbench.commands.output import Json, print_result, records
from workbench.data.qualities import QUALITIES
from workbench.paper.listed import ALL, NEEDS_GRADIENT, SEEDS, listed
from workbench.paper.numbers import ends, interval, number

TABLES = Path("build/tables")


def table(
    name: Positional[
        Annotated[
            Literal["1", "2", "3", "guidance", "models", "search"],
            arg(metavar="{1,2,3,guidance,models,search}", help="Which table."),
        ]
    ],
    run: Annotated[bool, arg(help="Run what the store lacks first.")] = False,
    quick: Annotated[
        bool,
        arg(help="Run a sixth anew (1 seed, 2 tasks a family) and compare with what ships."),
    ] = False,
    keep: Annotated[bool, arg(help="Enter the runs of the store into assets/results.")] = False,
    store: Annotated[
        Path | None, arg(help=f"Folder of runs to print instead of what ships; {TABLES} to run.")
    ] = None,
    workers: Annotated[int, arg(help="Processes that run.")] = 1,
    families: Annotated[tuple[str, ...], arg(help="Families; all of the table if left out.")] = (),
    methods: Annotated[
        tuple[str, ...], arg(help="Methods, such as prompt-diffuser; all if left out.")
    ] = (),
    seeds: Annotated[tuple[int, ...], arg(help="Seeds of the adaptation.")] = SEEDS,
    data: Annotated[
        tuple[str, ...],
        arg(help="Of `guidance`: few-shot data; other robots than Cheetah-vel have medium alone."),
    ] = QUALITIES,
    as_json: Json = False,
) -> None:
    """Print a table of arXiv 2411.01168 beside our runs, by default from the runs that ship.

    IQM: interquartile mean over seeds and tasks, with its 95 % interval over seeds.
    Mean: over seeds, ± sd, as published. `models`: those of other papers under the same prompts.
    `search`: what the settings were chosen from.
    Killed, `--run` goes on where it was. What ships with the same id is not run again.
    """
    if name == "search" and (quick or families or seeds != SEEDS or data != QUALITIES):
        raise ValueError(
            "`search` takes `--methods`, `--run`, `--keep`, `--store` and `--workers` alone: "
            "leave out the others."
        )
    if unknown := sorted(set(data) - set(QUALITIES)):
        raise ValueError(f"`data` must be of {', '.join(QUALITIES)}: got {unknown[0]!r}.")
    if name != "guidance" and data != QUALITIES:
        raise ValueError(f"`data` is of the table guidance: leave it out of table {name}.")
    if quick and (run or keep):
        raise ValueError("`--quick` runs by itself and keeps nothing: leave out the others.")
    part = families or methods or seeds != SEEDS or data != QUALITIES
    if not (run or quick or keep or part) and store is None:
        answer = listed("table", name)
        if answer is not None:
            (_print_search if name == "search" else _print_table)(answer, as_json)
            return
    load_torch()
    from workbench.commands import table_runs

    if name == "search":
        table_runs.search_settings(run, keep, store, workers, methods, as_json)
        return
    if run or keep:
        store = store or TABLES
    which = {"families": families, "methods": methods, "seeds": seeds, "data": data}
    if quick:
        table_runs.quick(name, which, store, workers, as_json)
        return
    answer, failed = table_runs.answered(name, which, run, keep, store, workers)
    _print_table(answer, as_json)
    if failed:
        raise SystemExit(1)


def _print_search(rows: list[dict[str, Any]], as_json: bool) -> None:
    print_result(rows if as_json else pd.DataFrame(rows), as_json)


def _print_table(answer: dict[str, Any], as_json: bool) -> None:
    """Print a table, see ``listing.table_answer``."""
    if as_json:
        print_result(answer, True)
        return
    where = f"machine: {', '.join(answer['machine'])}; commit: {', '.join(answer['commit'])}"
    made = where if answer["runs"] else "nothing was run yet"
    print(f"{answer['runs']} of {answer['of']} runs; {made}")
    if answer["outdated"]:
        print(f"{answer['outdated']} of them read other files than those that ship now")
    print(f"{answer['missing_cells']} of {answer['cells']} cells are missing (–)")
    for column, part in pd.DataFrame(answer["rows"]).groupby("column", sort=False):
        print(f"\n{column}{': ' + _NORMALISED if column == ALL else ''}")
        print_result(_people(part), False)


_NORMALISED = "0 is the random behaviour policy, 1 the expert"


def _people(part: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one column of a table as people read them."""
    digits = 3 if part["column"].iloc[0] == ALL else 1
    lines = []
    for _, r in part.iterrows():
        line = {
            "": r["row"],
            "IQM [95 %]": interval(r["iqm"], r["iqm_low"], r["iqm_high"], digits)
            if r["of"]
            else NEEDS_GRADIENT,
            "mean ± sd": _with_sd(r["mean"], r["sd"], digits),
            "published": _with_sd(r["published"], r["published_sd"], 1),
            "P(better than Prompt-DT)": interval(
                r["improvement"], r["improvement_low"], r["improvement_high"], 2
            ),
            "trainable": _trainable(r["trainable"], r["share"]),
            "s/run": number(r["seconds"]),
            "seeds × tasks × episodes": f"{r['seeds']} × {r['tasks']} × {number(r['episodes'], 0)}",
            "runs": f"{r['runs']}/{r['of']}",
        }
        if part["env_steps"].notna().any():
            line["steps in the task"] = number(r["env_steps"], 0)
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.loc[:, [c for c in table if c in ("", "IQM [95 %]") or (table[c] != "–").any()]]


def _with_sd(mean: float, sd: float, digits: int) -> str:
    return number(mean, digits) + ("" if pd.isna(sd) else f" ± {number(sd, digits)}")


def _trainable(number: float, share: float) -> str:
    if pd.isna(number) or not number:
        return "–"
    return f"{number:,.0f} ({100 * share:.3g} %)"


def findings(
    store: Annotated[
        Path | None, arg(help="Folder of runs to judge instead of what ships.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the claims of arXiv 2411.01168, one by one, by the runs of the tables.

    Difference: mean over pairs of the same seed and task, with its 95 % interval over seeds.
    Corrected (Holm, over all comparisons of a table): its place alone decides. Above 0 is a yes
    to "better", below a no, around 0 undecided; for "near" 0 is the limit, on normalised returns.
    """

    load_torch()
    from workbench.commands import table_runs

    found = table_runs.judged(store)
    if as_json:
        print_result(records(found), True)
        return
    for (claim, source), part in found.groupby(["claim", "source"], sort=False):
        print(f"\n{claim} ({source})")
        print_result(_judged_people(part), False)


def _judged_people(part: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "": r["comparison"],
            "difference [95 %]": interval(r["difference"], r["low"], r["high"]),
            "corrected": ends(r["corrected_low"], r["corrected_high"]),
            "p, corrected": number(r["p_holm"], 3),
            "published": number(r["published"]),
            "holds": r["verdict"],
            "pairs": r["pairs"],
        }
        for _, r in part.iterrows()
    )
