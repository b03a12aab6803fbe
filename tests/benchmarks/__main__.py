"""``make bench``: run everything interleaved and print it; ``--keep`` enters it into ``docs/``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks import approach, cases, figure, growth, store_growth
from tests.benchmarks.timing import Result
from workbench.networks.fast.memory import keep_freed_memory
from workbench.networks.fast.processor import described
from workbench.runs.sweep import machine

ROOT = Path(__file__).resolve().parents[2]
DOCS, BUILD = ROOT / "docs", ROOT / "build" / "bench"


def parts(repeats: int) -> dict[str, Callable[[], Iterator[Result]]]:
    """Return what is measured, by name."""
    cheetah = {"exact fp32": 5.0, "exact bf16": 8.0, "block bf16": 20.0, "banded bf16": 25.0}
    ant = {"exact bf16": 6.0, "block fp32": 10.0}
    return {
        "cheetah": partial(cases.evaluation, "cheetah-vel", cheetah, repeats),
        "ant": partial(cases.evaluation, "ant-dir", ant, repeats),
        "simulator": partial(cases.beside_the_simulator, repeats),
        "training": partial(cases.training, repeats),
        "tuning": partial(cases.tuning, repeats),
        "workers": partial(cases.processes, repeats),
        "cold-start": partial(cases.cold_start, max(1, repeats // 2)),
        "prompt": partial(cases.to_a_prompt, max(1, repeats // 2)),
        "sweep": partial(cases.sweeping, repeats),
        "block": cases.block_difference,
        "banded": cases.banded_difference,
    }


def plain(result: Result) -> dict[str, object]:
    """Return a result as plain JSON."""
    rest = {k: v for k, v in dataclasses.asdict(result).items() if k != "value"}
    spread = {k: float(f"{v:.4g}") for k, v in dataclasses.asdict(result.value).items()}
    return {**rest, **spread, "reached": result.reached}


def line(result: dict) -> str:
    """Return a result as a line for people."""
    spread = f"{result['median']:>8.4g} {result['unit']:<8} [{result['low']:.4g}, "
    spread += f"{result['high']:.4g}]"
    goal = ""
    if result["goal"] is not None:
        sign, verdict = "≤" if result["at_most"] else "≥", "yes" if result["reached"] else "NO"
        goal = f"{sign} {result['goal']:g}: {verdict}"
    return f"{result['name']:<68} {spread:<38} {goal}"


def keep(measured: dict, path: Path) -> None:
    """Write what is measured so far, and the figures of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n")
    results = [result for part in measured["parts"].values() for result in part]
    figure.draw_ratios(results, path.with_name("bench.png"))
    points = [*measured["growth"], *measured.get("store", ())]
    figure.draw_growth(points, path.with_name("growth.png"))
    if measured.get("approach"):
        figure.draw_approach(measured["approach"], path.with_name("approach.png"))


def main() -> None:
    """Measure, print, and keep."""
    growing = {"growth": growth.PARTS, "store": store_growth.PARTS, "approach": approach.PARTS}
    known = (*parts(1), *growing)
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON value on stdout")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    parser.add_argument("--only", nargs="+", choices=known, default=known, help="parts to run")
    parser.add_argument("--keep", action="store_true", help="write into docs/, which is committed")
    parser.add_argument("--out", type=Path, help="folder of bench.json and figures: build/bench")
    asked = parser.parse_args()
    if asked.repeats < 1:
        parser.error(f"--repeats must be a whole number from 1 up: got {asked.repeats}.")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    keep_freed_memory()  # as the command line does
    path = (asked.out or (DOCS if asked.keep else BUILD)) / "bench.json"
    kept = json.loads(path.read_text()) if path.exists() else {"parts": {}, "growth": []}
    kept |= {"processor": described(), "machine": machine(), "repeats": asked.repeats}
    print(
        f"{described()}; {machine()}; median [range] over {asked.repeats} interleaved repeats",
        file=sys.stderr,
    )
    for name, part in parts(asked.repeats).items():
        if name in asked.only:
            kept["parts"][name] = []
            for result in part():
                kept["parts"][name].append(plain(result))
                print(line(kept["parts"][name][-1]), file=sys.stderr, flush=True)
            keep(kept, path)
    for name, measures in growing.items():
        if name not in asked.only:
            continue
        kept[name] = []
        for measure in measures:
            for point in measure():
                kept[name].append(dataclasses.asdict(point))
                text = f"{point.axis:<20} {point.size:>6.4g} {point.line:<30} {point.value:>10.4g}"
                print(text, point.unit, file=sys.stderr, flush=True)
        keep(kept, path)
    if asked.json:
        print(json.dumps(kept))


if __name__ == "__main__":
    main()
