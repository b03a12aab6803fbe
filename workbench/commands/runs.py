"""The verb that lists the runs of a store; without torch, so that it answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from workbench.commands.output import Json, print_result, records
from workbench.runs.index import index_of
from workbench.runs.tunings import summary_by_quality, tunings


def runs(
    store: Annotated[Path, arg(help="Folder where runs are kept.")] = Path("runs"),
    by_quality: Annotated[bool, arg(help="One row per quality: means over runs.")] = False,
    as_json: Json = False,
) -> None:
    """List the stored tunings: last return beside the untuned prompt's, in the same episodes.

    A run that cannot be read is named on stderr, and the others are listed.
    """
    found = index_of(store)
    table = tunings(found)
    if by_quality and len(table):
        table = summary_by_quality(table)
    print_result(records(table), as_json)
    for why in found.damaged.values():
        print(f"left out: {why}", file=sys.stderr)
