"""Values in, Plotly figures out: what is drawn is what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.data.rollout import Evaluation
from workbench.methods import GradientReport
from workbench.tuning.loop import TuneStep
from workbench.viewing.figures import runs


@pytest.fixture
def steps(toy, draw):
    """Thirty updates, evaluated at 0, 15 and 30."""
    out = []
    for update in range(31):
        losses = {"loss_dm": draw.uniform(0.1, 1), "loss_dt": draw.uniform(0.01, 0.1)}
        cosine = draw.uniform(-0.3, 0.3)
        report = GradientReport(cosine, cosine < 0, draw.uniform(0, 1), None, {})
        evaluation = None
        if update % 15 == 0:
            evaluation = Evaluation(toy.task(5), (), draw.normal(-30, 5, 8), ())
        step = TuneStep(update, {}, 0.1, None, evaluation)
        out.append(replace(step, metrics=losses, gradients=report) if update else step)
    return out


def evaluated(steps):
    return [s for s in steps if s.evaluation is not None]


def interval(values):
    assert len(values) == 8, "2.364624 is Student's t for 8 values"
    return np.mean(values), 2.364624 * np.std(values, ddof=1) / 8**0.5


def test_returns_are_means_with_95_percent_intervals(steps):
    figure = runs.returns(evaluated(steps), steps[0], 30)
    line = next(t for t in figure.data if t.name == "tuned prompt")
    wants = [interval(s.evaluation.returns) for s in evaluated(steps)]
    assert list(line.x) == [0, 15, 30]
    np.testing.assert_allclose(line.y, [mean for mean, _ in wants])
    np.testing.assert_allclose(line.error_y.array, [half for _, half in wants], rtol=1e-6)


def test_the_untuned_prompt_is_a_dashed_line_with_its_band(steps):
    figure = runs.returns([], steps[15], 30)
    (line,) = figure.data
    mean, half = interval(steps[15].evaluation.returns)
    assert (line.name, line.line.dash) == ("untuned prompt", "dash")
    np.testing.assert_allclose(line.y, [mean, mean])
    (band,) = figure.layout.shapes
    np.testing.assert_allclose([band.y0, band.y1], [mean - half, mean + half], rtol=1e-6)


def test_every_loss_is_drawn_where_it_was_measured(steps):
    figure = runs.losses(steps, 30)
    assert len(figure.data) == 4
    for name, (raw, smooth) in zip(
        ("loss_dm", "loss_dt"), (figure.data[:2], figure.data[2:]), strict=True
    ):
        want = np.array([s.metrics[name] for s in steps[1:]])
        assert list(raw.x) == list(smooth.x) == list(range(1, 31))
        np.testing.assert_allclose(raw.y, want)
        for i in range(30):  # a centred mean over 11 updates, shorter at the ends
            np.testing.assert_allclose(smooth.y[i], np.mean(want[max(0, i - 5) : i + 6]))
        assert raw.line.color == smooth.line.color
    assert figure.data[0].line.color != figure.data[2].line.color
    assert "L_DM" in figure.data[1].name
    assert "L_DT" in figure.data[3].name


def test_the_loss_on_what_is_held_out_stands_beside_the_others(steps):
    usual = runs.losses(steps, 30)
    held = [replace(s, metrics={**s.metrics, "loss_held_out": 0.5}) for s in steps]
    (line,) = {t.name for t in runs.losses(held, 30).data} - {t.name for t in usual.data}
    assert "held out" in line


def test_cosines_are_split_into_agreement_and_conflict(steps):
    figure = runs.gradients(steps, 30)
    agree, conflict = figure.data
    cosines = {s.update: s.gradients.cosine for s in steps[1:]}
    assert dict(zip(agree.x, agree.y, strict=True)) == {u: c for u, c in cosines.items() if c >= 0}
    assert dict(zip(conflict.x, conflict.y, strict=True)) == {
        u: c for u, c in cosines.items() if c < 0
    }
    removed = [100 * steps[u].gradients.removed for u in conflict.x]
    np.testing.assert_allclose(conflict.customdata, removed)
    share = f"{100 * len(conflict.x) / 30:.0f} % of updates conflict"
    assert share in [a.text for a in figure.layout.annotations]
    low, high = figure.layout.yaxis.range
    assert low < min(cosines.values())
    assert high > max(cosines.values())
    assert low == -high, "zero stays in the middle"


@pytest.mark.parametrize("some", [[], slice(0, 1), slice(0, 2)], ids=["none", "start", "one"])
def test_a_run_that_has_just_begun_can_be_drawn(steps, some):
    some = steps[some] if isinstance(some, slice) else some
    for figure in (
        runs.returns(evaluated(some), None, 30),
        runs.losses(some, 30),
        runs.gradients(some, 30),
    ):
        figure.to_json()


def test_axes_keep_their_range_while_a_run_grows(steps):
    for make in (runs.losses, runs.gradients):
        ranges = {make(steps[:n], 30).layout.xaxis.range for n in (2, 31)}
        assert len(ranges) == 1
        (axis,) = ranges
        assert axis[0] <= 0
        assert axis[1] >= 30
        assert make(steps, 30).layout.uirevision, "zooming survives a redraw"


def test_axes_are_named(steps):
    for figure in (
        runs.returns(evaluated(steps), steps[0], 30),
        runs.losses(steps, 30),
        runs.gradients(steps, 30),
    ):
        for text in (figure.layout.title, figure.layout.xaxis.title, figure.layout.yaxis.title):
            assert text.text


def test_drawing_changes_no_value(steps):
    before = [(s.update, dict(s.metrics), s.gradients) for s in steps]
    runs.losses(steps, 30)
    runs.gradients(steps, 30)
    runs.returns(evaluated(steps), steps[0], 30)
    assert [(s.update, dict(s.metrics), s.gradients) for s in steps] == before


def test_each_colour_means_one_thing():
    names = ("UNTUNED", "TUNED", "DIFFUSION", "DOWNSTREAM", "CONFLICT", "AGREE")
    assert len({getattr(runs, name) for name in names}) == len(names)


def test_several_runs_share_one_chart(steps):
    once = [steps[0]]
    lines = [runs.Line("A", "#0072B2", once), runs.Line("B", "#D55E00", steps)]
    figure = runs.curves(lines, steps[15], 30)
    untuned, level, curve = figure.data
    assert (untuned.name, level.name, curve.name) == ("untuned prompt", "A", "B")
    assert (untuned.line.color, level.line.color) == (runs.UNTUNED, "#0072B2")
    mean, half = interval(steps[0].evaluation.returns)
    np.testing.assert_allclose(level.y, [mean, mean])
    assert list(level.x) == [0, 30]
    bands = [(shape.y0, shape.y1, shape.fillcolor) for shape in figure.layout.shapes]
    assert bands[1] == (pytest.approx(mean - half), pytest.approx(mean + half), "#0072B2")
    assert list(curve.x) == [0, 15, 30]
    wants = [interval(s.evaluation.returns) for s in evaluated(steps)]
    np.testing.assert_allclose(curve.y, [m for m, _ in wants])
    np.testing.assert_allclose(curve.error_y.array, [h for _, h in wants], rtol=1e-6)


def test_a_run_without_episodes_yet_is_left_out(steps):
    assert runs.curves([runs.Line("A", "#0072B2", steps[1:3])], None, 30).data == ()
    assert runs.curves([runs.Line("A", "#0072B2", [])], None, 30).data == ()


def test_columns_are_told_apart():
    assert len(set(runs.COLUMNS)) == 4
    assert runs.UNTUNED not in runs.COLUMNS
