"""The verb that prints the paper's tables beside our runs, and makes these."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from tyro.conf import Positional, arg

from workbench.commands.output import (
    Json,
    command,
    ends,
    interval,
    number,
    print_result,
    records,
)
from workbench.commands.sweep_progress import compare_anew, run_missing
from workbench.data.qualities import QUALITIES
from workbench.paper import claims
from workbench.paper.measured import ALL, Runs, assemble
from workbench.paper.settings_search import merged, ranking, search
from workbench.paper.tables import NEEDS_GRADIENT, SEEDS, Cells, TableName, cells, runs_of
from workbench.runs.run_table import (
    COLUMNS,
    load_results,
    made,
    results_path,
    rows,
    save_results,
    shipped,
)
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import FAMILIES
from workbench.tuning.spec import RunSpec

TABLES, QUICK, SEARCH = Path("build/tables"), Path("build/quick"), Path("build/search")
QUICK_FAMILIES, QUICK_TASKS = ("cheetah-vel", "cheetah-dir"), 2


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
        arg(help="Of `guidance`: few-shot data; medium and random are of Cheetah-vel alone."),
    ] = ("expert",),
    as_json: Json = False,
) -> None:
    """Print a table of arXiv 2411.01168 beside our runs, by default from the runs that ship.

    IQM: interquartile mean over seeds and tasks, with its 95 % interval over seeds.
    Mean: over seeds, ± sd, as published. `models`: those of other papers under the same prompts.
    `search`: what the settings were chosen from.
    Killed, `--run` goes on where it was. What ships with the same id is not run again.
    """
    if name == "search":
        if quick or families or seeds != SEEDS or data != ("expert",):
            raise ValueError(
                "`search` takes `--methods`, `--run`, `--keep`, `--store` and `--workers` alone: "
                "leave out the others."
            )
        _search(run, keep, store, workers, methods, as_json)
        return
    if unknown := sorted(set(data) - set(QUALITIES)):
        raise ValueError(f"`data` must be of {', '.join(QUALITIES)}: got {unknown[0]!r}.")
    if name != "guidance" and data != ("expert",):
        raise ValueError(f"`data` is of the table guidance: leave it out of table {name}.")
    if quick:
        if run or keep:
            raise ValueError("`--quick` runs by itself and keeps nothing: leave out the others.")
        _quick(name, families, methods, seeds, data, store or QUICK, workers, as_json)
        return
    chosen = cells(name, families=families, methods=methods, seeds=seeds, data=data)
    wanted, failed = runs_of(chosen), []
    if run or keep:
        store = store or TABLES
    # a store alone is printed alone; what ships counts where the rest is made, or kept beside it
    ships = shipped({spec.id for spec in wanted} if run or keep else ())
    if run:
        lacking = [spec for spec in wanted if spec.id not in set(ships["run"])]
        failed = run_missing(lacking, RunStore(store, numbers_alone=True), workers)
    there = _shipped(name) if store is None else made(RunStore(store), wanted, ships)
    if keep:
        _keep(name, there)
    _print(name, chosen, Runs.of(there), wanted, as_json)
    if failed:
        raise SystemExit(1)


def _search(
    run: bool,
    keep: bool,
    store: Path | None,
    workers: int,
    methods: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the candidates of the validation search, best first; run and keep them if asked."""
    if run or keep:
        store = store or SEARCH
    failed, wanted = [], search(methods) if methods else search()
    if run:
        failed = run_missing(wanted, RunStore(store, numbers_alone=True), workers)
    if store is None:
        there = load_results(results_path("search"))
    else:
        kept = RunStore(store)
        there = rows(kept, [spec.id for spec in wanted if spec.id in kept])
    if keep:
        if not len(there):
            raise ValueError("There is nothing to keep: the store has no run of this search.")
        there = merged(_shipped("search"), there)
        path = results_path("search")
        save_results(path, there)
        # what is kept of some methods lies beside what was kept of the others
        whole = "python -m workbench table search --run --keep"
        assets.record(path, command=whole, seed=0, runs=len(there))
    names = {method.partition("/")[0] for method in methods}
    found = ranking(there[there["method"].isin(names)] if names else there)
    print_result(records(found) if as_json else found.round(2), as_json)
    if failed:
        raise SystemExit(1)


def _shipped(name: str) -> pd.DataFrame:
    path = results_path(name)
    return load_results(path) if path.exists() else pd.DataFrame(columns=list(COLUMNS))


def _keep(name: TableName, there: pd.DataFrame) -> None:
    """Enter runs into the shipped results; of those there before, what the table still needs."""
    if not len(there):
        raise ValueError("There is nothing to keep: the store has no run of this table.")
    each = name in ("1", "guidance", "models")
    families = tuple(FAMILIES) if each else ()  # a plug-in's runs stay too
    whole = cells(name, families=families, data=QUALITIES)
    path, before = results_path(name), _shipped(name)
    needed, again = Runs.of(before).find(runs_of(whole)), Runs.of(there).keys
    old = needed[~Runs.of(needed).keys.isin(again)]
    table = pd.concat([part for part in (old, there) if len(part)] or [there])
    table = table.sort_values(["family", "method", "task", "seed", "run"], ignore_index=True)
    save_results(path, table)
    assets.record(path, command=command(), seed=0, runs=len(table))


def _print(
    name: TableName,
    chosen: Cells,
    runs: Runs,
    wanted: Sequence[RunSpec],
    as_json: bool,
) -> None:
    result = assemble(name, chosen, runs)
    used = runs.find(wanted)
    empty = int(((result["seeds"] == 0) & (result["of"] > 0)).sum())
    about = {
        "table": name,
        "runs": len(used),
        "of": len({spec.id for spec in wanted}),
        "cells": len(chosen),
        "missing_cells": empty,
        "outdated": runs.outdated(wanted),
        "machine": sorted(used["machine"].unique()),
        "commit": sorted(used["commit"].unique()),
    }
    if as_json:
        print_result({**about, "rows": json.loads(result.to_json(orient="records"))}, True)
        return
    where = f"machine: {', '.join(about['machine'])}; commit: {', '.join(about['commit'])}"
    print(f"{about['runs']} of {about['of']} runs; {where if len(used) else 'nothing was run yet'}")
    if about["outdated"]:
        print(f"{about['outdated']} of them read other files than those that ship now")
    print(f"{empty} of {len(chosen)} cells are missing (–)")
    for column, part in result.groupby("column", sort=False):
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
            "s/run": number(r["seconds"], 1),
            "seeds × tasks × episodes": f"{r['seeds']} × {r['tasks']} × {number(r['episodes'])}",
            "runs": f"{r['runs']}/{r['of']}",
        }
        if part["env_steps"].notna().any():
            line["steps in the task"] = number(r["env_steps"])
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.loc[:, [c for c in table if c in ("", "IQM [95 %]") or (table[c] != "–").any()]]


def _with_sd(mean: float, sd: float, digits: int) -> str:
    return number(mean, digits) + ("" if pd.isna(sd) else f" ± {number(sd, digits)}")


def _trainable(number: float, share: float) -> str:
    if pd.isna(number) or not number:
        return "–"
    return f"{number:,.0f} ({100 * share:.3g} %)"


def _quick(
    name: TableName,
    families: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    data: tuple[str, ...],
    folder: Path,
    workers: int,
    as_json: bool,
) -> None:
    """Run the first seed and two tasks of each family anew, and print each cell as shipped."""
    if not families and name in ("1", "guidance"):
        families = QUICK_FAMILIES
    whole = cells(name, families=families, methods=methods, data=data)
    few: Cells = {
        place: _first_tasks(cell)
        for place, cell in cells(
            name, families=families, methods=methods, seeds=seeds[:1], data=data
        ).items()
    }
    failed = compare_anew(few, whole, _shipped(name), RunStore(folder), workers, as_json)
    if failed:
        raise SystemExit(1)


def _first_tasks(cell: Sequence[RunSpec]) -> list[RunSpec]:
    tasks: dict[str, dict[int, None]] = {}
    for spec in cell:
        tasks.setdefault(spec.family, {}).setdefault(spec.task)
    return [s for s in cell if s.task in list(tasks[s.family])[:QUICK_TASKS]]


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

    def runs(name: TableName) -> Runs:
        if store is None:
            return Runs.of(_shipped(name))
        kept = RunStore(store)
        ids = dict.fromkeys(s.id for s in runs_of(cells(name, data=QUALITIES)))
        return Runs.of(rows(kept, [i for i in ids if i in kept]))

    found = pd.DataFrame(claims.findings(runs))
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
            "difference [95 %]": interval(r["difference"], r["low"], r["high"], 1),
            "corrected": ends(r["corrected_low"], r["corrected_high"], 1),
            "p, corrected": number(r["p_holm"], 3),
            "published": number(r["published"], 1),
            "holds": r["verdict"],
            "pairs": r["pairs"],
        }
        for _, r in part.iterrows()
    )
