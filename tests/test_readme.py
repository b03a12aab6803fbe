"""The README: read in one sitting, and every place, command and name in it is there."""

import re
from pathlib import Path

import pytest

import workbench
from workbench.__main__ import VERBS
from workbench.commands.results import pages

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in pages()}
every_page = pytest.mark.parametrize("name", PAGES)


def places():
    """Return the rows of "Where is …?": what is looked for, the file, what to look for in it."""
    part = re.search(r"## Where is …\?\n(.*?)\n## ", TEXT, re.DOTALL)[1]
    rows = re.findall(r"^\| (.+?) \| \[.+?\]\((.+?)\) \| (.+?) \|$", part, re.MULTILINE)
    lines = [line for line in part.splitlines() if line.startswith("|")]
    assert len(rows) == len(lines) - 2, "a row is: what, one file, what to look for"
    return rows


def test_it_is_read_in_one_sitting():
    assert len(TEXT.splitlines()) <= 170


@pytest.mark.parametrize("row", places(), ids=lambda row: row[0])
def test_a_place_is_there_and_names_what_is_looked_for(row):
    what, file, words = row
    text = (ROOT / file).read_text(encoding="utf-8")
    numbers = re.findall(r"\d+", found[0]) if (found := re.match(r"Eq\. [\d and,]+", what)) else []
    wanted = re.findall(r"`(.+?)`", words) + re.findall(r"Algorithm \d", what)
    assert wanted
    assert [word for word in wanted if word not in text] == []
    for number in numbers:
        assert re.search(rf"Eq\. (?:\d+ and )?{number}\b", text), (
            f"{file} does not name Eq. {number}"
        )


def test_the_places_hold_what_a_reader_of_the_paper_looks_for():
    looked_for = " ".join(what for what, _, _ in places())
    for words in ("Eq. 4 and 5", "Eq. 6", "Eq. 7", "Eq. 8 and 9", "Algorithm 1", "K\\*", "λ", "N,"):
        assert words in looked_for
    for words in ("low-temperature", "projection", "heat map", "task", "tests"):
        assert words in looked_for


def test_every_room_has_its_line():
    rooms = {path.parent.name for path in (ROOT / "workbench").glob("*/__init__.py")}
    assert set(re.findall(r"^\| \[(\w+)\]\(workbench/\w+\) \|", TEXT, re.MULTILINE)) == rooms


@every_page
def test_every_relative_link_resolves(name):
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    folder = (ROOT / name).parent
    for link in links:
        path = link.partition("#")[0].replace("lessons/", "../notebooks/")
        assert not path or (folder / path).exists(), link


@every_page
def test_every_target_and_every_verb_exists(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(
        r"(?:`|^)(?:WORKBENCH_QUICK=1 )?make (\w+)", PAGES[name], re.MULTILINE
    ):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for verb in re.findall(r"python -m workbench ([a-z][\w-]*)", PAGES[name]):
        assert verb in VERBS, verb


def test_the_command_line_page_has_every_verb():
    table = re.findall(r"^\| (`.+?) \| ", PAGES["docs/command_line.md"], re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`([a-z-]+)", row)}
    assert named == set(VERBS)


@pytest.mark.parametrize("name", ["README.md", "docs/command_line.md"])
def test_the_python_example_runs(name, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)
    monkeypatch.chdir(tmp_path)
    assert "updates=100" in code
    exec(code.replace("updates=100", "updates=1, episodes=2, eval_every=1"), {})
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 ")
    assert all(name in workbench.__all__ for name in ("RunSpec", "RunStore", "run"))
