"""Notebooks: committed clean, told in words without numbers, and executed from top to bottom."""

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest

from tests import browser
from workbench.paper import ablation
from workbench.paper.claims import CLAIMS
from workbench.runs import run_table
from workbench.shipped import assets
from workbench.teaching import execution
from workbench.teaching.exercises import EXERCISES
from workbench.teaching.figures import whole_system
from workbench.viewing.player.method_strip import STAGES

WHY = "the extra `lab` is not installed: make install EXTRAS=collect,lab,dev"
nbformat = pytest.importorskip("nbformat", reason=WHY)
nbclient = pytest.importorskip("nbclient", reason=WHY)

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = [path for path in NOTEBOOKS if path.stem[0].isdigit()]
FIGURE = "application/vnd.plotly.v1+json"
PANEL = "application/vnd.jupyter.widget-view+json"
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def prose(cell):
    """Return the words of a Markdown cell: no code, no link targets, no hidden solution."""
    text = re.sub(r"<details>.*?</details>", "", cell.source, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", text)


def test_there_are_notebooks():
    assert [path.stem for path in LESSONS] == list(execution.LESSONS)
    assert set(execution.NOTEBOOKS) == {path.stem for path in NOTEBOOKS}


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


def cells_of(path, kind):
    return [cell for cell in read(path).cells if cell.cell_type == kind]


@every_lesson
def test_cell_ids_are_stable(path):
    """Ids that are made anew with every save would change the file each time."""
    ids = [cell["id"] for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if not re.fullmatch(r"cell-\d\d", i)] == []


@every_lesson
def test_a_lesson_says_first_what_it_is_for_and_how_long_it_takes(path):
    first = cells_of(path, "markdown")[0].source
    assert first.startswith(f"# Lesson {path.stem[0]}: ")
    assert "**You will learn**" in first
    assert re.search(r"\*\*Before you begin:\*\*.*\*\*Time:\*\* \d+ minutes", first, re.DOTALL)
    assert re.search(r"\d\.\d GB of memory", first)
    assert "## What to try next" in cells_of(path, "markdown")[-1].source


@every_lesson
def test_a_lesson_leads_to_all_others(path):
    first = cells_of(path, "markdown")[0].source
    found = set(re.findall(r"\]\(([0-9a-z_]+)\.ipynb\)", first))
    assert {other.stem for other in NOTEBOOKS} - {path.stem} <= found


@every_lesson
def test_a_lesson_has_exercises_with_a_hidden_solution_and_a_check(path):
    text = [cell.source for cell in read(path).cells]
    titles = [t for t in text if t.startswith("### Exercise")]
    assert 3 <= len(titles) <= 4
    for title in titles:
        number, name = re.match(r"### Exercise (\d\.\d): (.*)", title).groups()
        at = text.index(title)
        assert number in EXERCISES
        assert f'check("{number}", ' in text[at + 1]
        assert "..." in text[at + 1]
        assert not text[at + 2].startswith("<details>"), "a solution is not seen with the question"
        head = f"<details>\n<summary>Solution of exercise {number}: {name}</summary>"
        (hidden,) = [t for t in text if t.startswith(head)]
        assert text.index(hidden) > text.index(titles[-1]) + 1
        assert f'check("{number}", ' in hidden


def test_a_picture_of_the_whole_opens_the_course():
    code = [cell.source for cell in cells_of(LESSONS[0], "code")]
    assert code[1].endswith("whole_system()")
    figure = whole_system()
    words = " ".join(note.text or "" for note in figure.layout.annotations)
    for stage in STAGES:
        assert stage["name"].split()[0] in words
        assert f"lesson {stage['lesson'][0]}" in words


def test_the_lesson_on_ablations_keeps_its_plumbing_in_the_package():
    code = [cell.source for cell in cells_of(FOLDER / "5_ablation.ipynb", "code")]
    assert sum(len(c.splitlines()) for c in code) < 100
    assert not [c for c in code if c.startswith("def ") and "return ..." not in c]


def test_every_exercise_is_asked_somewhere():
    text = "".join(cell.source for path in LESSONS for cell in read(path).cells)
    assert set(re.findall(r"### Exercise (\d\.\d)", text)) == set(EXERCISES)


@every_lesson
def test_a_lesson_explains_by_equations(path):
    text = "".join(cell.source for cell in cells_of(path, "markdown"))
    assert "$$" in text or path.stem.startswith("5")


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


def executed(path, tmp_path, **variables):
    """Run a notebook, its solutions after it, quickly; return it and the number of solutions."""
    notebook, added = read(path), solutions(read(path))
    notebook.cells += added
    env = {**os.environ, "OMP_NUM_THREADS": "1", "WORKBENCH_QUICK": "1", **variables}
    env["WORKBENCH_RUNS"] = str(tmp_path / "runs")
    run = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
    )
    execution.ask_once()
    run.execute(env=env)
    return notebook, len(added)


def shown(cells, kind):
    """Return what the outputs of cells are of one MIME type, in order."""
    outputs = [o for cell in cells for o in cell.get("outputs", [])]
    return [o["data"][kind] for o in outputs if kind in o.get("data", {})]


@every_notebook
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook, n = executed(path, tmp_path)
    asked, solved = notebook.cells[:-n], notebook.cells[-n:]
    assert shown(asked, FIGURE)
    if path in LESSONS:
        says = shown(asked, "text/markdown")
        assert sum("Not answered yet" in text for text in says) == n
        assert not any("Right." in text for text in says)
        assert sum(t.startswith("✓ Right.") for t in shown(solved, "text/markdown")) == n
        outputs = [o for cell in asked for o in cell.get("outputs", [])]
        assert [o["text"] for o in outputs if o.get("name") == "stderr"] == []
    # a page without a kernel still tells the story: after each panel comes a figure
    kinds = [k for c in asked for o in c.get("outputs", []) for k in o.get("data", {})]
    kinds = [k for k in kinds if k in (FIGURE, PANEL)]
    assert not kinds or kinds[-1] == FIGURE
    if path in LESSONS:
        assert PANEL in kinds


@pytest.mark.parametrize("name", ["findings", "5_ablation"])
def test_without_results_it_says_what_is_lacking(name, tmp_path):
    folder = str(without_results(tmp_path / "assets"))
    notebook, _ = executed(FOLDER / f"{name}.ipynb", tmp_path, WORKBENCH_ASSETS=folder)
    assert any("not run yet" in text.lower() for text in shown(notebook.cells, "text/markdown"))


def ablated(specs):
    """Return a table of runs as a sweep leaves it, with returns that only λ and the task tell."""
    rows = []
    for spec in specs:
        row = dict.fromkeys(run_table.COLUMNS) | {
            name: getattr(spec, name) for name in run_table.FIELDS
        }
        value = 3.0 * spec.settings["lam"] - spec.task - spec.seed
        row |= {"run": spec.id, "settings": json.dumps(spec.settings), "label": "Prompt Diffuser"}
        row |= {"returns": [value], "return_mean": value, "seconds": 9.0}
        row |= {"conflict_share": 0.25, "cosine_mean": 0.0, "machine": "one", "commit": "one"}
        rows.append(row | {"spec": json.dumps(spec.canonical, sort_keys=True)})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("n_seeds", "qualities", "said"),
    [
        (1, ("expert",), "A single seed shows no spread"),
        (2, ("expert", "medium"), "comparisons with the plain sum"),
        (3, ("expert", "medium", "random"), "**405 of 405** runs; **27** cells"),
    ],
)
def test_the_lesson_reads_an_ablation_in_part_and_whole(n_seeds, qualities, said, tmp_path):
    folder = without_results(tmp_path / "assets")
    specs = ablation.specs([ablation.Grid("cheetah-vel", qualities=qualities)])
    kept = ablated([spec for spec in specs if spec.seed < n_seeds])
    run_table.save_results(folder / "results" / "ablation.parquet", kept)
    notebook = read(FOLDER / "5_ablation.ipynb")
    own = next(i for i, c in enumerate(notebook.cells) if c.source.startswith("## 5. "))
    notebook.cells = notebook.cells[:own]
    path = tmp_path / "5_ablation.ipynb"
    nbformat.write(notebook, path)
    made, _ = executed(path, tmp_path, WORKBENCH_ASSETS=str(folder))
    assert any(said in text for text in shown(made.cells, "text/markdown"))
    titles = [f["layout"]["title"].get("text", "") for f in shown(made.cells, FIGURE)]
    assert [f"Return over λ, {q} data" for q in qualities] == [t for t in titles if "λ" in t]


def test_a_panel_lives_in_a_browser(tmp_path):
    """JupyterLab as `make lab` starts it: run a lesson, choose another task, see it follow.

    Figures keep to the colours of the theme, also when it changes.
    """
    notebook = read(FOLDER / "1_tasks_and_data.ipynb")
    upto = next(i for i, c in enumerate(notebook.cells) if "Demonstrations(" in c.source)
    notebook.cells = [c for c in notebook.cells[: upto + 1] if c.cell_type == "code"]
    nbformat.write(notebook, tmp_path / "panel.ipynb")
    with browser.laboratory(tmp_path) as url, browser.opened() as page:
        page.goto(f"{url}/doc/tree/panel.ipynb")
        page.get_by_text("| Idle").first.wait_for(timeout=90_000)
        assert page.get_by_text("Jupyter news").count() == 0
        page.get_by_text("Run", exact=True).first.click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.locator(".workbench-charts .main-svg").first.wait_for(timeout=90_000)
        assert page.locator(".pdw canvas").count() >= 2
        ticks = "document.querySelector('.workbench-charts .xaxislayer-above').textContent"
        before = page.evaluate(ticks)
        page.locator(".widget-dropdown select").nth(1).select_option(label="run at 1.8 m/s")
        page.wait_for_function(f"{ticks} !== {before!r}", timeout=30_000)
        assert grey_within(page, 0, 80)  # axes are dark on white
        page.get_by_text("Settings", exact=True).first.click()
        page.get_by_text("Theme", exact=True).first.hover()
        page.get_by_text("JupyterLab Dark", exact=True).click()
        page.wait_for_function(f"{BRIGHTNESS}.every((part) => part > 180)", timeout=30_000)
        assert grey_within(page, 180, 255)


BRIGHTNESS = """["fill", "stroke"].flatMap((kind) => {
    const chart = document.querySelector(".workbench-charts");
    const mark = chart.querySelector(kind === "fill" ? ".xtick text" : "path.xgrid");
    return getComputedStyle(mark)[kind].match(/[0-9.]+/g).slice(0, 3).map(Number);
})"""
"""Red, green and blue of a chart's words, and of its grid."""


def grey_within(page, low, high):
    """Return whether the words and the grid of a chart are grey, so dark and so bright."""
    parts = page.evaluate(BRIGHTNESS)
    greys = [max(parts[i : i + 3]) - min(parts[i : i + 3]) for i in (0, 3)]
    return max(greys) < 20 and low <= min(parts) <= max(parts) <= high
