"""The page of runs, by Streamlit's AppTest over the toy family: find, name, delete, run again."""

import os
import time

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.test_ablate import alone, texts  # noqa: F401  (a fixture)
from workbench.app import sweeps
from workbench.runs.library import Library
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec


def script():
    import streamlit as st

    from workbench.app import explore, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    here = st.Page(lambda: runs.page(first), title="Runs", default=True)
    st.navigation([here, first]).run()


SPECS = [
    {"quality": "expert", "settings": {"lam": 3.0}},
    {"quality": "medium", "method": "soft-prompt"},
    {"quality": "medium", "method": "prompt-dt", "updates": 0},
]


@pytest.fixture
def page(alone, monkeypatch):  # noqa: F811
    """The page over three runs, with the ticked rows in `page.ticked`: AppTest cannot tick."""
    from workbench.app import runs

    for fields in SPECS:
        spec = RunSpec("toy", 5, episodes=2, eval_every=1, **{"updates": 2, **fields})
        list(alone.record(spec, run(spec)))
    made = AppTest.from_function(script, default_timeout=60)
    made.ticked = []
    show = runs.show_listed

    def ticked(found):
        show(found)
        return found[found["run"].isin(made.ticked)]

    monkeypatch.setattr(runs, "show_listed", ticked)
    return made.run()


def listed(page):
    return list(page.dataframe[0].value["run"]) if page.dataframe else []


def by_method(store, method):
    return next(i for i in store.ids() if store.spec(i).method == method)


@pytest.mark.parametrize(
    ("name", "content"), [("result.json", ""), ("result.json", "{"), ("spec.json", "")]
)
def test_a_damaged_run_is_named_and_hides_no_other(page, alone, name, content):  # noqa: F811
    broken, *others = alone.ids()
    (alone.root / broken / name).write_text(content)
    os.utime(alone.root / broken / "result.json")  # a run is read anew when its result is another
    page.run()
    assert not page.exception
    assert sorted(listed(page)) == sorted(others)
    (warning,) = [w.value for w in page.warning if "cannot be read" in w.value]
    assert broken in warning.replace("\\", "")
    assert "1 run of your own" in warning


def test_every_run_is_listed_with_its_settings(page, alone):  # noqa: F811
    assert not page.exception
    assert not page.error
    table = page.dataframe[0].value.set_index("run")
    assert set(table.index) == set(alone.ids())
    row = table.loc[by_method(alone, "prompt-diffuser")]
    assert (row["settings"], row["data"], row["method"]) == ("lam 3.0", "expert", "Prompt Diffuser")
    assert row["return"] == pytest.approx(alone.returns(row.name)[-1].mean())
    assert "Tick a run" in texts(page)


def test_only_a_run_of_ones_own_says_when_it_was_made(page, alone, monkeypatch):  # noqa: F811
    """What ships has the time of the clone."""
    from workbench.app import jobs

    assert page.dataframe[0].value["when"].notna().all()
    monkeypatch.setattr(jobs, "SHIPPED", alone)
    page.session_state["where"] = ["recorded"]
    again = page.run()
    assert listed(again)
    assert again.dataframe[0].value["when"].isna().all()


def test_a_run_of_another_model_or_network_does_not_look_like_a_usual_one():
    from workbench.app.runs import _settings

    row = {"method": "soft-prompt", "settings": "{}", "model": "prompt-dt", "variant": ""}
    row |= {"split": "test", "prompts": ""}
    assert _settings(row) == "defaults"
    assert _settings({**row, "model": "gato"}) == "model gato"
    other = {**row, "variant": "seed-1", "prompts": "random", "settings": '{"lr": 3.0}'}
    assert _settings(other) == "variant seed-1, prompts random, lr 3.0"


@pytest.mark.parametrize(
    ("key", "value", "method"),
    [
        ("method", "Soft Prompt", "soft-prompt"),
        ("data", "expert", "prompt-diffuser"),
        ("find", "LAM toy", "prompt-diffuser"),
    ],
)
def test_filters_are_in_the_address(page, alone, key, value, method):  # noqa: F811
    again = AppTest.from_function(script, default_timeout=60)
    again.query_params[key] = value
    again.run()
    assert listed(again) == [by_method(alone, method)]


def test_nothing_found_has_words(page):
    page.text_input(key="find").set_value("zebra").run()
    assert "No run is like that" in texts(page)
    assert not page.exception
    assert not page.error


def test_a_run_is_named_tagged_and_found_by_it(page, alone):  # noqa: F811
    run_id = by_method(alone, "soft-prompt")
    page.ticked = [run_id]
    page.run()
    page.text_input(key=f"name-{run_id}").set_value("my best").run()
    page.multiselect(key=f"tags-{run_id}").set_value(["keep"]).run()
    assert not page.exception
    assert not page.error
    label = Library(alone).labels()[run_id]
    assert (label.name, label.tags) == ("my best", ("keep",))
    page.text_input(key="find").set_value("BEST keep").run()
    assert listed(page) == [run_id]
    page.text_input(key="find").set_value("").run()
    page.sidebar.multiselect(key="tags").set_value(["keep"]).run()
    assert listed(page) == [run_id]
    page.multiselect(key=f"tags-{run_id}").set_value([]).run()
    assert Library(alone).labels()[run_id].tags == ()
    assert len(listed(page)) == 3


def test_several_ticked_runs_are_compared(page, alone):  # noqa: F811
    page.ticked = sorted(alone.ids())
    page.run()
    assert not page.exception
    assert not page.error
    assert f"{len(alone.ids())} runs beside each other" in [s.value for s in page.subheader]
    table = page.dataframe[-1].value
    assert {"method", "return"} <= set(table)
    assert "task" not in table, "what is the same in all is left out"
    assert page.selectbox(key="by").value == "method"


def test_deleting_is_undone(page, alone):  # noqa: F811
    ids = sorted(alone.ids())
    page.ticked = ids[:2]
    page.run()
    page.button(key="delete").click().run()
    assert alone.ids() == ids[2:] == listed(page)
    assert "2 deleted runs in the bin" in texts(page)
    page.button(key="undo").click().run()
    assert sorted(alone.ids()) == ids == sorted(listed(page))
    page.button(key="delete").click().run()
    page.ticked = []
    page.button(key="empty-bin").click().run()
    assert Library(alone).deleted() == []
    assert not page.exception
    assert not page.error


def test_one_run_is_drawn_with_what_makes_it_again(page, alone):  # noqa: F811
    page.ticked = [by_method(alone, "prompt-diffuser")]
    page.run()
    assert not page.exception
    assert not page.error
    assert len(page.get("plotly_chart")) == 3
    assert page.code[0].value.startswith("python -m workbench tune toy 5 --quality expert")
    assert "RunSpec(" in page.code[1].value
    assert len(page.get("download_button")) == 4, "zip, CSV, LaTeX, figures"
    widgets = [w for kind in (page.button, page.text_input, page.multiselect) for w in kind]
    assert all(w.help for w in [*widgets, *page.selectbox, *page.button_group])


def test_run_again_gives_the_same_and_keeps_the_former(page, alone):  # noqa: F811
    run_id = by_method(alone, "prompt-diffuser")
    before = alone.returns(run_id)[-1].tolist()
    page.ticked = [run_id]
    page.run()
    page.button(key="again").click().run()
    end = time.monotonic() + 60
    while sweeps.sweep_of("again").active and time.monotonic() < end:
        time.sleep(0.1)
    page.run()
    assert not page.exception
    assert not page.error
    assert "**Finished**: 1 runs" in texts(page)
    assert alone.returns(run_id)[-1].tolist() == before
    assert Library(alone).deleted() == [run_id]


def test_a_link_to_a_cell_lists_its_runs_alone(page, alone):  # noqa: F811
    linked = AppTest.from_function(script, default_timeout=60)
    linked.query_params["cell"] = "1|Prompt Diffuser|cheetah-vel"
    linked.run()
    assert "Only the 0 runs of one cell: table 1 · Prompt Diffuser" in texts(linked)
    linked.button(key="show-all").click().run()
    assert len(listed(linked)) == 3
    linked.query_params["cell"] = "1|Nobody|nowhere"
    linked.run()
    assert "which no table has" in linked.warning[0].value
    assert not linked.exception


def test_damaged_labels_are_words_on_the_page(page, alone):  # noqa: F811
    (alone.root / "labels.json").write_text("{")
    page.run()
    assert "cannot be read" in page.error[0].value
    assert len(listed(page)) == 3
