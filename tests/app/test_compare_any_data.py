"""The part of the page Compare that shows data of every quality on every robot."""

from streamlit.testing.v1 import AppTest

from workbench.app.compare_any_data import percent
from workbench.data.qualities import QUALITIES
from workbench.paper import any_data
from workbench.paper.measured import Runs
from workbench.runs.run_table import shipped
from workbench.tasks import SHIPPED, find


def script():
    from workbench.app import compare_any_data
    from workbench.app.known_runs import known_runs

    compare_any_data.show_any_data(known_runs())


def test_each_robot_is_said_and_stands_in_the_table():
    page = AppTest.from_function(script, default_timeout=120).run()
    assert not page.exception
    text = " ".join(m.value for m in page.markdown)
    table = any_data.assemble(Runs.of(shipped()))
    told = table[(table["row"] == list(any_data.ROWS)[-1]) & (table["quality"] == "random")]
    for family in SHIPPED:
        (r,) = [r for _, r in told.iterrows() if r["family"] == family]
        assert r["seeds"] == 3, "what ships has it whole"
        said = text.partition(f"**{find(family).label}**, random data: ")[2].partition("- **")[0]
        assert f", {percent(r['share'])} [" in said
        assert "where it is told the task" in said
    (shown,) = page.dataframe
    assert len(shown.value) == len(SHIPPED) * len(any_data.ROWS)
    assert list(shown.value.columns) == ["robot", "row", *QUALITIES]
    assert list(dict.fromkeys(shown.value["robot"])) == [find(f).label for f in SHIPPED]


def test_a_share_is_written_with_a_minus():
    assert percent(-0.031) == "−3.1 %"
