"""What the settings of the tables were chosen from: runs on the validation split."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd

from workbench.methods import METHODS


def ranking(table: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates of every family and method, best first.

    Args:
        table: Of ``results.rows``.

    Returns:
        Columns ``family``, ``method``, ``quality``, ``settings`` that differ from the method's
        defaults, ``updates``, ``return_mean`` over tasks and seeds, ``tasks``, ``seeds``, ``runs``.
    """
    table = table.assign(
        settings=[
            _differing(method, text)
            for method, text in zip(table["method"], table["settings"], strict=True)
        ]
    )
    groups = table.groupby(["family", "method", "quality", "settings", "updates"], sort=False)
    found = groups.agg(
        return_mean=("return_mean", "mean"),
        tasks=("task", "nunique"),
        seeds=("seed", "nunique"),
        runs=("run", "size"),
    ).reset_index()
    found = found.sort_values("return_mean", ascending=False, kind="stable")
    order = ["family", "method", "quality"]
    return found.sort_values(order, kind="stable", ignore_index=True)


def _differing(method: str, text: str) -> str:
    """Return ``name value`` of the settings that differ from the method's defaults."""
    defaults = {f.name: f.default for f in dataclasses.fields(METHODS[method])}
    pairs = [(n, v) for n, v in json.loads(text).items() if defaults.get(n) != v]
    return ", ".join(f"{n} {v}" for n, v in pairs) or "defaults"
