"""The page of the tables, by Streamlit's AppTest over what ships."""

import pytest
from streamlit.testing.v1 import AppTest

from workbench.assembled import assemble
from workbench.pages import compare, shown
from workbench.pages.rows import known_runs
from workbench.store import RunStore
from workbench.tables import PUBLISHED, TABLES, cells


def script():
    import streamlit as st

    from workbench.pages import compare, explore, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    runs_page = st.Page(lambda: runs.page(first), title="Runs", url_path="runs")
    here = st.Page(lambda: compare.page(runs_page), title="Compare", default=True)
    st.navigation([here, runs_page, first]).run()


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(shown, "OWN", RunStore(tmp_path))
    return AppTest.from_function(script, default_timeout=90)


def texts(page):
    return "\n".join(i.value for kind in (page.markdown, page.caption, page.info) for i in kind)


def test_measured_and_published_stand_side_by_side(page):
    page.run()
    assert not page.exception
    assert not page.error
    wide = page.dataframe[0].value.set_index("")
    assert wide.loc["Prompt Diffuser", "cheetah-vel|paper"] == -35.3
    known = known_runs()
    table = assemble("1", cells("1"), known.runs, resamples=10)
    mine = table.set_index(["row", "column"])["mean"]
    for row, column in (("Prompt Diffuser", "cheetah-vel"), ("Soft Prompt", "cheetah-vel")):
        assert wide.loc[row, f"{column}|here"] == pytest.approx(mine[row, column])
    assert set(wide["ant-dir|paper"].dropna()) == {
        mean for (_, column), (mean, _) in PUBLISHED["1"].items() if column == "ant-dir"
    }
    widgets = [w for kind in (page.selectbox, page.radio, page.button_group) for w in kind]
    assert len(widgets) == 5
    assert all(widget.help for widget in widgets)


def test_a_cell_shows_its_runs(page):
    page.query_params["row-1"] = "Soft Prompt"
    page.run()
    assert page.selectbox(key="row-1").value == "Soft Prompt"
    lines = page.dataframe[1].value
    found = known_runs().runs.find(cells("1")["Soft Prompt", "cheetah-vel"])
    assert sorted(lines["return"]) == pytest.approx(sorted(found["return_mean"]))
    assert lines["A | B"].str.contains("b-method=Soft").all()
    (link,) = page.get("page_link")
    assert "cell=1%7CSoft+Prompt%7Ccheetah-vel" in str(link.proto)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("view", compare.VIEWS)
def test_every_table_is_drawn_in_every_way(page, name, view):
    page.query_params["table"] = compare.NAMES[name][0]
    page.query_params["view"] = view
    page.run()
    assert not page.exception
    assert not page.error, page.error[0].value
    whole = cells(name, data=("expert", "medium", "random"))
    assert list(page.dataframe[0].value[""]) == list(dict.fromkeys(row for row, _ in whole))
    if name == "1":
        assert len(page.get("plotly_chart")) == 1


def test_the_rows_drawn_and_the_row_against_are_chosen(page):
    page.query_params["view"] = "Probability of improvement"
    page.run()
    page.multiselect(key="rows-1").set_value(["HDT"]).run()
    page.selectbox(key="against-1").set_value("MT-ORL").run()
    assert "beats one of: MT-ORL" in page.get("plotly_chart")[0].proto.spec
    page.multiselect(key="rows-1").set_value([]).run()
    assert "Choose at least one row" in texts(page)
    assert not page.exception
