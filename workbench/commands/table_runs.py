"""What the verbs ``table`` and ``findings`` do with runs: make, keep, sum up and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.commands.output import command, print_result, records
from workbench.commands.sweep_progress import compare_anew, run_missing
from workbench.data.qualities import QUALITIES
from workbench.paper import claims
from workbench.paper.listing import SEARCH, table_answer
from workbench.paper.measured import Runs
from workbench.paper.settings_search import merged, ranking, search
from workbench.paper.tables import Cells, TableName, cells, runs_of
from workbench.runs.run_table import (
    load_results,
    load_shipped,
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

QUICK, SEARCHED = Path("build/quick"), Path("build/search")
QUICK_FAMILIES, QUICK_TASKS = ("cheetah-vel", "cheetah-dir"), 2


def answered(
    name: TableName,
    which: dict[str, Any],
    run: bool,
    keep: bool,
    store: Path | None,
    workers: int,
) -> tuple[dict[str, Any], list]:
    """Return a table of what there is, and what failed of what was run first.

    Args:
        name: Which table.
        which: Of its cells, as ``tables.cells`` takes it.
        run: Run what the store lacks.
        keep: Enter the runs of the store into what ships.
        store: Folder of runs instead of what ships.
        workers: Processes that run.
    """
    chosen = cells(name, **which)
    wanted, failed = runs_of(chosen), []
    # a store alone is printed alone; what ships counts where the rest is made, or kept beside it
    ships = shipped({spec.id for spec in wanted} if run or keep else ())
    if run:
        lacking = [spec for spec in wanted if spec.id not in set(ships["run"])]
        failed = run_missing(lacking, RunStore(store, numbers_alone=True), workers)
    there = load_shipped(name) if store is None else made(RunStore(store), wanted, ships)
    if keep:
        _keep(name, there)
    return table_answer(name, chosen, Runs.of(there), wanted), failed


def search_settings(
    run: bool,
    keep: bool,
    store: Path | None,
    workers: int,
    methods: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the candidates of the validation search, best first; run and keep them if asked."""
    if run or keep:
        store = store or SEARCHED
    failed, wanted = [], search(methods) if methods else search()
    if run:
        failed = run_missing(wanted, RunStore(store, numbers_alone=True), workers)
    if store is None:
        there = load_results(results_path(SEARCH))
    else:
        kept = RunStore(store)
        there = rows(kept, [spec.id for spec in wanted if spec.id in kept])
    if keep:
        if not len(there):
            raise ValueError("There is nothing to keep: the store has no run of this search.")
        there = merged(load_shipped(SEARCH), there)
        path = results_path(SEARCH)
        save_results(path, there)
        # what is kept of some methods lies beside what was kept of the others
        whole = "python -m workbench table search --run --keep"
        assets.record(path, command=whole, seed=0, runs=len(there))
    names = {method.partition("/")[0] for method in methods}
    found = ranking(there[there["method"].isin(names)] if names else there)
    print_result(records(found) if as_json else found.round(2), as_json)
    if failed:
        raise SystemExit(1)


def quick(
    name: TableName, which: dict[str, Any], store: Path | None, workers: int, as_json: bool
) -> None:
    """Run the first seed and two tasks of each family anew, and print each cell as shipped."""
    if not which["families"] and name in ("1", "guidance"):
        which = {**which, "families": QUICK_FAMILIES}
        if name == "guidance" and set(which["data"]) == set(QUALITIES):
            which["data"] = QUALITIES[:1]  # one column of ten rows is enough
    first = {**which, "seeds": which["seeds"][:1]}
    few: Cells = {place: _first_tasks(cell) for place, cell in cells(name, **first).items()}
    whole = cells(name, **{n: value for n, value in which.items() if n != "seeds"})
    ships, own = load_shipped(name), RunStore(store or QUICK)
    failed = compare_anew(few, whole, ships, own, workers, as_json)
    if failed:
        raise SystemExit(1)


def judged(store: Path | None) -> pd.DataFrame:
    """Return every comparison of the claims: of a store of runs, or of what ships."""

    def runs(name: TableName) -> Runs:
        if store is None:
            return Runs.of(load_shipped(name))
        kept = RunStore(store)
        ids = dict.fromkeys(s.id for s in runs_of(cells(name)))
        return Runs.of(rows(kept, [i for i in ids if i in kept]))

    return pd.DataFrame(claims.findings(runs))


def _keep(name: TableName, there: pd.DataFrame) -> None:
    """Enter runs into the shipped results; of those there before, what the table still needs."""
    if not len(there):
        raise ValueError("There is nothing to keep: the store has no run of this table.")
    each = name in ("1", "guidance", "models")
    families = tuple(FAMILIES) if each else ()  # a plug-in's runs stay too
    whole = cells(name, families=families)
    path, before = results_path(name), load_shipped(name)
    needed, again = Runs.of(before).find(runs_of(whole)), Runs.of(there).keys
    old = needed[~Runs.of(needed).keys.isin(again)]
    table = pd.concat([part for part in (old, there) if len(part)] or [there])
    table = table.sort_values(["family", "method", "task", "seed", "run"], ignore_index=True)
    save_results(path, table)
    assets.record(path, command=command(), seed=0, runs=len(table))


def _first_tasks(cell: Sequence[RunSpec]) -> list[RunSpec]:
    tasks: dict[str, dict[int, None]] = {}
    for spec in cell:
        tasks.setdefault(spec.family, {}).setdefault(spec.task)
    return [s for s in cell if s.task in list(tasks[s.family])[:QUICK_TASKS]]
