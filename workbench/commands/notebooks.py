"""The verb that runs the notebooks and says what that takes."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result


def notebooks(
    names: Annotated[
        Positional[tuple[str, ...]],
        arg(help="Notebooks without their ending, such as 3_denoising; all by default."),
    ] = (),
    quick: Annotated[bool, arg(help="Fewer episodes and updates: a check, not to learn.")] = False,
    as_json: Json = False,
) -> None:
    """Run the lessons from top to bottom: how long each takes here, and the memory it needs.

    Runs that are kept in runs/ are not looked at, so everything is made anew.
    """
    from workbench.teaching import execution, notebook

    env = {**os.environ, "OMP_NUM_THREADS": "1"} | ({notebook.QUICK: "1"} if quick else {})
    rows = []
    for name in names or execution.NOTEBOOKS:
        print(f"running {name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory() as runs:
            took = execution.cost(name, {**env, "WORKBENCH_RUNS": runs})
        memory = round(took.gigabytes, 2)
        rows.append({"notebook": name, "seconds": round(took.seconds, 1), "memory, GB": memory})
    print_result(rows, as_json)
