"""Verbs about what is installed and what ships."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import Data, Json, command, duration, print_result
from workbench.shipped import assets
from workbench.tasks import SHIPPED, find
from workbench.upkeep.doctor import examine
from workbench.upkeep.recipes import Verb, Words
from workbench.upkeep.reproduce import Outcome, Place, Reproduction, Step
from workbench.upkeep.watched_making import step_process

_PATIENCE = 3.0
_DIFFERENT = (
    "Files that came out different are expected on another processor or with other versions, and "
    "after a behaviour training that was interrupted: compare the figures, not the bytes."
)


def doctor(data: Data = Path("data"), as_json: Json = False) -> None:
    """Look at the installation and at every shipped file; exit status 1 if there is a problem."""
    findings, area = [], None
    for finding in examine(data):
        findings.append(finding)
        if as_json:
            continue
        if finding.area != area:
            area = finding.area
            print(f"\n{area}")
        mark = {"ok": "  ok       ", "warning": "  warning  ", "problem": "  PROBLEM  "}
        print(f"{mark[finding.level]}{finding.name}: {finding.text}")
        if finding.remedy:
            print(f"           → {finding.remedy}")
    problems, warnings = (
        sum(f.level == level for f in findings) for level in ("problem", "warning")
    )
    if as_json:
        rows = [dataclasses.asdict(f) for f in findings]
        print_result({"problems": problems, "warnings": warnings, "findings": rows}, True)
    else:
        print(f"\n{_number(problems, 'problem')}, {_number(warnings, 'warning')}")
    if problems:
        raise SystemExit(1)


def reproduce_assets(
    families: Positional[
        Annotated[tuple[str, ...], arg(help="Task families; all if left out.")]
    ] = (),
    only: Annotated[tuple[Verb, ...], arg(help="Steps to make; all if left out.")] = (),
    dry_run: Annotated[bool, arg(help="Say what would be made, and make nothing.")] = False,
    force: Annotated[
        bool, arg(help="Make everything again, from nothing: what is kept below WORK goes.")
    ] = False,
    check: Annotated[
        bool, arg(help="Make all below WORK/build/check, compare, and leave assets/ alone.")
    ] = False,
    from_data: Annotated[
        Path | None,
        arg(help="Folder of your own trajectories, TASK.* or TASK-QUALITY.*: none are simulated."),
    ] = None,
    work: Annotated[
        Path, arg(help="Folder that commands run in: data/ and build/ are below it.")
    ] = Path("."),
    as_json: Json = False,
) -> None:
    """Make the shipped assets again, each by the very command that the manifest records.

    Of a family of your own: make its networks, below `workbench-assets` beside the plug-in.
    Steps that are there as recorded are skipped. Killed, it goes on where it was.
    """
    work = work.resolve() / "build" / "check" if check else work.resolve()
    place = _place(families or SHIPPED, work, check, from_data)
    job = Reproduction(families or SHIPPED, only, place, again=force)
    plan = job.plan()
    if dry_run:
        if as_json:
            print_result(_planned(plan), True)
        else:
            print("\n".join(_lines(plan)))
        return
    print("\n".join(_lines(plan)), file=sys.stderr)
    resume = shlex.join(w for w in shlex.split(command()) if w != "--force")
    rows: list[dict] = []
    try:
        for item in job.steps(functools.partial(_run, place)):
            _tell(item)
            rows = _with(rows, item)
    except KeyboardInterrupt:
        print(f"\nGo on with: {resume}", file=sys.stderr)
        raise
    failed = any(row["status"] not in (None, 0) for row in rows)
    if as_json:
        print_result({"steps": rows, "failed": failed, "resume": resume if failed else None}, True)
    else:
        table = [{**row, "different": len(row["different"])} for row in rows]
        print_result(table, False)
        if any(row["different"] for row in rows):
            print(_DIFFERENT)
    if failed:
        print(f"Go on with: {resume}", file=sys.stderr)
        raise SystemExit(1)


def _place(families: Sequence[str], work: Path, check: bool, from_data: Path | None) -> Place:
    """Return where some families are made: what ships, or beside the plug-in of one's own.

    Raises:
        ValueError: if they belong into several folders, or shipped ones are to be made from data.
    """
    homes = {assets.home_of(find(name).name) for name in families}
    if len(homes) > 1:
        raise ValueError(
            f"{', '.join(families)} are kept in several folders: name those of one at a time."
        )
    (home,) = homes
    if from_data is not None and home == assets.ROOT:
        raise ValueError("`--from-data` is for a family of a plug-in: what ships is simulated.")
    data = None if from_data is None else from_data.resolve()
    return Place(work, work / "assets" if check else home, home, data)


def _number(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"


def _run(place: Place, words: Words) -> int:
    """Run a step's command and return its exit status; its bar and its result go to our stderr."""
    # A request to end must not leave the child behind.
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    child = step_process(place, words, stdout=2)
    try:
        return child.wait()
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)  # the terminal interrupts the child as well: it ends by itself
        if child.poll() is None:
            child.terminate()
            child.wait()
        signal.signal(signal.SIGTERM, handler)


def _planned(plan: list[Step]) -> dict:
    steps = [
        {
            "family": step.recipe.family,
            "step": step.recipe.verb,
            "due": step.due,
            "why": step.why,
            "commands": [_command(words) for words in step.recipe.commands],
            "recorded": step.recipe.from_manifest,
            "seconds": round(step.recipe.seconds, 1),
            "measured": step.recipe.timed,
        }
        for step in plan
    ]
    return {"steps": steps, "seconds": round(sum(s["seconds"] for s in steps if s["due"]), 1)}


def _lines(plan: list[Step]) -> list[str]:
    """Return the plan for people: a line per step, its commands, the time in all."""
    lines, due = [], [step for step in plan if step.due]
    for step in plan:
        made = step.recipe
        name = f"{made.family} {made.verb}"
        lines.append(f"{name:<26}{_expected(step) if step.due else 'done':<26}{step.why}")
        if step.due:
            said = (
                ""
                if made.from_manifest or made.verb == "collect"
                else "   (not recorded: defaults)"
            )
            lines += [f"    {_command(words)}{said}" for words in made.commands]
    if not due:
        return [*lines, "Nothing to make. --force makes all again, --check beside what ships."]
    known, rough = (
        sum(s.recipe.seconds for s in due if s.recipe.timed is b) for b in (True, False)
    )
    parts = [f"{duration(known)} as the recording machine took"] if known else []
    parts += [f"{duration(rough)} by rough numbers"] if rough else []
    total = f"In all about {duration(known + rough)} on one core: {', '.join(parts)}."
    readers = [s for s in plan if not s.due and s.recipe.verb not in ("behaviour", "collect")]
    more = " What reads a file that comes out different is made again as well." if readers else ""
    return [*lines, total + more]


def _expected(step: Step) -> str:
    how = "measured" if step.recipe.timed else "rough"
    return f"about {duration(step.recipe.seconds)} ({how})"


def _command(words: Words) -> str:
    return shlex.join(["python", "-m", "workbench", *words])


def _tell(item: Step | Outcome) -> None:
    """Say on stderr what begins, or what came out of it."""
    step = item if isinstance(item, Step) else item.step
    name = f"{step.recipe.family} {step.recipe.verb}"
    if isinstance(item, Step):
        if item.due:
            print(f"{name}: {_expected(item)}", file=sys.stderr)
        return
    if item.status:
        print(f"{name}: failed with exit status {item.status}", file=sys.stderr)
        return
    print(f"{name}: {duration(item.seconds)}; {item.words}", file=sys.stderr)
    for file in item.files:
        if not (file.same or file.new):
            print(f"    {file.file}: {file.change}", file=sys.stderr)


def _with(rows: list[dict], item: Step | Outcome) -> list[dict]:
    """Return the rows of the result with one more step, or with what came out of the last."""
    if isinstance(item, Step):
        names = {"family": item.recipe.family, "step": item.recipe.verb}
        empty = {"status": None, "seconds": None, "same": None, "new": None, "different": {}}
        return [*rows, {**names, "why": item.why, **empty}]
    came = {
        "status": item.status,
        "seconds": round(item.seconds, 1),
        "same": sum(f.same for f in item.files),
        "new": sum(f.new for f in item.files),
        "different": {f.file: f.change for f in item.files if not (f.same or f.new)},
    }
    return [*rows[:-1], {**rows[-1], **came}]
