"""The measured tables of README and site are what the shipped runs say."""

import pytest

from workbench.commands.results import BLOCKS, pages, refreshed, results
from workbench.paper.measured import CAUTION


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_a_page_says_what_ships(page):
    text = page.read_text(encoding="utf-8")
    assert refreshed(text)[1] == [], "run `python -m workbench results --write`"


def test_every_block_is_on_some_page():
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    assert [name for name in BLOCKS if f"<!-- measured: {name} -->" not in text] == []


@pytest.mark.parametrize("name", ["README.md", "results.md"])
def test_the_caution_stands_before_the_first_number(name):
    (page,) = (page for page in pages() if page.name == name)
    text = page.read_text(encoding="utf-8")
    tables = [text.index(f"measured: {n} -->") for n in BLOCKS if f"measured: {n} -->" in text]
    assert min(tables) < text.index(CAUTION) < sorted(tables)[1]


def test_an_old_block_is_named_and_made_anew(tmp_path, capsys):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- measured: table 2 -->\n| old |\n<!-- end -->\nafter\n")
    with pytest.raises(SystemExit) as stopped:
        results(files=(file,))
    assert stopped.value.code == 1
    assert "| old |" in file.read_text(), "nothing is written unless asked"
    assert "README.md: table 2" in capsys.readouterr().out
    results(write=True, files=(file,))
    text = file.read_text()
    assert text.startswith("before\n<!-- measured: table 2 -->\n| learned from")
    assert text.endswith("|\n<!-- end -->\nafter\n")
    assert refreshed(text) == (text, [])


def test_an_unknown_block_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no block 'tabel 1'"):
        refreshed("<!-- measured: tabel 1 -->\n<!-- end -->")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        results(files=(tmp_path / "nothing.md",))
