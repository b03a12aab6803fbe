"""The verb that makes pages out of the notebooks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from workbench.commands.output import Json, print_result

OUT = Path(__file__).resolve().parents[2] / "docs" / "notebooks"


def notebooks(
    names: Annotated[
        Positional[tuple[str, ...]],
        arg(help="Notebooks without their ending, such as 3_denoising; all by default."),
    ] = (),
    out: Annotated[Path, arg(help="Folder of the pages.")] = OUT,
    quick: Annotated[bool, arg(help="Fewer episodes and updates: a check, not to learn.")] = False,
    as_json: Json = False,
) -> None:
    """Run the notebooks and write each as a page that needs no network and no script.

    Without NAMES the page that leads to the others is written too. It takes some minutes, and
    needs a Chromium to draw the figures.
    """
    from workbench import handouts, lessons  # they load what draws: too slow for other verbs

    env = {**os.environ, "OMP_NUM_THREADS": "1"} | ({lessons.QUICK: "1"} if quick else {})
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names or handouts.PAGES:
        print(f"running {name} …", file=sys.stderr)
        made = handouts.handout(name, handouts.execute(name, env))
        path = out / f"{name}.html"
        path.write_text(made.html, encoding="utf-8")
        rows.append({"page": os.path.relpath(path), "kilobytes": path.stat().st_size // 1000})
    if not names:
        firsts = {name: _first_words(handouts.FOLDER / f"{name}.ipynb") for name in handouts.PAGES}
        (out / "index.html").write_text(handouts.contents(firsts), encoding="utf-8")
    print_result(rows, as_json)


def _first_words(path: Path) -> str:
    import nbformat

    return nbformat.read(path, as_version=4).cells[0].source
