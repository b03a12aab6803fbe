"""What the folder of a run says of it, in plain JSON: read without torch, as anybody may."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.runs import step_columns
from workbench.tuning.identity import id_of, untuned

FORMAT = 4
"""The highest that is read, written where numbers alone are kept; 1 had no number."""
WITH_LINES = 3
"""Of what is written where everything is kept: earlier workbenches read it too."""
SPEC, STEPS, RESULT = "spec.json", "steps.jsonl", "result.json"
NUMBERS = "numbers"
"""What ``kept`` of a result says where only the numbers, and the last prompts, were kept."""
MADE = "made.json"
"""Beside a run that a sweep made: where, by which code and how fast."""
_PLANE = ("norm_dm", "dt_along", "dt_across", "kept_along", "kept_across", "kept_outside")


def result(folder: Path) -> dict[str, Any]:
    """Return ``result.json`` of a complete run.

    Raises:
        ValueError: if it is not there, cannot be read, or is of a later workbench.
    """
    try:
        found = json.loads((folder / RESULT).read_text())
        written = int(found.get("format", 1))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{_named(folder)} is not complete: {error}.") from error
    if written > FORMAT:
        raise ValueError(
            f"{_named(folder)} has format {written}, this workbench reads up to "
            f"{FORMAT}: update it (`git pull`, `make install`) to read the run."
        )
    return found


def spec(folder: Path) -> dict[str, Any]:
    """Return ``spec.json``: what determines the result, with the hashes of the files it read.

    Raises:
        ValueError: if there is none, or it cannot be read.
    """
    try:
        found = json.loads((folder / SPEC).read_text())
        if not isinstance(found, dict):
            raise TypeError(f"{SPEC} is no object")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"There is no readable run {folder.name!r} in {folder.parent}: {error}."
        ) from error
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    """Return what is known of every update, one line each, in today's form.

    The last one of an incomplete run is left out where a crash tore it.

    Raises:
        ValueError: if they cannot be read.
    """
    columns, done = folder / step_columns.FILE, (folder / RESULT).exists()
    try:
        if done and columns.exists():
            return step_columns.unpacked(columns.read_bytes())
        text = (folder / STEPS).read_text()
        whole, _, torn = text.rpartition("\n")
        if torn and done:
            whole = text
        return [nested(json.loads(line)) for line in whole.splitlines()]
    except (OSError, ValueError) as error:
        raise ValueError(f"{_named(folder)} is damaged: {error!r}.") from error


def nested(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of ``steps.jsonl`` in today's form: what is told of gradients in one place.

    Up to format 2 their numbers stood among the metrics: ``cosine``, ``norm_dm``, and so on, and
    ``cosine/<parameter>`` of each parameter tensor.
    """
    if "cosine" not in line:
        return line
    line = dict(line)
    gradients = {"cosine": line.pop("cosine"), "conflict": bool(line.pop("conflict"))}
    gradients["removed"] = line.pop("removed")
    plane = {name: line.pop(name) for name in _PLANE if name in line}
    tensors: dict[str, dict[str, float]] = {}
    for name in [name for name in line if "/" in name]:
        number, _, parameter = name.partition("/")
        tensors.setdefault(parameter, {})[number] = line.pop(name)
    return {**line, "gradients": {**gradients, "plane": plane or None, "tensors": tensors}}


def summary(folder: Path) -> dict[str, Any]:
    """Return a complete run in a few numbers and words; see ``index.COLUMNS``.

    Raises:
        ValueError: if the run is damaged, and so says little.
    """
    canonical, done, updates = spec(folder), result(folder), lines(folder)
    try:
        made = json.loads((folder / MADE).read_text()) if (folder / MADE).exists() else {}
        returns = [np.array(line["returns"], float) for line in updates if "returns" in line]
        if not all(map(len, returns)):
            raise ValueError("an evaluation has no episodes")
        told = [line["gradients"] for line in updates if "gradients" in line]
        loss_dm, loss_dt, env_steps = (
            [line[name] for line in updates if name in line]
            for name in ("loss_dm", "loss_dt", "env_steps")
        )
        return {
            "returns": json.dumps(returns[-1].tolist()),
            "curve": json.dumps(_curve(updates)),
            "return_mean": float(returns[-1].mean()),
            "start_mean": float(returns[0].mean()),
            "n_trainable": done.get("n_trainable", np.nan),
            "update_seconds": float(done.get("update_seconds", np.nan)),
            "seconds": made.get("seconds", np.nan),
            "conflict_share": _mean([g["conflict"] for g in told]),
            "cosine_mean": _mean([g["cosine"] for g in told]),
            "loss_dm_last": _mean(_last_tenth(loss_dm)),
            "loss_dt_last": _mean(_last_tenth(loss_dt)),
            "env_steps": float(env_steps[-1]) if env_steps else np.nan,
            "spec": json.dumps(canonical, sort_keys=True),
            "machine": made.get("machine", "unknown"),
            "commit": made.get("commit", "unknown"),
            "untuned": id_of(untuned(canonical)),
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{_named(folder)} is damaged: {error!r}.") from error


def _curve(updates: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return update, seconds of all updates so far and mean return of each evaluation."""
    spent = np.cumsum([float(line.get("seconds", np.nan)) for line in updates])
    return [
        [line["update"], round(seconds, 4), float(np.mean(line["returns"]))]
        for line, seconds in zip(updates, spent.tolist(), strict=True)
        if "returns" in line
    ]


def _named(folder: Path) -> str:
    return f"Run {folder.name!r} in {folder.parent}"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _last_tenth(values: Sequence[float]) -> Sequence[float]:
    return values[-max(1, len(values) // 10) :]
