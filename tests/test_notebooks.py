"""Notebooks: committed clean, told in words without numbers, and executed from top to bottom."""

import os
import re
from pathlib import Path

import pytest

from workbench import assets
from workbench.findings import CLAIMS

WHY = "the extra `lab` is not installed: make install EXTRAS=collect,lab,dev"
nbformat = pytest.importorskip("nbformat", reason=WHY)
nbclient = pytest.importorskip("nbclient", reason=WHY)

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def prose(cell):
    """Return the words of a Markdown cell: no code, no link targets, no hidden solution."""
    text = re.sub(r"<details>.*?</details>", "", cell.source, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_there_are_notebooks():
    assert NOTEBOOKS


@every_notebook
def test_a_notebook_is_committed_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    kernel = notebook.metadata["kernelspec"]
    assert (kernel["name"], kernel["language"]) == ("python3", "python")
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert "execution" not in cell.metadata


@every_notebook
def test_cells_are_short_and_code_comes_from_the_package(path):
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    long = [c for c in code if sum(bool(line.strip()) for line in c.splitlines()) >= 10]
    assert not long, long[0]
    assert any("from workbench" in c for c in code)


def test_findings_has_no_number_in_its_prose():
    """Names of sections, tables and of the paper aside: what was measured comes from cells."""
    names = r"arXiv \d{4}\.\d{5}|[Tt]able \d|[Ss]ection \d|^#+ \d+\.(\d+)?|95 %"
    for cell in read(FOLDER / "findings.ipynb").cells:
        if cell.cell_type == "markdown":
            rest = re.sub(names, "", prose(cell), flags=re.MULTILINE)
            assert not re.search(r"\d", rest), rest


def test_findings_shows_every_claim():
    code = [c.source for c in read(FOLDER / "findings.ipynb").cells if c.cell_type == "code"]
    assert [c for c in code if c.startswith('show("')] == [f'show("{c.text}")' for c in CLAIMS]


def without_results(folder):
    """Return a folder with everything that ships but the results."""
    folder.mkdir()
    for path in assets.ROOT.iterdir():
        if path.name != "results":
            (folder / path.name).symlink_to(path)
    return folder


def solutions(notebook):
    """Return a code cell for each hidden solution."""
    hidden = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
    found = [code for cell in notebook.cells for code in hidden.findall(cell.source)]
    return [nbformat.v4.new_code_cell(code) for code in found]


@every_notebook
@pytest.mark.parametrize("results", ["shipped", "none"])
def test_a_notebook_runs_from_top_to_bottom(path, results, tmp_path):
    notebook, env = read(path), {**os.environ, "OMP_NUM_THREADS": "1"}
    notebook.cells += solutions(notebook)
    if results == "none":
        env["WORKBENCH_ASSETS"] = str(without_results(tmp_path / "assets"))
    run = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
    )
    run.execute(env=env)
    shown = [o for c in notebook.cells for o in c.get("outputs", []) if "data" in o]
    assert any("text/html" in o["data"] for o in shown)
    if results == "none":
        assert any("not run yet" in str(o["data"].get("text/markdown")) for o in shown)
