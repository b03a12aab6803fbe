"""What the verbs that run sweeps share: live progress, failures, the comparison of a few cells."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import pandas as pd
from tqdm import tqdm

from workbench.commands.output import print_result
from workbench.paper.measured import Runs, beside_shipped
from workbench.paper.numbers import interval, number
from workbench.paper.tables import Cells
from workbench.runs.run_table import rows
from workbench.runs.store import RunStore
from workbench.runs.sweep import RETRIES, Done, Engine, Processes, missing, sweep
from workbench.tuning.spec import RunSpec


def run_missing(
    specs: Iterable[RunSpec],
    store: RunStore,
    workers: int = 1,
    engine: Engine | None = None,
    retries: int = RETRIES,
) -> list[Done]:
    """Run what is missing under a progress bar; say on stderr what failed, and return that."""
    engine = engine or Processes(workers, retries)
    due, failed = missing(specs, store), []
    with tqdm(total=len(due), unit="run", smoothing=0.1, disable=not due) as bar:

        def tell() -> None:
            running = min(engine.workers, len(due) - bar.n)
            bar.set_postfix_str(f"running {running}, failed {len(failed)}")

        tell()
        for done in sweep(due, store, workers=workers, engine=engine, retries=retries):
            if done.error is not None:
                failed.append(done)
                what = f"{done.spec.family} {done.spec.task} {done.spec.method}"
                bar.write(f"failed: {what}: {done.error}", file=sys.stderr)
            bar.update()
            tell()
    if failed:
        text = f"{len(failed)} of {len(due)} runs failed; each has {store.root}/ID/error.txt"
        print(text, file=sys.stderr)
    return failed


def compare_anew(
    few: Cells,
    whole: Cells,
    shipped: pd.DataFrame,
    store: RunStore,
    workers: int,
    as_json: bool,
) -> list[Done]:
    """Run some cells anew, print each beside the shipped runs, and return what failed.

    Args:
        few: What to run of each cell.
        whole: The same cells as they ship.
        shipped: The shipped runs; none of them is needed.
        store: Where the fresh runs are kept.
        workers: Processes.
        as_json: As JSON.
    """
    wanted = [spec for cell in few.values() for spec in cell]
    for spec in wanted:
        store.forget(spec.id)
    failed = run_missing(wanted, store, workers)
    there = rows(store, [i for i in dict.fromkeys(s.id for s in wanted) if i in store])
    result = beside_shipped(few, Runs.of(there), whole, Runs.of(shipped))
    if as_json:
        print_result(json.loads(result.to_json(orient="records")), True)
        return failed
    print(
        "fresh: mean return of the fresh runs. same: of the shipped runs of the same seed and "
        "tasks, and where another seed of these tasks lies in 95 %, by all seeds that ship. "
        "IQM: of the whole shipped cell, which has more tasks."
    )
    for column, part in result.groupby("column", sort=False):
        print(f"\n{column}")
        print_result(_quick_people(part), False)
    return failed


def _quick_people(part: pd.DataFrame) -> pd.DataFrame:
    words = {True: "yes", False: "no"}
    return pd.DataFrame(
        {
            "": r["row"],
            "fresh": number(r["fresh"]),
            "same [95 % of a further seed]": interval(r["same"], r["same_low"], r["same_high"]),
            "within": words.get(r["within_same"], "–"),
            "IQM [95 %]": interval(r["iqm"], r["iqm_low"], r["iqm_high"]),
            "within it": words.get(r["within_iqm"], "–"),
            "runs": r["runs"],
        }
        for _, r in part.iterrows()
    )
