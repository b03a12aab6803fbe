"""Panels of the notebooks: what they show, what they ask for, and that they can be stopped."""

import gzip
import inspect
import re
import time
from pathlib import Path

import pytest

WHY = "the extra `lab` is not installed: make install EXTRAS=collect,lab,dev"
ipywidgets = pytest.importorskip("ipywidgets", reason=WHY)
anywidget = pytest.importorskip("anywidget", reason=WHY)

import plotly.graph_objects as go  # noqa: E402
from plotly.offline import get_plotlyjs  # noqa: E402

from workbench.runs.store import RunStore  # noqa: E402
from workbench.shipped import assets  # noqa: E402
from workbench.tasks import find  # noqa: E402
from workbench.teaching import live_panels, notebook, panels  # noqa: E402
from workbench.viewing.player import component  # noqa: E402


def every_panel():
    """Return every panel, made as a notebook makes it."""
    return [
        panels.TaskPicker(),
        panels.Demonstrations(),
        panels.Explorer(lambda n: go.Figure(), n=ipywidgets.IntSlider(tooltip="A number.")),
        panels.Scrubber(lambda k: go.Figure(), 4),
        panels.Replay(panels.recorded_run()),
        live_panels.Prompted(),
        live_panels.Tuning(),
    ]


def controls(widget):
    """Yield everything below a widget that a reader can set or press."""
    kinds = (ipywidgets.Dropdown, ipywidgets.Button, ipywidgets.IntSlider, ipywidgets.Play)
    if isinstance(widget, (*kinds, ipywidgets.SelectionSlider)):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from controls(child)


def test_every_control_says_what_it_does():
    found = [control for panel in every_panel() for control in controls(panel)]
    assert len(found) > 15
    assert [c for c in found if not (c.tooltip and c.tooltip.endswith("."))] == []


def test_all_figures_share_one_packed_plotly():
    a, b = notebook.Charts(go.Figure()), notebook.Charts(go.Figure(), go.Figure())
    assert a.library == b.library
    packed = notebook._library().packed
    assert len(packed) < 2_000_000
    assert gzip.decompress(packed).decode() == get_plotlyjs()


def test_panels_need_nothing_of_the_program_that_shows_them():
    """What runs in JupyterLab runs in VS Code: no other module, no address, nothing of either."""
    drawing = (Path(notebook.__file__).parent / "charts.js").read_text()
    for code in (drawing, component.source()[0]):
        assert not re.search(r"^import |\bfetch\(|XMLHttpRequest|require\(|https?:", code, re.M)
        assert "jupyterlab" not in code.lower()
    ours = [w for panel in every_panel() for w in below(panel) if not ipywidgets_own(w)]
    assert len(ours) > 5
    assert all(isinstance(w, anywidget.AnyWidget) for w in ours)


def below(widget):
    """Yield a widget's leaves, itself if it has nothing below it."""
    children = getattr(widget, "children", ())
    if not children:
        yield widget
    for child in children:
        yield from below(child)


def ipywidgets_own(widget):
    return type(widget).__module__.startswith("ipywidgets.")


def test_charts_show_other_figures_in_place():
    shown = notebook.Charts(go.Figure())
    shown.show(go.Figure(go.Scatter(x=[1.0], y=[2.0])), go.Figure())
    assert [len(figure["data"]) for figure in shown.figures] == [1, 0]
    assert "http" not in notebook.Charts._esm


def test_a_picker_fills_its_tasks_and_tells_once():
    picker, told = panels.TaskPicker("cheetah-vel", 2, "expert"), []
    picker.on_change(lambda: told.append((str(picker.task), picker.quality)))
    assert (picker.task.index, picker.quality) == (2, "expert")
    picker._robot.value = "ant-dir"
    assert picker.task in find("ant-dir").tasks("test")
    picker._quality.value = "random"
    assert told == [(str(picker.task), "expert"), (str(picker.task), "random")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("no-such",), "No models ship for 'no-such'"), (("cheetah-vel", 3), "must be a test task")],
)
def test_a_picker_refuses_what_there_is_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        panels.TaskPicker(*arguments)


def test_demonstrations_follow_the_picker():
    panel = panels.Demonstrations("cheetah-vel", 7)
    labels = [c["label"] for c in panel._player.payload["columns"]]
    assert labels == ["expert run", "medium run"]
    before = panel._charts.figures
    panel.picker._quality.value = "expert"
    assert [c["label"] for c in panel._player.payload["columns"]] == ["expert run"]
    panel.picker._task.value = find("cheetah-vel").task(23)
    assert panel._charts.figures != before


def test_an_explorer_draws_the_values_of_its_controls():
    seen = []

    def draw(a, b):
        seen.append((a, b))
        return go.Figure()

    panel = panels.Explorer(draw, a=ipywidgets.IntSlider(3), b=ipywidgets.Checkbox(True))
    panel.controls["a"].value = 5
    panel.controls["b"].value = False
    assert seen == [(3, True), (5, True), (5, False)]


def test_a_scrubber_counts_diffusion_steps_down():
    seen = []

    def draw(k):
        seen.append(k)
        return go.Figure()

    panel = panels.Scrubber(draw, 6)
    assert panel.slider.label == "k = 6"
    panel.slider.index = 6  # what the play button moves
    panel.slider.value = 4
    assert seen == [6, 0, 4]


def test_a_replay_has_both_robots_and_the_curves():
    panel = panels.Replay(panels.recorded_run())
    shown, drawn = panel.children
    assert [c["label"] for c in shown.payload["columns"]] == ["untuned prompt", "generated prompt"]
    assert len(drawn.figures) == 3


def test_a_missing_recording_says_how_to_make_it(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="python -m workbench record cheetah-vel"):
        panels.recorded_run()


def test_two_prompts_are_run_and_shown():
    panel = live_panels.Prompted("cheetah-vel", 7)
    panel.kind.value = "none"
    panel.begin().join(120)
    assert panel.job.error is None
    assert re.fullmatch(r"Return: <b>A</b> -?\d+, <b>B</b> -?\d+", panel.status.value)
    labels = [c["label"] for c in panel.screen.children[0].payload["columns"]]
    assert labels == ["expert prompt", "no prompt"]
    assert not panel.run.disabled


def test_before_a_tuning_it_shows_the_recorded_run_of_what_is_chosen(tmp_path):
    panel = live_panels.Tuning(store=RunStore(tmp_path))
    before = panel.charts.figures
    robot, _, quality = panel.picker.children
    robot.value = "ant-dir"
    assert panel.comparison.spec.family == "ant-dir"
    assert panel.charts.figures != before
    assert "walk towards" in panel.status.value
    robot.value, quality.value = "cheetah-vel", "random"
    shown = (panel.comparison.spec.family, panel.comparison.spec.quality)
    assert shown == ("cheetah-vel", "random") or "No run of this ships" in panel.status.value


def test_a_panel_tunes_and_draws_what_comes(tmp_path):
    panel = live_panels.Tuning(updates=10, episodes=2, store=RunStore(tmp_path))
    assert "Recorded run" in panel.status.value
    panel.lam.value, panel.projection.value = 3.0, "vector"
    assert panel.spec.settings == {"lam": 3.0, "projection": "vector"}
    panel.tune.click()
    assert panel.tune.disabled
    assert not panel.stop.disabled
    deadline = time.monotonic() + 120
    while panel.tune.disabled and time.monotonic() < deadline:
        time.sleep(0.1)
    assert panel.job.error is None
    assert panel.status.value.startswith("<b>Done.</b>")
    assert panel.progress.value == 10
    assert [step.update for step in panel.comparison.evaluated] == [0, 10]
    assert len(list(tmp_path.glob("*/result.json"))) == 2


def test_a_tuning_can_be_stopped(tmp_path):
    panel = live_panels.Tuning(updates=300, episodes=1, store=RunStore(tmp_path))
    watch = panel.begin()
    deadline = time.monotonic() + 60
    while not panel.comparison.steps and time.monotonic() < deadline:
        time.sleep(0.05)
    panel.stop.click()
    watch.join(30)
    assert "Stopped after" in panel.status.value
    assert (panel.tune.disabled, panel.stop.disabled) == (False, True)
    assert panel.job.wait(60)


def test_a_failing_tuning_says_why(tmp_path, monkeypatch):
    def broken(spec, store):
        raise ValueError("no such thing")
        yield

    assert inspect.isgeneratorfunction(broken)
    monkeypatch.setattr(live_panels, "compare", broken)
    panel = live_panels.Tuning(store=RunStore(tmp_path))
    panel.begin().join(30)
    assert "It ended early:</b> no such thing" in panel.status.value
    assert not panel.tune.disabled
