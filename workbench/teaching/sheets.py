"""What a teacher takes into a class, out of the notebooks: slides, and a sheet of answers.

Slides are the lesson executed, a heading to a slide, turned by keys; the solutions stay out. The
sheet has each exercise, its solution and why. Both are pages that fetch nothing from elsewhere.
"""

from __future__ import annotations

import copy
import html
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from workbench.teaching.execution import FOLDER, LESSONS

FIGURE = "application/vnd.plotly.v1+json"
PANEL = "application/vnd.jupyter.widget-view+json"
_SOLUTION = re.compile(
    r"<details>\s*<summary>Solution of exercise (\d\.\d).*?</summary>(.*)</details>", re.DOTALL
)
_EXERCISE = re.compile(r"### Exercise (\d\.\d): ")
_PANEL_NOTE = "Here the notebook has a panel to play with: `make lab` opens it."
_MATHJAX = ("tex-chtml.js", "output/chtml/fonts/woff-v2")
_HERE = Path(__file__).parent


def slides(name: str, folder: Path, env: Mapping[str, str]) -> Path:
    """Run a lesson and write it as slides; return the file.

    Args:
        name: Of a lesson, such as ``"3_denoising"``.
        folder: Where it goes, with the scripts that it needs beside it.
        env: Environment of the notebook's kernel.

    Raises:
        ValueError: if there is no such lesson, a cell fails, or MathJax is not installed.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = _read(name)
    notebook.cells = [cell for cell in notebook.cells if not _of_solutions(cell)]
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
    )
    try:
        client.execute(env={**env, "PLOTLY_RENDERER": "plotly_mimetype"})
    except CellExecutionError as error:
        raise ValueError(f"{name} stops at a cell: {error.ename}: {error.evalue}") from error
    made = "".join(f"<section>{_body(part)}</section>" for part in _parts(notebook))
    return _written(folder, f"{name}.slides.html", f"<main class='slides'>{made}</main>", name)


def answers(name: str, folder: Path) -> Path:
    """Write the exercises of a lesson with their solutions; return the file.

    Args:
        name: Of a lesson.
        folder: Where it goes, with the scripts that it needs beside it.

    Raises:
        ValueError: if there is no such lesson, or MathJax is not installed.
    """
    notebook = _read(name)
    title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
    part = copy.deepcopy(notebook)
    part.cells = [_markdown(f"# {title}: answers"), *_answered(notebook)]
    return _written(folder, f"{name}.answers.html", f"<main>{_body(part)}</main>", name)


def _answered(notebook: Any) -> Iterator[Any]:
    """Yield each exercise as it is asked, and its solution."""
    solved = {m[1]: m[2] for c in notebook.cells for m in [_SOLUTION.search(c.source)] if m}
    for asked, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if m := _EXERCISE.match(asked.source):
            yield _markdown(asked.source)
            yield _markdown(f"**Asked:**\n\n```python\n{cell.source}\n```")
            yield _markdown(f"**Solution:**\n{solved[m[1]]}")


def _read(name: str) -> Any:
    import nbformat

    if name not in LESSONS:
        raise ValueError(f"There is no lesson {name!r}. Choose from {', '.join(LESSONS)}.")
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def _markdown(text: str) -> Any:
    import nbformat

    return nbformat.v4.new_markdown_cell(text)


def _of_solutions(cell: Any) -> bool:
    return cell.source.startswith("## Solutions") or bool(_SOLUTION.search(cell.source))


def _parts(notebook: Any) -> Iterator[Any]:
    """Yield a notebook per slide: a heading begins one, and so does the figure after words."""
    cells: list[Any] = []
    for cell in notebook.cells:
        drawn = cell.cell_type == "code" and any(FIGURE in data for data in _data(cell))
        full = drawn and any(c.cell_type == "code" and c.get("outputs") for c in cells)
        headed = re.match(r"#+ ", cell.source) and cell.cell_type == "markdown"
        if cells and (headed or full):
            yield _with(notebook, cells)
            cells = []
        cells.append(cell)
    yield _with(notebook, cells)


def _with(notebook: Any, cells: list[Any]) -> Any:
    part = copy.copy(notebook)
    part.cells = cells
    return part


def _data(cell: Any) -> list[Any]:
    return [output["data"] for output in cell.get("outputs", []) if "data" in output]


def _body(notebook: Any) -> str:
    """Return cells as HTML; figures as their numbers, which the page's script draws."""
    from nbconvert import HTMLExporter

    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)  # panels need a kernel
    for cell in notebook.cells:
        for data in _data(cell):
            if FIGURE in data:
                numbers = json.dumps({n: data[FIGURE][n] for n in ("data", "layout")})
                numbers = numbers.replace("</", "<\\/")
                tag = f'<script type="application/json">{numbers}</script>'
                data.clear()
                data["text/html"] = f'<div class="figure">{tag}</div>'
            elif PANEL in data:
                data.clear()
                data["text/markdown"] = f"*{_PANEL_NOTE}*"
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    return body


def _written(folder: Path, file: str, body: str, title: str) -> Path:
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    if found is None or found.origin is None:
        raise ValueError(
            "Equations need the package sphinx-mathjax-offline: python -m pip install -e '.[docs]'."
        )
    source = Path(found.origin).parent / "static/mathjax"
    folder.mkdir(parents=True, exist_ok=True)
    for part in _MATHJAX:
        target = folder / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / part, target)
    (folder / "plotly.js").write_text(get_plotlyjs(), encoding="utf-8")
    style, script = (
        (_HERE / f"sheets.{kind}").read_text(encoding="utf-8") for kind in ("css", "js")
    )
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
    math = (
        '<link rel="icon" href="data:,">'
        '<script>MathJax = {tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}, '
        "options: {enableMenu: false}}</script>"
        '<script src="mathjax/tex-chtml.js" defer></script><script src="plotly.js"></script>'
    )
    page = f"{head}</title><style>{style}</style>{math}</head><body>{body}<script>{script}</script>"
    path = folder / file
    path.write_text(f"{page}</body></html>", encoding="utf-8")
    return path
