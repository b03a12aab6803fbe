"""Verbs that bring other people's data in and give ours out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import FamilyName, Json, print_result
from workbench.data import own_sets
from workbench.data.trajectory_files import load_trajectories
from workbench.exchange import received
from workbench.exchange.minari_format import save_minari
from workbench.exchange.pickle_reader import RefusedFile
from workbench.exchange.report import Report
from workbench.shipped import assets
from workbench.tasks import find

Quality = Annotated[str, arg(help="expert, medium, random, or own:NAME.")]


def import_(
    files: Positional[Annotated[tuple[Path, ...], arg(help="Files or folders.")]],
    family: Annotated[str | None, arg(help="Family, when the file does not say.")] = None,
    task: Annotated[int | None, arg(help="Task, when the file does not say.")] = None,
    save: Annotated[str | None, arg(help="Keep what is accepted as own:NAME.")] = None,
    overwrite: Annotated[bool, arg(help="With --save: replace sets of that name.")] = False,
    report: Annotated[bool, arg(help="Print all that is known of each file.")] = False,
    as_json: Json = False,
) -> None:
    """Read demonstrations of any form and replay them through our environment.

    Our .safetensors, published Prompt-DT .pkl files, Minari data sets (folder, .zip, or
    main_data.hdf5), .hdf5 of D4RL and robomimic, .npz of flat arrays, LeRobot .parquet. Nothing
    in a file is executed. A refused file gives exit status 2 and the
    reason on stderr. `--save NAME` makes `tune ... --quality own:NAME` possible.
    """
    if save is not None:
        own_sets.checked_name(save)
    rows, reports, saved, refused = [], [], set(), 0
    for file in files:
        seen = received.examine(file, family, task)
        reports.append(seen)
        try:
            if save is not None:
                again = saved & {found.fit.task for found in seen.sets}
                received.save(seen, save, overwrite=overwrite and not again)
            elif not seen.accepted:
                raise RefusedFile(" ".join(seen.errors))
        except (ValueError, OSError) as error:
            refused += 1
            where = f" ({seen.detail})" if seen.detail else ""
            print(f"refused: {file}: {' '.join(seen.errors) or error}{where}", file=sys.stderr)
            continue
        for warning in seen.warnings:
            print(f"warning: {file}: {warning}", file=sys.stderr)
        for found in seen.sets:
            row = {"file": str(file), "form": seen.form, **found.row()}
            if save is not None:
                row["saved"] = str(own_sets.path_of(found.fit.task, save))
                saved.add(found.fit.task)
            rows.append(row)
    if report and as_json:
        print_result([seen.plain() for seen in reports], True)
    elif report:
        print("\n\n".join("\n".join(_lines(seen)) for seen in reports))
    elif rows or not refused:
        print_result(rows, as_json)
    for of in sorted(saved, key=lambda t: (t.family, t.index)):
        command = f"python -m workbench tune {of.family} {of.index} --quality own:{save}"
        print(f"tune on it: {command}", file=sys.stderr)
    if refused:
        raise SystemExit(2)


def export(
    family: Positional[Annotated[str | None, FamilyName]] = None,
    tasks: Positional[tuple[int, ...]] = (),
    quality: Quality = "expert",
    files: Annotated[tuple[Path, ...], arg(help="Our .safetensors files instead.")] = (),
    out: Annotated[
        Path | None, arg(help="The new folder, its name ending in -v0 or another version.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write few-shot sets, or any of our trajectory files, as one Minari data set.

    Of a family: the test tasks named, or all of them. `minari.MinariDataset("OUT/data")` opens
    it anywhere; nothing is written to ~/.minari.
    """
    if (family is None) == (not files):
        raise ValueError("Name a family (and its test tasks), or --files: one of the two.")
    if files:
        trajectories = [t for file in files for t in load_trajectories(file)]
        name, source = files[0].stem, ", ".join(file.name for file in files)
    else:
        known = find(family)
        chosen = [known.task(index) for index in tasks] or known.tasks("test")
        trajectories = [t for task in chosen for t in assets.demos(task, quality)]
        words = [family, *map(str, tasks), quality.replace(":", "-")]
        name, source = "-".join(words), f"{quality} demonstrations of {known.label}"
    folder = out or Path("data/minari") / f"{name}-v0"
    save_minari(folder, trajectories, description=f"{source}, by Prompt Diffuser Workbench")
    steps = sum(map(len, trajectories))
    result = {"folder": str(folder), "name": folder.name, "episodes": len(trajectories)}
    result |= {"steps": steps, "tasks": sorted({t.task.index for t in trajectories})}
    print_result(result, as_json)


def _lines(seen: Report) -> list[str]:
    """Return a report as people read it: the verdict, what fits, returns, warnings, ranges."""
    verdict = "accepted" if seen.accepted else "refused"
    if seen.accepted and seen.warnings:
        verdict += f", with {len(seen.warnings)} warning(s)"
    lines = [f"{seen.file}: {verdict}", *(f"  error: {error}" for error in seen.errors)]
    if seen.form:
        lines.append(f"  form      {seen.form}")
    if seen.lengths:
        low, high = min(seen.lengths), max(seen.lengths)
        rows = f"{low}" if low == high else f"{low} to {high}"
        lines.append(f"  shapes    {len(seen.lengths)} episodes of {rows} rows, ")
        lines[-1] += "{} observations, {} actions".format(*seen.columns)
    if seen.families:
        lines.append(f"  fits      by its columns: {', '.join(seen.families)}")
    for fit in seen.nearest:
        lines.append(f"            {fit.task}: replayed rewards differ by {fit.reward_error:.2g}")
    for found in seen.sets:
        row = found.row()
        lines.append(
            f"  returns   {found.fit.task}: mean {row['return_mean']:g}, sd {row['return_sd']:g}, "
            f"{row['return_min']:g} to {row['return_max']:g}, {row['episodes']} episodes"
        )
    lines += [f"  warning   {warning}" for warning in seen.warnings]
    for r in seen.ranges:
        lines.append(
            f"  range     {r.variable:<32}{r.low:>10.4g} to {r.high:>10.4g}"
            + (f"  {r.deviation:4.1f} sd" if r.deviation == r.deviation else "")
        )
    return lines
