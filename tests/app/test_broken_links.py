"""Links that ask for what is not there: every page says so, and shows what it usually does."""

import pytest
from streamlit.testing.v1 import AppTest

from workbench.app import jobs
from workbench.paper.listed import ALL
from workbench.runs.store import RunStore


def script(name):
    import streamlit as st

    from workbench.app import ablate, compare, data, explore, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    runs_page = st.Page(lambda: runs.page(first), title="Runs", url_path="runs")
    pages = {
        "ablate": lambda: ablate.page(runs_page),
        "compare": lambda: compare.page(runs_page),
        "data": lambda: data.page(first),
        "runs": lambda: runs.page(first),
    }
    here = st.Page(pages[name], title="Here", default=True)
    st.navigation([here, runs_page, first]).run()


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "OWN", RunStore(tmp_path / "runs"))


def opened(name, **params):
    page = AppTest.from_function(script, args=(name,), default_timeout=60)
    for key, value in params.items():
        page.query_params[key.replace("_", "-")] = value
    page.run()
    assert not page.exception
    return page


def notes(page):
    return [w.value.replace("\\", "") for w in page.warning if "The link asks for" in w.value]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ablate", {"robot": "Dog"}),
        ("ablate", {"data": "golden"}),
        ("ablate", {"lam": "7"}),
        ("ablate", {"projection": "sideways"}),
        ("ablate", {"cheetah_vel_lams": ["1", "-4"]}),
        ("ablate", {"cheetah_vel_n_tasks": "99"}),
        ("compare", {"table": "Table 9"}),
        ("compare", {"table": "claims"}),
        ("compare", {"table": "Claims", "claim": "Magic works"}),
        ("compare", {"view": "Sideways"}),
        ("compare", {"row_1": "Nobody"}),
        ("compare", {"of_1": "Dog"}),
        ("data", {"robot": "Dog"}),
        ("data", {"cheetah_vel_task": "fly"}),
        ("data", {"tab": "Nowhere"}),
        ("runs", {"where": ["yours", "elsewhere"]}),
        ("runs", {"robot": "Dog"}),
        ("runs", {"columns": ["return", "luck"]}),
        ("data", {"episode": "by heart"}),
        ("ablate", {"all_data": "perhaps"}),
    ],
)
def test_it_is_said_until_the_reader_chooses(name, params):
    page = opened(name, **params)
    *_, value = params.values()
    (note,) = notes(page)
    assert (value[1] if isinstance(value, list) else value) in note
    choose = {
        "ablate": lambda: page.select_slider(key="seeds").set_value(1),
        "compare": lambda: page.radio(key="table").set_value("2"),
        "data": lambda: page.selectbox(key="robot").set_value("Ant-dir"),
        "runs": lambda: page.selectbox(key="method").set_value("Soft Prompt"),
    }
    choose[name]().run()
    assert not page.exception
    assert not notes(page), "the note goes once the reader chooses"


@pytest.mark.parametrize(
    ("name", "param", "meant"),
    [
        ("ablate", "dta", "did you mean “data”?"),
        ("compare", "tabel", "did you mean “table”?"),
        ("data", "orders", "did you mean “order”?"),
        ("runs", "utm-source", "parameter “utm-source”"),
    ],
)
def test_a_parameter_that_no_page_has_is_named(name, param, meant):
    (note,) = notes(opened(name, **{param.replace("-", "_"): "1"}))
    assert f"parameter “{param}”" in note
    assert meant in note


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ablate", {"robot": "Ant-dir", "data": "expert", "lam": "0.3"}),
        ("ablate", {"cheetah_vel_projections": ["none", "tensor"], "projection": "tensor"}),
        ("ablate", {"seeds": "2", "cheetah_vel_n_tasks": "3"}),
        ("compare", {"table": "Table 2", "view": "Performance profiles"}),
        ("compare", {"row_1": "Soft Prompt", "column_1": "Ant-dir", "of_1": ALL}),
        ("data", {"robot": "Ant-dir", "tab": "Bring your own"}),
        ("runs", {"where": ["recorded"], "robot": "Cheetah-vel", "data": "medium"}),
    ],
)
def test_what_is_there_is_no_matter_of_words(name, params):
    assert not notes(opened(name, **params))
