"""The pages, by Streamlit's AppTest: the first paint, the main path, stopping, bad links."""

import threading
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from workbench import assets
from workbench.pages import explore
from workbench.presets import first_look, first_task
from workbench.store import RunStore
from workbench.tasks import FAMILIES
from workbench.views import goal_words

DEFAULT = first_look("cheetah-vel", first_task("cheetah-vel"))
APP = str(Path(__file__).parents[1] / "app.py")


@pytest.fixture
def slot(monkeypatch):
    """What the session is doing: tests cannot look into Streamlit's session from outside."""
    slot = explore._Slot()
    monkeypatch.setattr(explore, "_slot", lambda: slot)
    yield slot
    slot.release()


@pytest.fixture
def app(slot, tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "OWN", RunStore(tmp_path))
    return AppTest.from_file(APP, default_timeout=40).run()


def wait_until(app, condition, seconds=60):
    """Rerun the page until it shows what is asked for; `run_every` does not fire by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.run()
        if condition(app):
            return
        time.sleep(0.2)
    raise AssertionError(f"The page did not get there: {texts(app)}")


def texts(app):
    return [*(c.value for c in app.caption), *(i.value for i in app.info)]


def button(app, label):
    return next(b for b in app.sidebar.button if b.label == label)


def shows(app, words):
    return any(words in text for text in texts(app))


def test_the_default_run_ships():
    store = RunStore(assets.ROOT / "runs")
    assert DEFAULT.id in store
    assert DEFAULT.untuned.id in store


def test_first_visit_shows_a_recorded_run(app):
    assert not app.exception
    assert shows(app, "Recorded run")
    assert len(app.metric) == 3
    assert not button(app, "Tune").disabled
    assert button(app, "Stop").disabled


def test_numbers_on_the_page_are_those_of_the_store(app):
    store = RunStore(assets.ROOT / "runs")
    from workbench.tune import load_model

    (untuned,) = store.load(DEFAULT.untuned.id, load_model(DEFAULT.family))
    last = store.load(DEFAULT.id, load_model(DEFAULT.family))[-1]
    assert app.metric[0].value == f"{untuned.evaluation.returns.mean():.1f}"
    assert app.metric[1].value == f"{last.evaluation.returns.mean():.1f}"
    difference = (last.evaluation.returns - untuned.evaluation.returns).mean()
    assert app.metric[2].value == f"{difference:+.1f}"


def test_every_control_has_a_help_text(app):
    widgets = [
        *app.sidebar.selectbox,
        *app.sidebar.slider,
        *app.sidebar.select_slider,
        *app.sidebar.number_input,
        *app.sidebar.toggle,
        *app.sidebar.button,
        *app.sidebar.button_group,
    ]
    assert len(widgets) >= 8
    assert all(widget.help for widget in widgets)


def test_projection_off_disables_its_reading(app):
    app.sidebar.toggle(key="projected").set_value(False).run()
    assert app.sidebar.selectbox(key="mode").disabled


def test_tuning_starts_grows_and_stops_at_once_keeping_what_was_done(app, slot):
    button(app, "Tune").click().run()
    assert button(app, "Tune").disabled
    job = slot.job
    wait_until(app, lambda a: len(job.items) >= 5)
    button(app, "Stop").click()
    began = time.monotonic()
    app.run()
    assert time.monotonic() - began < 5
    kept = len(job.items)
    assert shows(app, "Stopped after")
    assert not button(app, "Tune").disabled
    job.wait(30)
    assert len(job.items) == kept
    assert not app.exception


def test_finished_tuning_is_shown_and_read_back(app, slot):
    app.sidebar.slider(key="updates").set_value(50).run()
    button(app, "Tune").click().run()
    job = slot.job
    wait_until(app, lambda a: not job.running, seconds=120)
    app.run()
    assert job.error is None
    assert shows(app, "Your run")
    slot.job = None
    app.run()
    assert shows(app, "Your run, read back")
    assert not app.exception


def test_an_error_in_the_job_is_words_on_the_page(app, slot, monkeypatch):
    def fail(spec, store):
        raise ValueError("the few-shot set is missing")
        yield

    monkeypatch.setattr(explore, "compare", fail)
    button(app, "Tune").click().run()
    slot.job.wait(10)
    app.run()
    assert any("the few-shot set is missing" in e.value for e in app.error)
    assert not app.exception


def test_a_third_tuning_waits_its_turn(app, slot, monkeypatch):
    class Busy:
        running = True

    busy = (threading.Lock(), [Busy(), Busy()])
    monkeypatch.setattr(explore, "_jobs", lambda: busy)
    button(app, "Tune").click().run()
    assert slot.job is None
    assert any("running on this machine" in w.value for w in app.warning)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_has_its_own_tasks_and_a_recorded_run(app, family):
    app.sidebar.selectbox(key="robot").set_value(family.label).run()
    assert not app.exception
    tasks = app.sidebar.selectbox(key=f"{family.name}-task")
    assert tasks.options == [goal_words(task) for task in family.tasks("test")]
    assert shows(app, f"{family.label}: {goal_words(family.task(first_task(family.name)))}")
    assert shows(app, "Recorded run")
    assert len(app.metric) == 3
    assert any(family.hint in m.value for m in app.markdown)
    tasks.set_value(tasks.options[-1]).run()
    assert shows(app, "Press **Tune** to run the settings on the left")
    assert not app.exception


def test_another_robot_forgets_no_setting(app):
    app.sidebar.number_input(key="seed").set_value(5).run()
    app.sidebar.selectbox(key="robot").set_value("Cheetah-dir").run()
    assert app.sidebar.number_input(key="seed").value == 5
    app.sidebar.selectbox(key="robot").set_value("Cheetah-vel").run()
    assert app.sidebar.selectbox(key="cheetah-vel-task").value == "run at 0.6 m/s"


def test_a_shared_link_names_robot_and_task(slot):
    test = AppTest.from_file(APP, default_timeout=40)
    test.query_params["robot"] = "Cheetah-dir"
    test.query_params["cheetah-dir-task"] = "run backward"
    test.run()
    assert not test.exception
    assert test.sidebar.selectbox(key="cheetah-dir-task").value == "run backward"


@pytest.mark.parametrize(
    "link",
    [{"cheetah-vel-task": "99"}, {"robot": "Dog"}, {"lam": "-4"}, {"updates": "x"}, {"seed": "-1"}],
)
def test_a_bad_link_falls_back_to_the_default(link):
    test = AppTest.from_file(APP, default_timeout=40)
    for name, value in link.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    assert len(test.metric) == 3
