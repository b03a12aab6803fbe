"""What the verbs print without torch: it is what they would make, or it does not count."""

import json

import pandas as pd
import pytest

from workbench.paper import listed, listing
from workbench.paper.measured import Runs
from workbench.paper.tables import TABLES, cells, runs_of
from workbench.runs.run_table import load_shipped
from workbench.shipped import assets
from workbench.tasks import SHIPPED


@pytest.fixture
def kept(shipped, monkeypatch):
    """Kept answers of two verbs, in a folder of assets of one's own."""
    monkeypatch.setattr(listed, "made_of", lambda: "now")
    listed.write({"table": {"1": lambda: {"rows": [1.5]}}, "methods": {"toy": lambda: ["a"]}})
    return listed.path()


def test_what_ships_is_what_would_be_made_now():
    """Else: `python -m workbench results --write`."""
    assert listed.is_fresh()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_ships_is_the_table(name):
    chosen = cells(name)
    runs = Runs.of(load_shipped(name))
    made = listing.table_answer(name, chosen, runs, runs_of(chosen))
    kept = listed.listed("table", name)
    # the last digits of a mean are those of a processor
    pd.testing.assert_frame_equal(pd.DataFrame(made.pop("rows")), pd.DataFrame(kept.pop("rows")))
    assert kept == made


@pytest.mark.parametrize("family", SHIPPED)
def test_the_methods_that_ship_are_the_methods(family):
    made = json.loads(json.dumps(listing.method_rows(family)))
    assert listed.listed("methods", family) == made


def test_an_answer_is_kept_and_recorded(kept):
    assert listed.listed("table", "1") == {"rows": [1.5]}
    assert listed.listed("methods", "toy") == ["a"]
    assert listed.listed("methods", "another") is None
    assert assets.manifest()["results/listed.json"]["command"].endswith("results --write")


def test_an_answer_made_of_something_else_does_not_count(kept, monkeypatch):
    monkeypatch.setattr(listed, "made_of", lambda: "later")
    assert not listed.is_fresh()
    assert listed.listed("table", "1") is None


def test_beside_plug_ins_nothing_kept_counts(kept, monkeypatch):
    monkeypatch.setattr(listed.plugins, "plugins", lambda: ("one",))
    assert listed.listed("methods", "toy") is None


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"made_of": "now"}'])
def test_a_damaged_file_does_not_count(kept, text):
    kept.write_text(text)
    assert listed.listed("table", "1") is None


def test_files_and_code_are_what_it_is_made_of(shipped, monkeypatch):
    before = listed.made_of()
    some = shipped / "some.json"
    some.write_text("{}")
    assets.record(some, command="python -m workbench some", seed=0)
    changed = listed.made_of()
    assert changed != before
    monkeypatch.setattr(listed, "_code", lambda: "other")
    assert listed.made_of() != changed
