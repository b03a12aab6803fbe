"""What ``table`` and ``methods`` print, made: tables as plain JSON, and a row for each method."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import torch

from workbench.methods import METHODS
from workbench.paper import listed
from workbench.paper.measured import Runs, assemble
from workbench.paper.settings_search import ranking
from workbench.paper.tables import TABLES, Cells, TableName, cells, runs_of
from workbench.runs.run_table import load_shipped
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import SHIPPED, find, plugins
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import RunSpec, plain_settings

SEARCH = "search"
"""The table of the validation search."""


def keep() -> None:
    """Make every answer from what ships, and keep it; see ``listed``."""
    tables: dict[str, Callable[[], Any]] = {name: _whole(name) for name in TABLES}
    tables[SEARCH] = lambda: json_rows(ranking(load_shipped(SEARCH)).round(2))
    methods = {family: _methods(family) for family in SHIPPED}
    listed.write({"table": tables, "methods": methods})


def _whole(name: TableName) -> Callable[[], Any]:
    chosen = cells(name)
    return lambda: table_answer(name, chosen, Runs.of(load_shipped(name)), runs_of(chosen))


def _methods(family: str) -> Callable[[], Any]:
    return lambda: method_rows(family)


def table_answer(
    name: TableName, chosen: Cells, runs: Runs, wanted: Sequence[RunSpec]
) -> dict[str, Any]:
    """Return a table, and what is to be said about it, as plain JSON.

    Args:
        name: Which table.
        chosen: Its cells, or some of them.
        runs: What there is.
        wanted: All runs that those cells need.
    """
    result = assemble(name, chosen, runs)
    used = runs.find(wanted)
    return {
        "table": name,
        "runs": len(used),
        "of": len({spec.id for spec in wanted}),
        "cells": len(chosen),
        "missing_cells": int(((result["seeds"] == 0) & (result["of"] > 0)).sum()),
        "outdated": runs.outdated(wanted),
        "machine": sorted(used["machine"].unique()),
        "commit": sorted(used["commit"].unique()),
        "rows": json_rows(result),
    }


def json_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as plain JSON, one object per row."""
    return json.loads(table.to_json(orient="records"))


def method_rows(family: str) -> list[dict[str, Any]]:
    """Return of every method what it learns from, trains and may be set to.

    Args:
        family: Whose shipped networks are counted.
    """
    ran = load_shipped(SEARCH)
    searched = ranking(ran)["method"].value_counts() if len(ran) else pd.Series(dtype=int)
    return [{**_row(name, family), "candidates": int(searched.get(name, 0))} for name in METHODS]


_LEARNS_FROM = {"none": "nothing", "few-shot": "5 trajectories", "full": "all data"}


def _row(name: str, family: str) -> dict[str, Any]:
    kind, model = METHODS[name], load_model(family)
    settings = plain_settings(kind())
    chosen, updates = CHOSEN[name]
    task = find(family).tasks("test")[0]
    try:
        networks = {f: load_network(family, n) for f, n in kind.needs.items()}
        learner = kind(**chosen, **networks).start(
            model, assets.demos(task, "expert"), torch.Generator().manual_seed(0)
        )
        trainable = learner.n_trainable
    except Exception as error:
        # a network that does not ship for this family; or one's own method is not sound (`check`)
        if not isinstance(error, ValueError) and plugins.of_method(name) is None:
            raise
        trainable = None
    return {
        "method": name,
        "label": kind.label,
        "learns_from": _LEARNS_FROM[kind.data],
        "trainable": trainable,
        "percent": None if trainable is None else 100 * trainable / model.n_parameters,
        "published": {n: v for n, v in settings.items() if n in kind.published},
        "ours": {n: v for n, v in settings.items() if n not in kind.published},
        "tables": {**chosen, "updates": updates},
    }
