"""A file that a user brings: what it holds, whether it can be used, and keeping it.

``examine`` goes through the whole room: ``file_formats`` reads the file, ``raw_episodes`` checks
its arrays, ``task_match`` finds its task, ``report`` holds what is said of it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workbench.data import own_sets
from workbench.exchange.file_formats import Recording, read_recording
from workbench.exchange.pickle_reader import RefusedFile, refuse
from workbench.exchange.raw_episodes import Episode, empty, to_trajectories, validated
from workbench.exchange.report import Range, Report, TaskSet
from workbench.exchange.task_match import find_task, fitting_families, nearest_tasks
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import Family, Task, find

FAR = 10.0
"""Standard deviations from the training mean worth a warning; our own data stay within 8."""
OTHER_SIMULATOR = 0.01
"""Median one-step error of states worth a warning; a file of our simulator is off by 1e-4."""
MAX_REPLAYED = 5_000
"""Transitions that are replayed: enough for a median, and few seconds."""
_N_NEAREST = 5


def examine(
    path: str | Path, family: str | None = None, task: int | None = None, name: str | None = None
) -> Report:
    """Say what a file of demonstrations holds and whether it can be used; nothing in it is run.

    Args:
        path: A file or folder of any form that ``file_formats`` reads.
        family: Name of the task family, if the file does not say or is not to be trusted.
        task: Index of the task, likewise; else the file's claim if its rewards agree, else the
            task that reproduces the rewards clearly best.
        name: What the user calls the file, if not by its path.

    Raises:
        ValueError: if there is no such ``family`` or ``task``; never for the file's own faults.
    """
    if family is not None:
        known = find(family)
        if task is not None:
            known.task(task)
    label = name or str(path)
    try:
        recording = read_recording(path, name)
    except RefusedFile as refusal:
        return Report(label, errors=(_told(refusal),), detail=refusal.detail)
    try:
        return _examined(label, _without_empty(recording), family, task)
    except RefusedFile as refusal:
        return Report(label, recording.form, (_told(refusal),), recording.warnings)


def _told(refusal: RefusedFile) -> str:
    """Return a refusal's reason for people: a damaged file's names may be any bytes."""
    return re.sub(r"(\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})+", "·", refusal.reason)


def receive(path: str | Path, family: str | None = None, task: int | None = None) -> Report:
    """Return the report of a file that can be used; see ``examine``.

    Raises:
        RefusedFile: if it cannot, with every reason.
    """
    report = examine(path, family, task)
    if not report.accepted:
        raise RefusedFile(f"{path} was refused: {' '.join(report.errors)}")
    return report


def save(report: Report, name: str, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Keep an accepted file's trajectories as ``own:<name>``, one file per task.

    Raises:
        ValueError: if the file was refused, or see ``own.save``.
    """
    if not report.accepted:
        raise RefusedFile(f"{report.file} was refused and is not kept: {' '.join(report.errors)}")
    source = Path(report.file).name[:200]
    return own_sets.save(name, report.trajectories, overwrite=overwrite, source=source)


def _examined(label: str, recording: Recording, family: str | None, task: int | None) -> Report:
    episodes = recording.episodes
    if not all("states" in e for e in episodes):
        episodes = [{k: x for k, x in e.items() if k != "states"} for e in episodes]
    episodes, errors = validated(episodes)
    first = episodes[0]
    known = {
        "file": label,
        "form": recording.form,
        "lengths": tuple(len(e["rewards"]) for e in episodes),
        "columns": (first["observations"].shape[1], first["actions"].shape[1]),
    }
    try:
        families = fitting_families(episodes, family)
    except RefusedFile as refusal:
        return Report(**known, errors=(*errors, str(refusal)), warnings=recording.warnings)
    known["families"] = tuple(f.name for f in families)
    if errors:
        return Report(**known, errors=errors, warnings=recording.warnings)
    groups, sets, errors, left_out = _by_claim(recording, episodes, task), [], [], []
    if len(groups) == 1:
        known["nearest"] = tuple(nearest_tasks(families, _sample(episodes))[:_N_NEAREST])
    for claim, group in groups.items():
        try:
            fit = find_task(
                _sample(group), family, task, claim=claim, claimed_by=recording.claimed_by
            )
        except RefusedFile as refusal:
            errors.append(str(refusal))
            continue
        group, short = _long_enough(fit.task, group)
        left_out += short
        sets.append(TaskSet(fit, to_trajectories(group, fit.task)))
    of = find(sets[0].fit.task.family) if sets else families[0]
    ranges = _ranges(of, episodes)
    for found in sets:
        errors += _errors(found)
    warnings = [*recording.warnings, *left_out]
    warnings += [*_odd_ranges(of, ranges), *_odd_episodes(episodes)]
    n_rows = sum(known["lengths"])
    if n_rows > MAX_REPLAYED:
        warnings.append(f"Its rewards were judged by {MAX_REPLAYED} of {n_rows} steps.")
    for found in sets:
        warnings += _odd_set(found)
    return Report(
        **known,
        ranges=ranges,
        errors=tuple(dict.fromkeys(errors)),
        warnings=tuple(dict.fromkeys(warnings)),
        sets=() if errors else tuple(sorted(sets, key=lambda s: s.fit.task.index)),
    )


def _without_empty(recording: Recording) -> Recording:
    """Leave out episodes without a row, and say so."""
    kept = [i for i, episode in enumerate(recording.episodes) if not empty(episode)]
    if len(kept) == len(recording.episodes):
        return recording
    if not kept:
        refuse("none of its episodes has a row. Record them again.")
    gone = sorted(set(range(len(recording.episodes))) - set(kept))
    return dataclasses.replace(
        recording,
        episodes=tuple(recording.episodes[i] for i in kept),
        claims=tuple(recording.claims[i] for i in kept),
        warnings=(*recording.warnings, f"Left out, having no rows: episode {_listed(gone)}."),
    )


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", …" if len(numbers) > 8 else "")


def _by_claim(recording: Recording, episodes: Sequence[Episode], task: int | None):
    """Group episodes by the task that the file names; all together if the user named one."""
    groups: dict[tuple[str, int] | None, list[Episode]] = {}
    for claim, episode in zip(recording.claims, episodes, strict=True):
        groups.setdefault(None if task is not None else claim, []).append(episode)
    return groups


def _sample(episodes: Sequence[Episode]) -> list[Episode]:
    """Return at most ``MAX_REPLAYED`` transitions, of episodes spread over all."""
    n_rows = sum(len(e["rewards"]) for e in episodes)
    chosen = episodes[:: max(1, -(-n_rows // MAX_REPLAYED))]
    rows = max(1, MAX_REPLAYED // len(chosen))
    return [{name: x[:rows] for name, x in e.items()} for e in chosen]


def _ranges(family: Family, episodes: Sequence[Episode]) -> tuple[Range, ...]:
    low = np.min([e["observations"].min(0) for e in episodes], 0)
    high = np.max([e["observations"].max(0) for e in episodes], 0)
    deviation = np.full(len(low), np.nan)
    if assets.model_path(family.name).exists():
        normalizer, o = load_model(family.name).normalizer, len(low)
        mean, scale = normalizer.mean[:o].numpy(), normalizer.scale[:o].numpy()
        deviation = np.maximum(np.abs(low - mean), np.abs(high - mean)) / scale
    return tuple(
        Range(str(variable), *map(float, values))
        for variable, *values in zip(family.observations, low, high, deviation, strict=True)
    )


def _errors(found: TaskSet) -> list[str]:
    family = find(found.fit.task.family)
    lengths = [len(t) for t in found.trajectories]
    errors = []
    if max(lengths) > family.horizon:
        errors.append(
            f"an episode of {family.name} has at most {family.horizon} steps: got {max(lengths)}. "
            "Cut the episodes there."
        )
    least = _prompt_length(family)
    if min(lengths) < least:
        errors.append(
            f"a prompt takes {least} rows of an episode: the shortest has {min(lengths)}. "
            "Leave such episodes out."
        )
    return errors


def _prompt_length(family: Family) -> int:
    """Return the rows of an episode that a prompt takes; 1 where no model ships."""
    path = assets.model_path(family.name)
    return load_model(family.name).config.prompt_length if path.exists() else 1


def _long_enough(task: Task, group: Sequence[Episode]) -> tuple[Sequence[Episode], list[str]]:
    """Leave out episodes that no prompt fits into, unless that is all of them, and say so."""
    least = _prompt_length(find(task.family))
    lengths = [len(e["rewards"]) for e in group]
    kept = [e for e, n in zip(group, lengths, strict=True) if n >= least]
    if not kept or len(kept) == len(group):
        return group, []
    gone = len(group) - len(kept)
    return kept, [
        f"Left out, {gone} of {len(group)} episodes of {task}: a prompt takes {least} rows, the "
        f"shortest has {min(lengths)}."
    ]


def _odd_ranges(family: Family, ranges: Sequence[Range]) -> list[str]:
    if any(np.isnan(r.deviation) for r in ranges):
        return [
            f"No pretrained model of {family.name} ships, so that the ranges were not compared "
            "and nothing can be tuned on it yet."
        ]
    far = sorted((r for r in ranges if r.deviation > FAR), key=lambda r: -r.deviation)
    return [
        f"`{r.variable}` goes from {r.low:.4g} to {r.high:.4g}, {r.deviation:.0f} standard "
        "deviations from the mean of the training data: the model never saw the like."
        for r in far[:3]
    ] + ([f"So do {len(far) - 3} more variables."] if len(far) > 3 else [])


def _odd_episodes(episodes: Sequence[Episode]) -> list[str]:
    distinct = {(e["observations"].tobytes(), e["actions"].tobytes()) for e in episodes}
    copies = len(episodes) - len(distinct)
    return [f"{copies} of {len(episodes)} episodes are copies of others."] if copies else []


def _with_goal(task: Task) -> str:
    """Return a task with its goal, such as ``cheetah-vel 7 (0.6 m/s)``."""
    goal = ", ".join(f"{value:.3g}" for value in task.goal)
    return f"{task} ({goal} {find(task.family).goal_unit})".replace(" )", ")")


def _odd_set(found: TaskSet) -> list[str]:
    fit, lengths = found.fit, [len(t) for t in found.trajectories]
    family = find(fit.task.family)
    warnings = []
    tests = ", ".join(_with_goal(family.task(i)) for i in family.test_indices)
    if fit.task.split == "train" and fit.task.index not in family.test_indices:
        warnings.append(
            f"{_with_goal(fit.task)} is a training task: the model was pretrained on it, so that "
            f"tuning on it shows little. Test tasks: {tests}."
        )
    short = sum(n < family.horizon for n in lengths)
    if short:
        warnings.append(
            f"Shorter than the {family.horizon} steps of {_with_goal(fit.task)}: {short} of "
            f"{len(lengths)} episodes, the shortest {min(lengths)}. Their returns are of fewer "
            "steps."
        )
    if np.isnan(fit.reward_error):
        warnings.append(
            f"The rewards of {_with_goal(fit.task)} were not replayed: its observations do not "
            "determine the state, and the file has no states. The task is the one that was named."
        )
    elif not fit.fits:
        warnings.append(
            f"Its rewards are not those of {_with_goal(fit.task)}: replayed, they differ by "
            f"{fit.reward_error:.3g} (median), in an episode by {fit.misfit:.2g} standard "
            f"deviations. {fit.look} It was taken because you named the task."
        )
    if fit.state_error > OTHER_SIMULATOR:
        warnings.append(
            f"Replayed one step, its states differ from our simulator's by {fit.state_error:.3g} "
            "(median): another simulator or time step recorded it."
        )
    return warnings
