"""Pages made of notebooks: no script, nothing from elsewhere, every equation drawn."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import plotly.graph_objects as go
import pytest

from workbench.commands import notebooks
from workbench.teaching import equations, handouts, stills

WHY = "the extra `lab` is not installed: make install EXTRAS=collect,lab,dev"
nbformat = pytest.importorskip("nbformat", reason=WHY)
pytest.importorskip("nbclient", reason=WHY)

PAGES = Path(__file__).parents[2] / "docs" / "notebooks"
needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, stills.NAMES)), reason="there is no Chromium"
)


def made(notebook_cells):
    notebook = nbformat.v4.new_notebook(cells=notebook_cells)
    return handouts.handout("one", notebook).html


def output(**data):
    return nbformat.v4.new_output(
        "display_data", {k.replace("__", "/"): v for k, v in data.items()}
    )


def test_a_page_has_words_code_and_output():
    cells = [
        nbformat.v4.new_markdown_cell("# Title\n\nSee [two](2_prompt_dt.ipynb) and $x^0$."),
        nbformat.v4.new_code_cell("a = 1 < 2  # so", outputs=[output(text__markdown="**said**")]),
    ]
    html = made(cells)
    assert "<title>Title</title>" in html
    assert 'href="2_prompt_dt.html"' in html
    assert "<strong>said</strong>" in html
    assert "1</span> &lt; <span" in html
    assert 'aria-label="x^0"' in html


def test_a_panel_becomes_a_note_and_a_script_is_left_out():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}
    cells = [
        nbformat.v4.new_markdown_cell("# T"),
        nbformat.v4.new_code_cell(
            "p",
            outputs=[
                nbformat.v4.new_output("display_data", view),
                output(text__html="<script>bad()</script>"),
                output(text__html="<table></table>"),
            ],
        ),
    ]
    html = made(cells)
    assert 'class="note"' in html
    assert "bad()" not in html
    assert "<table></table>" in html


def test_dollars_in_code_are_no_equations():
    html = handouts.markdown("`$HOME` and `$PATH` but $k$\n\n```sh\necho $A $B\n```")
    assert html.count("<svg") == 1
    assert "$HOME" in html
    assert "$A $B" in html


def test_every_equation_of_the_notebooks_can_be_drawn():
    found = 0
    for path in sorted(handouts.FOLDER.glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                html = handouts.markdown(cell.source)
                assert "EQUATION" not in html
                found += html.count("<svg")
    assert found > 40


def test_an_equation_is_a_path_with_words_for_those_who_listen():
    drawn = ElementTree.fromstring(equations.svg(r"\bar\alpha_k < 1", display=True))
    assert drawn.attrib["aria-label"] == r"\bar\alpha_k < 1"
    assert drawn.find("path").attrib["d"].startswith("M")
    with pytest.raises(ValueError, match="cannot be drawn"):
        equations.svg(r"\nosuchthing{")


@needs_browser
def test_figures_become_pictures():
    few = go.Figure(go.Scatter(x=[0.0, 1.0], y=[0.0, 1.0]), {"title": {"text": "</script>"}})
    many = go.Figure(go.Scatter(x=list(range(3000)), y=[0.0] * 3000, mode="markers"))
    first, second = stills.pictures([figure.to_dict() for figure in (few, many)], width=300)
    assert first.startswith("data:image/svg+xml,")
    assert second.startswith("data:image/webp;base64,")


def test_without_a_browser_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert stills.pictures([]) == []
    with pytest.raises(ValueError, match="install one"):
        stills.pictures([{"data": [], "layout": {}}])


def test_a_failing_notebook_names_the_error(tmp_path):
    cells = [nbformat.v4.new_code_cell("raise KeyError('lost')")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "bad.ipynb")
    with pytest.raises(ValueError, match="stops at a cell: KeyError"):
        handouts.execute("bad", {}, tmp_path)
    with pytest.raises(ValueError, match=r"no notebook 'worse'\. Choose from bad"):
        handouts.execute("worse", {}, tmp_path)


def test_it_says_what_running_a_notebook_takes(tmp_path):
    cells = [nbformat.v4.new_code_cell("held = b'.' * 2**28")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "large.ipynb")
    took = handouts.cost("large", {}, tmp_path)
    assert 0 < took.seconds < 60
    assert 0.25 < took.gigabytes < 4


def test_timing_writes_no_page(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        handouts, "cost", lambda name, env: seen.append(env) or handouts.Cost(12.34, 0.567)
    )
    notebooks.notebooks(("1_tasks_and_data",), out=tmp_path, time=True, as_json=True)
    row = {"notebook": "1_tasks_and_data", "seconds": 12.3, "memory, GB": 0.57}
    assert json.loads(capsys.readouterr().out) == [row]
    assert not any(tmp_path.iterdir())
    assert not Path(seen[0]["WORKBENCH_RUNS"]).exists()  # what is kept elsewhere would be quicker


@pytest.mark.parametrize("name", [*handouts.PAGES, "index"])
def test_the_pages_that_ship_ask_nobody(name):
    """What a browser would fetch by itself: everything but the links that a reader clicks."""
    html = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    assert len(html) < 1_500_000
    html = re.sub(r'"data:image/[^"]*"', '"data:"', html)  # pictures fetch nothing
    fetched = re.findall(r'<(?!a )[^>]*\b(?:src|href)="(?!data:)([^"]*)"', html)
    assert fetched == []
    assert not re.search(r"<script|@import|url\((?!['\"]?data:)", html)
    for target in re.findall(r'href="([^":#]+\.html)', html):
        assert (PAGES / target).exists(), target


def test_the_contents_name_every_lesson_with_its_time():
    first = "# Lesson 9: It\n\nWhat it is.\n\n**Time:** 25 minutes to read; more."
    html = handouts.contents({"9_it": first})
    assert '<a href="9_it.html">Lesson 9: It</a>' in html
    assert "What it is." in html
    assert "25 minutes to read." in html
