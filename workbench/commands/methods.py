"""The verb that lists the ways of adapting."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
import torch
from tyro.conf import arg

from workbench.commands.output import Json, print_result
from workbench.methods import METHODS
from workbench.paper.settings_search import CANDIDATES
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import find, plugins
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import plain_settings


def methods(
    family: Annotated[str, arg(help="Task family whose networks are counted.")] = "cheetah-vel",
    as_json: Json = False,
) -> None:
    """List every way of adapting: what it trains, its settings, and which of them are published.

    Counts are of FAMILY's shipped networks. `tables`: what the tables run, chosen on tasks that
    nothing was pretrained on (`table search`).
    """
    rows = [_row(name, family) for name in METHODS]
    if as_json:
        print_result(rows, True)
        return
    table = pd.DataFrame(rows)
    table["trainable"] = [
        f"{r['trainable']:,} ({r['percent']:.3g} %)" if r["trainable"] else "–" for r in rows
    ]
    print_result(table[["method", "label", "learns_from", "trainable"]], False)
    for row in rows:
        print(f"\n{row['method']}: {row['label']}")
        for what in ("published", "ours", "tables"):
            text = ", ".join(f"{n} {v}" for n, v in row[what].items()) or "–"
            print(f"  {what:<10}{text}")
        print(f"  {'searched':<10}{row['candidates']} candidates")


def _row(name: str, family: str) -> dict[str, object]:
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
        "learns_from": {"none": "nothing", "few-shot": "5 trajectories", "full": "all data"}[
            kind.data
        ],
        "trainable": trainable,
        "percent": None if trainable is None else 100 * trainable / model.n_parameters,
        "published": {n: v for n, v in settings.items() if n in kind.published},
        "ours": {n: v for n, v in settings.items() if n not in kind.published},
        "tables": {**chosen, "updates": updates},
        "candidates": len(CANDIDATES.get(name, ())),
    }
