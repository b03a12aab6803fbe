"""The verb that makes what a teacher takes into a class."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result


def lessons(
    names: Annotated[
        Positional[tuple[str, ...]],
        arg(help="Lessons without their ending, such as 3_denoising; all by default."),
    ] = (),
    slides: Annotated[bool, arg(help="Slides alone.")] = False,
    answers: Annotated[bool, arg(help="Sheets of answers alone.")] = False,
    quick: Annotated[bool, arg(help="Fewer episodes and updates: a check, not to learn.")] = False,
    to: Annotated[Path, arg(help="Where they go.")] = Path("build/lessons"),
    as_json: Json = False,
) -> None:
    """Make slides and sheets of answers out of the lessons, pages that need no network.

    Slides are a lesson executed, a heading to a slide, turned by keys; without solutions.
    """
    from workbench.teaching import execution, notebook, sheets

    both = slides == answers
    env = {**os.environ, "OMP_NUM_THREADS": "1"} | ({notebook.QUICK: "1"} if quick else {})
    made = []
    for name in names or execution.LESSONS:
        if answers or both:
            made.append(sheets.answers(name, to))
        if slides or both:
            print(f"running {name} …", file=sys.stderr)
            with tempfile.TemporaryDirectory() as runs:
                made.append(sheets.slides(name, to, {**env, "WORKBENCH_RUNS": runs}))
    rows = [{"file": str(path), "kilobytes": path.stat().st_size // 1024} for path in made]
    print_result(rows, as_json)
