"""The page of the ablation, by Streamlit's AppTest over the toy family: map, cell, sweep, stop."""

import re
import time

import pytest
from streamlit.testing.v1 import AppTest

from workbench.app import jobs, sweeps
from workbench.runs.jobs import JobQueue
from workbench.runs.store import RunStore
from workbench.tuning.presets import CHOSEN


def script():
    import streamlit as st

    from workbench.app import ablate, explore, runs

    first = st.Page(explore.page, title="Explore", url_path="explore")
    runs_page = st.Page(lambda: runs.page(first), title="Runs", url_path="runs")
    here = st.Page(lambda: ablate.page(runs_page), title="Ablate", default=True)
    st.navigation([here, runs_page, first]).run()


@pytest.fixture
def alone(shipped, tmp_path, monkeypatch):
    """A process without jobs, and an empty store of one's own."""
    monkeypatch.chdir(tmp_path)
    own, queue = RunStore(tmp_path / "runs"), JobQueue(2)
    monkeypatch.setattr(jobs, "OWN", own)
    monkeypatch.setattr(jobs, "SHIPPED", RunStore(tmp_path / "none"))
    monkeypatch.setattr(sweeps, "QUEUE", queue)
    monkeypatch.setattr(sweeps, "_SWEEPS", {})
    monkeypatch.setitem(CHOSEN, "prompt-diffuser", ({}, 4))  # a few updates tell as much
    yield own
    for sweep in sweeps._SWEEPS.values():
        sweep.end()


@pytest.fixture
def page(alone):
    return AppTest.from_function(script, default_timeout=60).run()


def texts(page):
    kinds = (page.markdown, page.caption, page.info, page.error)
    return "\n".join(item.value for kind in kinds for item in kind)


def small(page):
    """Ask for four cells of one task and one seed: λ 0 and 1, without projection and with."""
    page.sidebar.button_group(key="toy-lams").set_value([0.0, 1.0])
    page.sidebar.button_group(key="toy-projections").set_value(["none", "subspace"])
    page.sidebar.select_slider(key="toy-n-tasks").set_value(1)
    page.sidebar.select_slider(key="seeds").set_value(1)
    page.run()
    assert not page.exception
    return page


def wait_until(page, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        page.run()
        assert not page.exception
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(texts(page))


def test_an_empty_grid_says_what_to_do(page):
    assert "This cell was not run yet" in texts(page)
    assert "No cell of this grid" in texts(page)
    small(page)
    assert "**3 of 3 runs of this grid are missing**: unknown time" in texts(page)


def test_every_control_has_a_help_text(page):
    small(page)
    kinds = (page.selectbox, page.button_group, page.select_slider, page.button)
    widgets = [w for kind in kinds for w in kind]
    assert len(widgets) >= 9
    assert all(widget.help for widget in widgets)


def test_a_sweep_fills_the_map_and_its_runs_lead_on(page, alone):
    small(page).button(key="ablate-run").click().run()
    wait_until(page, lambda: not sweeps.sweep_of("ablation").active)
    page.run()
    assert len(alone.ids()) == 3
    assert "**Finished**: 3 runs" in texts(page)
    assert "3 runs are drawn, 3 of them yours" in texts(page)
    assert "missing" not in texts(page)
    assert "(one seed, so no interval)" in texts(page)
    assert "nan" not in texts(page)
    (line,) = page.dataframe[0].value.to_dict("records")
    (spec,) = [s for s in map(alone.spec, alone.ids()) if s.settings["projection"] == "subspace"]
    assert line["return"] == pytest.approx(alone.returns(spec.id)[-1].mean())
    assert "b-lam=1&b-projection=subspace" in line["A | B"], "the first page tunes likewise"
    again = AppTest.from_function(script, default_timeout=60).run()
    assert "of this grid are missing" in texts(again), "the whole grid"
    estimate = r"(about \d+|\d+ to \d+) (seconds|minutes) on one core"
    assert re.search(estimate, texts(again)), "there are runs like them now"


def test_stop_ends_within_an_update_and_keeps_what_was_done(page, alone):
    page.button(key="ablate-run").click().run()
    sweep = sweeps.sweep_of("ablation")
    wait_until(page, lambda: len(sweep.entry.items) >= 1)
    assert sweep.active
    other = AppTest.from_function(script, default_timeout=60).run()
    assert not [b for b in other.button if b.key == "ablate-run"], "another tab sees it too"
    other.button(key="stop-ablate").click()
    began = time.monotonic()
    other.run()
    assert not sweep.active
    assert sweep.entry.job.wait(20)
    assert time.monotonic() - began < 20
    done = len(alone.ids())
    assert 1 <= done < len(sweep.specs)
    page.run()
    assert "**Stopped** after" in texts(page)
    missing, of = re.search(r"(\d+) of (\d+) runs of this grid are missing", texts(page)).groups()
    assert (int(missing), int(of)) == (len(sweep.specs) - done, len(sweep.specs))


def test_a_link_opens_the_same_view(alone):
    page = AppTest.from_function(script, default_timeout=60)
    asked = {"toy-lams": ["1", "10"], "data": ["random"], "lam": ["10"]}
    for name, value in asked.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    assert page.sidebar.button_group(key="toy-lams").value == [1.0, 10.0]
    assert page.selectbox(key="lam").value == 10.0
    assert page.sidebar.button_group(key="data").value == "random"


def test_a_failing_run_is_words_on_the_page(page, alone, shipped):
    (shipped / "toy" / "diffuser.safetensors").write_bytes(b"")
    small(page)
    page.button(key="ablate-run").click().run()
    wait_until(page, lambda: not sweeps.sweep_of("ablation").active)
    page.run()
    assert "3 of 3 runs failed" in page.error[0].value
    assert "diffuser.safetensors" in page.error[0].value
