"""The README's tables are what the shipped runs say."""

import pytest

from workbench.commands.readme import BLOCKS, README, readme, refreshed


def test_the_readme_says_what_ships():
    assert refreshed(README.read_text())[1] == [], "run `python -m workbench readme --write`"


def test_every_block_is_in_the_readme():
    text = README.read_text()
    assert [name for name in BLOCKS if f"<!-- measured: {name} -->" not in text] == []


def test_an_old_block_is_named_and_made_anew(tmp_path, capsys):
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- measured: table 2 -->\n| old |\n<!-- end -->\nafter\n")
    with pytest.raises(SystemExit) as stopped:
        readme(file=file)
    assert stopped.value.code == 1
    assert "| old |" in file.read_text(), "nothing is written unless asked"
    assert "table 2" in capsys.readouterr().out
    readme(write=True, file=file)
    text = file.read_text()
    assert text.startswith("before\n<!-- measured: table 2 -->\n| learned from")
    assert text.endswith("|\n<!-- end -->\nafter\n")
    assert refreshed(text) == (text, [])


def test_an_unknown_block_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no block 'tabel 1'"):
        refreshed("<!-- measured: tabel 1 -->\n<!-- end -->")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        readme(file=tmp_path / "nothing.md")
