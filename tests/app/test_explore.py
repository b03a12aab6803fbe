"""The page Explore, by Streamlit's AppTest: first paint, A | B, jobs that outlive a tab, links."""

import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from workbench.app import explore, explore_progress, jobs, serving
from workbench.runs.compare import paired
from workbench.runs.jobs import JobQueue
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import FAMILIES
from workbench.tuning.presets import OPENING_QUALITY, PAIRS, SHIPPED_SPECS, first_task
from workbench.viewing.scene.appearance import goal_words
from workbench.viewing.scene.outcome import outcome, verdict

OPENING = next(iter(PAIRS))
A, B = (s.spec("cheetah-vel", first_task("cheetah-vel"), OPENING_QUALITY) for s in PAIRS[OPENING])
"""What the page opens with."""
APP = str(serving.SCRIPT)
SHIPPED = RunStore(assets.ROOT / "runs")


@pytest.fixture
def queue(monkeypatch, tmp_path):
    """A queue and a store of the test's own."""
    made = JobQueue(2)
    for module in (jobs, explore_progress):
        monkeypatch.setattr(module, "QUEUE", made)
    monkeypatch.setattr(jobs, "OWN", RunStore(tmp_path / "runs"))
    yield made
    for entry in [*made.waiting, *made.running]:
        made.stop(entry.key)


@pytest.fixture
def app(queue):
    return opened()


def opened(**link):
    """Open the page in a tab of its own."""
    test = AppTest.from_file(APP, default_timeout=60)
    for name, value in link.items():
        test.query_params[name.replace("_", "-")] = value
    return test.run()


def wait_until(app, condition, seconds=400):
    """Rerun the page until it shows what is asked for; `run_every` does not fire by itself."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.run()
        if condition(app):
            return
        time.sleep(0.2)
    raise AssertionError(f"The page did not get there: {texts(app)}")


def texts(app):
    return [e.value for kind in (app.caption, app.info, app.markdown) for e in kind]


def shows(app, words):
    return any(words in text for text in texts(app))


def fine(app):
    return not app.exception and not app.error


def button(app, label):
    return next(b for b in app.button if b.label == label)


def metrics(app):
    return {m.label: m.value for m in app.metric}


def holds(app):
    """Return what stands in A and in B."""
    return [app.selectbox(key=f"{name}-method").value for name in "ab"]


def stored(spec):
    return SHIPPED.load(spec.id, load_model(spec.family))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_presets_show_ships(family):
    wanted = [run for spec in SHIPPED_SPECS[family] for run in (spec, spec.untuned)]
    assert [run for run in wanted if run.id not in SHIPPED] == []
    task = first_task(family)
    pairs = PAIRS.values()
    sides = [side.spec(family, task, OPENING_QUALITY) for pair in pairs for side in pair]
    assert {side.id for side in sides} <= {run.id for run in wanted}


def test_the_first_visit_shows_a_pair_that_plainly_differs(app):
    assert fine(app)
    assert holds(app) == [side.method for side in PAIRS[OPENING]]
    a, b = (stored(spec)[-1].evaluation for spec in (A, B))
    mean, half = paired(a, b)
    assert abs(mean) > half, "which of the two is better is no question"
    assert shows(app, outcome(a.trajectories[0]))
    assert shows(app, outcome(b.trajectories[0]))
    assert shows(app, verdict("**A**", "**B**", mean, half))
    assert shows(app, "Recorded run, shipped with the workbench")
    assert len(app.metric) == 4
    assert app.button_group(key="preset").value == OPENING
    assert button(app, "Stop").disabled


def test_numbers_on_the_page_are_those_of_the_store(app):
    a, b = (stored(spec)[-1].evaluation for spec in (A, B))
    seen, (mean, half) = metrics(app), paired(a, b)
    assert seen["A: mean return"] == f"{a.returns.mean():.1f}"
    assert seen["B: mean return"] == f"{b.returns.mean():.1f}"
    assert seen["Difference B − A"] == f"{(b.returns - a.returns).mean():+.1f}"
    assert f"{mean - half:+.1f} … {mean + half:+.1f}" in app.metric[2].delta
    apart = float(seen["Distance of the prompts"].removesuffix(" sd"))
    scale, mean = (getattr(load_model(B.family).normalizer, n) for n in ("scale", "mean"))
    (x, y) = (
        np.concatenate([p.observations, p.actions], -1)
        for p in (stored(s)[-1].snapshot.policy.prompt for s in (A, B))
    )
    apart_by_hand = np.sqrt((((x - y) / scale.numpy()[: x.shape[-1]]) ** 2).mean())
    assert len(mean) > x.shape[-1]
    assert apart == pytest.approx(apart_by_hand, abs=0.006)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != OPENING])
def test_a_preset_sets_both_columns_in_one_click(app, name):
    app.button_group(key="preset").set_value(name).run()
    assert fine(app)
    assert holds(app) == [side.method for side in PAIRS[name]]
    assert [app.selectbox(key=f"{n}-projection").value for n in "ab"] == [
        side.projection for side in PAIRS[name]
    ]
    assert app.button_group(key="preset").value == name
    assert "–" not in metrics(app).values()
    assert shows(app, "Recorded run, shipped")


def test_a_preset_is_no_longer_chosen_once_something_else_is(app):
    app.button_group(key="preset").set_value("Untuned | tuned").run()
    app.select_slider(key="b-lam").set_value(3.0).run()
    assert app.button_group(key="preset").value is None
    assert shows(app, "Not run yet")
    assert metrics(app)["B: mean return"] == metrics(app)["Difference B − A"] == "–"
    assert metrics(app)["Distance of the prompts"].endswith(" sd"), "its first prompt is there"


def test_every_control_has_a_help_text(app):
    widgets = [
        *app.selectbox,
        *app.slider,
        *app.select_slider,
        *app.number_input,
        *app.button,
        *app.button_group,
    ]
    assert len(widgets) >= 18
    assert [w.label for w in widgets if not w.help] == []


def test_what_a_method_does_not_have_cannot_be_set(app):
    app.button_group(key="preset").set_value("Untuned | tuned").run()
    for name, off in (("a", True), ("b", False)):
        assert app.selectbox(key=f"{name}-guidance").disabled is off
        assert app.select_slider(key=f"{name}-lam").disabled is off
    app.selectbox(key="b-guidance").set_value("diffusion").run()
    assert app.select_slider(key="b-lam").disabled
    assert not app.selectbox(key="b-guidance").disabled
    assert fine(app)


def test_methods_whose_networks_do_not_ship_are_not_offered(app):
    app.selectbox(key="robot").set_value(FAMILIES["reach"].label).run()
    offered = app.selectbox(key="b-method").options
    assert ("Prompt VAE" in offered) == assets.pretrained_path("reach", "vae").exists()
    assert "Soft Prompt" in offered
    assert shows(app, "On the command line only")
    for name in ("reach", "cheetah-vel"):
        app.selectbox(key="robot").set_value(FAMILIES[name].label).run()
        guides = app.selectbox(key="b-guidance").options
        critic = assets.pretrained_path(name, "critic").exists()
        assert ("both losses and the critic" in guides) == critic
        assert "both losses" in guides


def test_how_a_diffuser_was_pretrained_is_offered_where_there_are_several(app):
    pretrained = app.selectbox(key="b-pretrained")
    assert pretrained.options[0] == "as published"
    assert {"without guidance", "with λ = 1, plain sum"} <= set(pretrained.options)
    assert pretrained.disabled, "told the task: another network"
    app.button_group(key="preset").set_value("Projection off | on").run()
    app.selectbox(key="b-pretrained").set_value("lam-0").run()
    assert fine(app)
    assert shows(app, "pretrained without guidance")
    assert app.button_group(key="preset").value is None, "no preset is of it"
    app.button_group(key="preset").set_value("Projection off | on").run()
    assert app.selectbox(key="b-pretrained").value == ""
    app.selectbox(key="robot").set_value(FAMILIES["reach"].label).run()
    assert "b-pretrained" not in [box.key for box in app.selectbox]
    assert fine(app)


def test_tuning_grows_and_stops_at_once_keeping_what_was_done(app, queue):
    app.button_group(key="preset").set_value("Untuned | tuned").run()
    app.number_input(key="seed").set_value(3).run()
    assert shows(app, "Not run yet"), "the robots stand until they are told to run"
    button(app, "Tune").click().run()
    assert button(app, "Tune").disabled
    spec = PAIRS["Untuned | tuned"][1].spec("cheetah-vel", 7, OPENING_QUALITY, 100, 3)
    entry = queue.find(spec.id)
    wait_until(app, lambda a: len(entry.items) >= 6)
    button(app, "Stop").click().run()
    kept = len(entry.items)
    assert shows(app, "Stopped after")
    assert not button(app, "Tune").disabled
    entry.job.wait(60)
    assert len(entry.items) == kept
    assert fine(app)


def test_a_reload_and_a_second_tab_find_the_running_job(app, queue):
    app.selectbox(key="b-method").set_value("prompt-diffuser")
    app.number_input(key="seed").set_value(4).run()
    button(app, "Tune").click().run()
    wait_until(app, lambda a: any(len(entry.items) > 2 for entry in queue.running))
    running = [entry.key for entry in queue.running]
    again = opened(seed="4", b_method="Prompt Diffuser")
    assert fine(again)
    assert button(again, "Tune").disabled
    assert not button(again, "Stop").disabled
    assert [entry.key for entry in queue.running] == running, "shared, not begun once more"


def test_a_finished_tuning_is_read_back_by_whoever_comes_later(app, queue, monkeypatch):
    app.slider(key="updates").set_value(50).run()
    app.selectbox(key="b-method").set_value("soft-prompt").run()
    button(app, "Tune").click().run()
    wait_until(app, lambda a: not queue.running and not queue.waiting)
    app.run()
    assert shows(app, "**Your run**")
    assert metrics(app)["B: mean return"] != "–"
    for module in (jobs, explore_progress):
        monkeypatch.setattr(module, "QUEUE", JobQueue(1))
    later = opened(updates="50", b_method="Soft Prompt")
    assert shows(later, "Your run, read back")
    assert metrics(later) == metrics(app)


def test_others_wait_in_a_visible_queue_and_can_be_cancelled(app, queue):
    class Busy:
        stopped, error, items, running = False, None, (), True

        def wait(self, seconds=None):
            return False

    queue._threads = [Busy(), Busy()]
    app.number_input(key="seed").set_value(5).run()
    button(app, "Tune").click().run()
    assert shows(app, "number 1 in the queue")
    assert shows(app, "number 2 in the queue")
    assert any("Cheetah-vel" in m.value and "1: " in m.value for m in app.markdown)
    button(app, "Cancel").click().run()
    assert shows(app, "number 1 in the queue")
    assert not shows(app, "number 2 in the queue")
    assert fine(app)


def test_an_error_in_a_job_is_words_on_the_page(app, queue, monkeypatch):
    def fail(spec, store, anew):
        raise ValueError("the few-shot set is missing")
        yield

    monkeypatch.setattr(explore_progress, "watch", fail)
    app.number_input(key="seed").set_value(6).run()
    button(app, "Tune").click().run()
    wait_until(app, lambda a: not queue.running, seconds=60)
    app.run()
    assert any("the few-shot set is missing" in e.value for e in app.error)
    assert not app.exception


def test_an_unexpected_error_is_words_too(queue, monkeypatch, capfd):
    def fail(*args):
        raise RuntimeError("a disk on fire")

    monkeypatch.setattr(explore, "payload_of", fail)
    test = opened()
    assert not test.exception
    assert any("This could not be shown" in e.value for e in test.error)
    assert any("a disk on fire" in c.value for c in test.code)
    assert "RuntimeError: a disk on fire" in capfd.readouterr().err, "the server's log has it"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_has_its_own_tasks_and_recorded_runs(app, family):
    app.selectbox(key="robot").set_value(family.label).run()
    assert fine(app)
    tasks = app.selectbox(key=f"{family.name}-task")
    assert tasks.options == [goal_words(task) for task in family.tasks("test")]
    assert tasks.value == goal_words(family.task(first_task(family.name)))
    assert "–" not in metrics(app).values()
    assert any(family.hint in m.value for m in app.markdown)
    tasks.set_value(tasks.options[-1]).run()
    assert shows(app, "Not run yet")
    assert fine(app)


def test_another_robot_forgets_no_setting(app):
    app.number_input(key="seed").set_value(5).run()
    app.selectbox(key="robot").set_value("Cheetah-dir").run()
    assert app.number_input(key="seed").value == 5
    app.selectbox(key="robot").set_value("Cheetah-vel").run()
    assert app.selectbox(key="cheetah-vel-task").value == "run at 0.6 m/s"


def test_a_shared_link_opens_the_same_view(queue):
    test = opened(
        robot="Cheetah-dir",
        cheetah_dir_task="run backward",
        a_method="Soft Prompt",
        b_method="Prompt Diffuser",
        b_lam="3",
        b_data="expert",
        seed="8",
        view="Conflict",
    )
    assert fine(test)
    assert test.selectbox(key="cheetah-dir-task").value == "run backward"
    assert holds(test) == ["soft-prompt", "prompt-diffuser"]
    assert test.select_slider(key="b-lam").value == 3.0
    assert test.button_group(key="b-data").value == "expert"
    assert test.button_group(key="view").value == "Conflict"
    assert not test.warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cheetah-vel-task", "99"),
        ("robot", "Dog"),
        ("b-lam", "-4"),
        ("updates", "x"),
        ("seed", "-1"),
        ("a-method", "Magic"),
        ("data", "golden"),
        ("view", "Sideways"),
        ("a-data", "own:gone"),
    ],
)
def test_a_broken_link_falls_back_and_says_so(queue, name, value):
    test = opened(**{name: value})
    assert fine(test)
    assert any(value in w.value.replace("\\", "") for w in test.warning)
    assert holds(test) == [side.method for side in PAIRS[OPENING]]
    assert "–" not in metrics(test).values()
    test.number_input(key="seed").set_value(2).run()
    assert not test.warning, "the note goes once the reader chooses"


@pytest.mark.parametrize("view", ["Losses", "Conflict", "Per layer", "In the plane"])
def test_every_view_of_the_gradients_is_drawn_or_says_why_not(queue, view):
    test = opened(
        view=view, a_method="Prompt Diffuser", a_projection="none", b_method="Prompt Diffuser"
    )
    assert fine(test)
    drawn = len(test.get("plotly_chart"))
    assert drawn == 3, "the returns, and one picture a column"
    without = opened(view=view, b_method="Untuned prompt")
    assert fine(without)
    assert len(without.get("plotly_chart")) == 1
    assert shows(without, "nothing is tuned in it")


def test_a_prompt_written_by_hand_moves_the_robot(queue):
    test = opened(by_hand="true")
    assert fine(test)
    chosen = test.selectbox(key="by-hand-cheetah-vel")
    assert chosen.value == "forward velocity", "what is read most stands first"
    said = next(m.value for m in test.markdown if m.value.startswith("With this prompt"))
    theirs = outcome(stored(B)[-1].evaluation.trajectories[0])
    assert said.count(theirs) == 2, "as long as nothing is changed both do the same"
    slider = next(s for s in test.slider if s.label.startswith("forward velocity"))
    slider.set_value(slider.max).run()
    assert fine(test)
    faster = next(m.value for m in test.markdown if m.value.startswith("With this prompt"))
    assert speed(faster) > 1.5 > speed(said), "told to be fast, it is fast"


def speed(said):
    return float(said.split("runs at ")[1].split()[0])
