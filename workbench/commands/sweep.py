"""The verb that runs a grid, or a named set of runs, on this machine or a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from tyro.conf import OmitArgPrefixes, Positional, arg

from workbench.commands.output import Json, command, duration, print_result, records
from workbench.commands.settings import HELP, Settings
from workbench.commands.sweep_progress import compare_anew, run_missing
from workbench.networks.models import MODELS
from workbench.networks.variants import VARIANTS
from workbench.paper import ablation, any_data, curves, factorial, lengths, model_size, phases
from workbench.paper.measured import Runs
from workbench.paper.tables import Cells
from workbench.runs.duration import Expected, expected, known_runs
from workbench.runs.grid import specs as grid_specs
from workbench.runs.grid import value_of, varied
from workbench.runs.remote import CACHE, open_store
from workbench.runs.run_table import (
    COLUMNS,
    load_results,
    load_shipped,
    made,
    results_path,
    save_results,
    shipped,
)
from workbench.runs.store import RunStore
from workbench.runs.sweep import RETRIES, Done, Engine, Processes
from workbench.shipped import assets
from workbench.tasks import did_you_mean
from workbench.tuning.spec import RunSpec

PRESETS = {
    module.NAME: module
    for module in (ablation, phases, factorial, any_data, model_size, lengths, curves)
}
_FIELD_HELP = {
    "family": "Task families.",
    "task": "Indices of tasks; every test task of the family if left out.",
    "quality": "Few-shot trajectories: expert, medium, random, own:NAME.",
    "method": "Ways of adapting; `methods` lists them.",
    "updates": "Optimisation steps; as in the tables if left out.",
    "seed": "Seeds of the adaptation.",
    "eval_every": "Updates between two evaluations; 0 evaluates at the end alone.",
    "episodes": "Episodes per evaluation.",
    "prompts": "Qualities of the initial prompt's trajectories, where it is another one.",
    "split": "Which tasks are held back: test, validation, out-of-distribution.",
    "precision": "What tuning computes in: auto, fp32, bf16.",
    "variant": f"Other networks, made on demand: {', '.join(VARIANTS)}.",
    "model": f"Frozen models that are prompted: {', '.join(MODELS)}.",
}
_DEFAULTS = {"quality": ("medium",), "method": ("prompt-diffuser",), "seed": ("0",)}


def _axes() -> list[tuple[str, Any, Any]]:
    names = [field.name for field in dataclasses.fields(Settings)]
    texts = _FIELD_HELP | {n: HELP.get(n, "A setting of a method of your own.") for n in names}
    return [
        (name, Annotated[tuple[str, ...], _said(text, _DEFAULTS.get(name, ()))],
         _DEFAULTS.get(name, ()))
        for name, text in texts.items()
    ]  # fmt: skip


def _said(text: str, default: tuple[str, ...]) -> Any:
    hint = f"(default: {' '.join(default)})" if default else ""
    return arg(help=text, metavar="VALUE ...", help_behavior_hint=hint)


Axes = dataclasses.make_dataclass("Axes", _axes(), frozen=True)
"""Values of each field and setting, as words; a grid is every combination."""
ALL_DEFAULTS = Axes()


def sweep(
    preset: Positional[
        Annotated[
            str, arg(metavar="[PRESET]", help=f"A named set of runs instead: {', '.join(PRESETS)}.")
        ]
    ] = "",
    axes: OmitArgPrefixes[Axes] = ALL_DEFAULTS,
    dry_run: Annotated[
        bool, arg(help="Say what is there, what is lacking and how long it will take; run nothing.")
    ] = False,
    untuned: Annotated[
        bool, arg(help="Add the untuned run that each is compared with, as the pages need it.")
    ] = True,
    store: Annotated[
        str,
        arg(help="Folder or URL (s3://, …) of runs; left out: runs/, of a preset build/PRESET."),
    ] = "",
    cache: Annotated[
        Path, arg(help="With a URL: folder of each machine where runs are recorded.")
    ] = CACHE,
    engine: Annotated[
        Literal["process", "ray"], arg(help="Processes of this machine, or a Ray cluster.")
    ] = "process",
    address: Annotated[
        str, arg(help="Of the Ray cluster; a small one is started here if left out.")
    ] = "",
    workers: Annotated[
        int | None, arg(help="Runs at the same time: 1, or all CPUs of the cluster, if left out.")
    ] = None,
    retries: Annotated[int, arg(help="Further attempts at a run that fails.")] = RETRIES,
    out: Annotated[
        Path | None, arg(help="Write the runs as a Parquet table: one row each.")
    ] = None,
    quick: Annotated[
        bool, arg(help="Of a preset: run a few cells anew and compare with what ships.")
    ] = False,
    keep: Annotated[bool, arg(help="Of a preset: enter its runs into assets/results.")] = False,
    whole: Annotated[
        bool,
        arg(help="Keep chains, first episodes and tuned weights too, of what is run now."),
    ] = False,
    run: Annotated[
        bool, arg(help="Run what is lacking; --no-run sums up, or keeps, what is there.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Run every combination of some values, or a preset; only what the store lacks.

    Every flag of a field or setting takes several values, `0..9` is a range of whole numbers.
    Left out, a field is as the tables run it, and a setting the method's own. Stopped or killed,
    the same command goes on where it was. A run that fails keeps its error as ID/error.txt.
    A preset does not run again what ships with the same id.

      python -m workbench sweep --family cheetah-vel --lam 0 0.1 1 10 --projection none subspace \\
          --seed 0..2 --workers 2 --dry-run
      python -m workbench sweep ablation --quick --workers 2
      python -m workbench sweep ablation --engine ray --address auto --store s3://bucket/runs
    """
    if preset and preset not in PRESETS:
        raise ValueError(f"There is no preset {preset!r}.{did_you_mean(preset, list(PRESETS))}")
    if preset and axes != ALL_DEFAULTS:
        raise ValueError(f"The preset {preset} is a grid by itself: leave out what names values.")
    if (quick or keep) and not preset:
        raise ValueError("`--quick` and `--keep` are of a preset, such as `sweep ablation`.")
    if quick and preset != ablation.NAME:
        raise ValueError(f"`--quick` is of `sweep {ablation.NAME}`: leave it out of {preset}.")
    if quick and (keep or engine == "ray" or dry_run):
        raise ValueError("`--quick` keeps nothing and runs here: leave out the others.")
    if engine == "process" and address:
        raise ValueError("`--address` is of a Ray cluster: add `--engine ray`.")
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be a whole number from 1 up: got {workers}.")
    where = store or ("build/quick" if quick else f"build/{preset}" if preset else "runs")
    place = open_store(where, cache, numbers_alone=not whole)
    if engine == "ray" and type(place) is RunStore:
        # workers have folders of their own
        place = RunStore(place.root.resolve(), numbers_alone=not whole)
    if quick:
        _quick(place, workers or 1, as_json)
        return
    if preset:
        wanted = PRESETS[preset].specs()
        ships = shipped({spec.id for spec in wanted})
    else:
        wanted = grid_specs(dataclasses.asdict(axes), untuned=untuned)
        ships = pd.DataFrame(columns=list(COLUMNS))
    lacking = [spec for spec in wanted if spec.id not in set(ships["run"])]
    if dry_run:
        _plan(wanted, lacking, place, workers or 1, as_json)
        return
    began, before = time.perf_counter(), sum(place.settled(spec.id) for spec in lacking)
    try:
        with _engine(engine, address, workers, retries) as running:
            due = lacking if run else []
            failed = run_missing(due, place, running.workers, running, retries)
    except KeyboardInterrupt:
        print(f"\nGo on with: {command()}", file=sys.stderr)
        raise
    there = sum(spec.id in place for spec in lacking)
    table = made(place, wanted, ships)
    if out is not None:
        save_results(out, table)
    if keep:
        _keep(preset, wanted, table)
    result = {
        "store": getattr(place, "url", str(place.root)),
        "runs": len(wanted),
        "made": there - before,
        "lacking": len(wanted) - len(table),
        "seconds": round(time.perf_counter() - began, 1),
    }
    _print(result, _summary(wanted, table), failed, as_json)
    if failed:
        raise SystemExit(1)


@contextlib.contextmanager
def _engine(name: str, address: str, workers: int | None, retries: int) -> Iterator[Engine]:
    if name == "process":
        yield Processes(workers or 1, retries)
        return
    from workbench.runs.ray_cluster import RayCluster

    cluster = RayCluster(address or None, workers, retries)
    try:
        yield cluster
    finally:
        cluster.close()


def _plan(
    wanted: Sequence[RunSpec],
    due: Sequence[RunSpec],
    store: RunStore,
    workers: int,
    as_json: bool,
) -> None:
    """Print what is there, what is lacking of what does not ship, and what that will take."""
    lacking = [spec for spec in due if spec.id not in store]
    guess: Expected = expected(lacking, known_runs(store))
    known = guess.known > 0
    plan = {
        "runs": len(wanted),
        "there": len(wanted) - len(lacking),
        "lacking": len(lacking),
        "seconds": round(guess.seconds / workers, 1) if known else None,
        "workers": workers,
        "alike": guess.alike,
        "known": guess.known,
    }
    if as_json:
        print_result(plan, True)
        return
    print(f"{plan['runs']} runs: {plan['there']} are there, {plan['lacking']} are lacking.")
    if not lacking:
        return
    if not known:
        print("Nothing is known of how long they take: no run like them was timed.")
        return
    people = "1 worker" if workers == 1 else f"{workers} workers"
    print(
        f"About {duration(guess.seconds / workers)} on {people}, from {guess.known} timed runs; "
        f"{guess.alike} of the {len(lacking)} share family and method with one of them."
    )


def _summary(wanted: Sequence[RunSpec], table: pd.DataFrame) -> pd.DataFrame:
    """Return mean returns by what varies, over tasks and seeds."""
    by_id = {spec.id: spec for spec in wanted}
    names = varied(wanted) or ["method"]
    if table.empty:
        return pd.DataFrame(columns=[*names, "return_mean", "sd_over_seeds", "runs"])
    values = [{n: value_of(by_id[run], n) for n in names} for run in table["run"]]
    frame = pd.DataFrame(values).astype(object).where(lambda f: f.notna(), None)
    frame = frame.assign(value=table["return_mean"].to_numpy(), seed=table["seed"].to_numpy())
    groups = frame.groupby(names, sort=False, dropna=False)
    found = groups["value"].agg(return_mean="mean", runs="size")
    seeds = frame.groupby([*names, "seed"], sort=False, dropna=False)["value"].mean()
    found["sd_over_seeds"] = seeds.groupby(names, sort=False, dropna=False).std()
    return found.reset_index()[[*names, "return_mean", "sd_over_seeds", "runs"]]


def _print(result: dict, summary: pd.DataFrame, failed: list[Done], as_json: bool) -> None:
    if as_json:
        errors = [{"run": d.run, "error": d.error} for d in failed]
        print_result({**result, "failed": errors, "rows": records(summary)}, True)
        return
    print_result(result, False)
    print()
    print_result(summary.round(2), False)


def _quick(store: RunStore, workers: int, as_json: bool) -> None:
    """Run the few cells of the ablation anew and compare them with what ships."""
    few, whole = _cells(ablation.QUICK), _cells(ablation.WHOLE)
    if compare_anew(few, whole, load_shipped(ablation.NAME), store, workers, as_json):
        raise SystemExit(1)


def _cells(grids: Sequence[ablation.Grid]) -> Cells:
    """Return the runs of every cell: (λ and projection, family and data)."""
    return {
        (f"λ {lam:g}, {projection}", f"{grid.family}, {quality} data"): grid.cell(
            quality, projection, lam
        )
        for grid in grids
        for quality, projection, lam in grid.cells()
    }


def _keep(name: str, wanted: Sequence[RunSpec], there: pd.DataFrame) -> None:
    """Enter runs into the shipped results; of those there before, what the preset still needs."""
    if there.empty:
        raise ValueError(f"There is nothing to keep: the store has no run of {name}.")
    path, parts = results_path(name), [there]
    if path.exists():
        before = Runs.of(load_results(path)).find(wanted)
        parts.insert(0, before[~Runs.of(before).keys.isin(Runs.of(there).keys)])
    table = pd.concat([part for part in parts if len(part)])
    table = table.sort_values(["family", "method", "task", "seed", "run"], ignore_index=True)
    save_results(path, table)
    assets.record(path, command=command(), seed=0, runs=len(table))
