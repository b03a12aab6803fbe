"""The verb that runs the notebooks, and makes pages out of them."""

from __future__ import annotations

import os
import sys
import tempfile
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
    time: Annotated[
        bool, arg(help="Only run them: how long each takes here, and the memory it needs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the notebooks and write each as a page that needs no network and no script.

    Without NAMES the page that leads to the others is written too. It takes some minutes, and
    needs a Chromium to draw the figures; with --time it needs none and writes nothing. Runs that
    are kept in runs/ are not looked at, so everything is made anew.
    """
    from workbench.teaching import handouts, notebook

    env = {**os.environ, "OMP_NUM_THREADS": "1"} | ({notebook.QUICK: "1"} if quick else {})
    rows = []
    for name in names or handouts.PAGES:
        print(f"running {name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory() as runs:
            here = {**env, "WORKBENCH_RUNS": runs}
            rows.append(_timed(name, here) if time else _page(name, here, out))
    if not names and not time:
        firsts = {name: _first_words(handouts.FOLDER / f"{name}.ipynb") for name in handouts.PAGES}
        (out / "index.html").write_text(handouts.contents(firsts), encoding="utf-8")
    print_result(rows, as_json)


def _timed(name: str, env: dict[str, str]) -> dict[str, object]:
    from workbench.teaching import handouts

    took = handouts.cost(name, env)
    memory = round(took.gigabytes, 2)
    return {"notebook": name, "seconds": round(took.seconds, 1), "memory, GB": memory}


def _page(name: str, env: dict[str, str], out: Path) -> dict[str, object]:
    from workbench.teaching import handouts

    made = handouts.handout(name, handouts.execute(name, env))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.html"
    path.write_text(made.html, encoding="utf-8")
    return {"page": os.path.relpath(path), "kilobytes": path.stat().st_size // 1000}


def _first_words(path: Path) -> str:
    import nbformat

    return nbformat.read(path, as_version=4).cells[0].source
