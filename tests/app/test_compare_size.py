"""The part of the page Compare that shows a transformer of the paper's size."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.paper.test_lengths import rows
from workbench.app import compare_size
from workbench.paper import model_size
from workbench.paper.measured import Runs

SMALL, LARGE = model_size.SIZES


def script():
    from workbench.app import compare_size
    from workbench.app.known_runs import known_runs

    compare_size.show_size(known_runs())


def page_of(monkeypatch, specs):
    """Return the part as it is where some runs are there: larger ones earn 10 more."""
    value = {"prompt-dt": -40.0, "prompt-diffuser": -35.0}
    runs = rows(specs, lambda s: value[s.method] + 10 * (s.variant == "paper-size") + s.seed)
    runs = Runs.of(runs.table.assign(n_trainable=170_000, n_model=12_850_000))
    table = model_size.assemble(runs)
    monkeypatch.setattr(compare_size, "_assembled", lambda made, known: table)
    page = AppTest.from_function(script, default_timeout=120).run()
    assert not page.exception
    return page


@pytest.fixture
def both():
    names = (model_size.REFERENCE, "Prompt Diffuser")
    return [s for name in names for size in model_size.SIZES for s in model_size.cell(name, size)]


def test_both_sizes_stand_beside_each_other(monkeypatch, both):
    page = page_of(monkeypatch, both)
    (shown,) = page.dataframe
    found = shown.value.set_index("row")
    assert list(found.index) == list(model_size.ROWS)
    assert list(found.loc["Prompt Diffuser"]) == [
        "−34.0 (+5.0)",
        "−24.0 (+5.0)",
        "170,000 (1.3 %)",
        "−35.3",
    ]
    assert found.loc[model_size.REFERENCE, LARGE] == "−29.0"
    assert list(found.loc["Soft Prompt"])[:3] == ["–", "–", "–"]
    text = " ".join(m.value for m in page.markdown)
    assert f"**{LARGE}**: Prompt Diffuser, from expert data, +5.0 [5.0, 5.0]" in text
    assert any("A dash: not run yet" in c.value for c in page.caption)


def test_a_row_of_fewer_seeds_says_so(monkeypatch, both):
    page = page_of(monkeypatch, [s for s in both if not (s.variant and s.seed)])
    said = [c.value for c in page.caption if "seeds" in c.value]
    rows = (model_size.REFERENCE, "Prompt Diffuser")
    assert said == [f"{row} with {LARGE} is of 1 of 3 seeds." for row in rows]


def test_where_the_larger_was_not_run_there_is_nothing(monkeypatch, both):
    page = page_of(monkeypatch, [s for s in both if not s.variant])
    assert not page.dataframe
    assert not page.subheader
