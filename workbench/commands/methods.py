"""The verb that lists the ways of adapting; without torch where it asks of what ships."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
from tyro.conf import arg

from workbench.commands.environment import load_torch
from workbench.commands.output import Json, print_result
from workbench.paper.listed import listed


def methods(
    family: Annotated[str, arg(help="Task family whose networks are counted.")] = "cheetah-vel",
    as_json: Json = False,
) -> None:
    """List every way of adapting: what it trains, its settings, and which of them are published.

    Counts are of FAMILY's shipped networks. `tables`: what the tables run, chosen on tasks that
    nothing was pretrained on (`table search`).
    """
    rows = listed("methods", family)
    if rows is None:
        load_torch()
        from workbench.paper.listing import method_rows

        rows = method_rows(family)
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
