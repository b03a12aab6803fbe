"""Pictures of the gradients: what is drawn is what was measured, and arrows are to scale."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.methods import GradientReport
from workbench.methods.projection import Agreement, Plane
from workbench.tuning.loop import TuneStep
from workbench.viewing.figures import gradients

LAYERS = ("hidden.weight", "out.weight")


@pytest.fixture
def steps(draw):
    """Forty updates of two layers; update 7 loses half of g_DT off the plane."""
    out = [TuneStep(0, {}, 0.0)]
    for update in range(1, 41):
        along, across = draw.uniform(-0.5, 0.5), draw.uniform(0.1, 0.6)
        kept = (max(along, 0.0), across)
        outside = float(np.hypot(*kept)) if update == 7 else 0.0
        report = GradientReport(
            cosine=along / np.hypot(along, across),
            conflict=along < 0,
            removed=draw.uniform(0, 1),
            plane=Plane(draw.uniform(0.5, 2), along, across, *kept, outside),
            tensors={name: Agreement(*draw.uniform(0.01, 1, 4)) for name in LAYERS},
        )
        out.append(TuneStep(update, {}, 0.1, gradients=report))
    return out


def test_conflict_shows_cosines_the_share_so_far_and_what_was_removed(steps):
    agree, conflict, share, removed, _ = gradients.conflict(steps, 40).data
    cosines = {s.update: s.gradients.cosine for s in steps[1:]}
    seen = dict(zip([*agree.x, *conflict.x], [*agree.y, *conflict.y], strict=True))
    assert seen == pytest.approx(cosines)
    assert min(agree.y) >= 0 > max(conflict.y)
    for n in (1, 10, 40):
        fought = [s.gradients.conflict for s in steps[1 : n + 1]]
        assert share.y[n - 1] == pytest.approx(100 * np.mean(fought))
    np.testing.assert_allclose(removed.y, [100 * s.gradients.removed for s in steps[1:]])


@pytest.mark.parametrize("measure", gradients.LAYER_MEASURES)
def test_the_heat_map_has_a_row_a_layer_and_a_column_an_update(steps, measure):
    (map_,) = gradients.per_layer(steps, measure, 40).data
    assert list(map_.y) == list(LAYERS) == gradients.layers(steps)
    assert list(map_.x) == list(range(1, 41))
    want = [[getattr(s.gradients.tensors[n], measure) for s in steps[1:]] for n in LAYERS]
    np.testing.assert_allclose(map_.customdata, want)
    drawn = np.power(10.0, map_.z) if measure.startswith("norm") else map_.z
    np.testing.assert_allclose(drawn, want)


def arrows(frame):
    return {t.name.split(":")[0]: np.array([t.x[-1], t.y[-1]]) for t in frame.data[:4]}


def test_arrows_are_to_scale_in_every_picture(steps):
    figure = gradients.plane(steps, 2.0, "#0072B2")
    assert figure.layout.yaxis.scaleanchor == "x"
    assert len(figure.frames) == 40
    for step, frame in zip(steps[1:], figure.frames, strict=True):
        m, drawn = step.gradients.plane, arrows(frame)
        dm, dt, kept, total = drawn.values()
        unit = m.norm_dm / dm[0]
        assert dm[1] == 0
        np.testing.assert_allclose(unit * dt, [m.dt_along, m.dt_across], atol=5e-4)
        np.testing.assert_allclose(unit * kept, [m.kept_along, m.kept_across], atol=5e-4)
        np.testing.assert_allclose(total, dm + 2 * kept, atol=5e-4)
        low, high = figure.layout.xaxis.range
        assert all(low <= x <= high for x, _ in drawn.values())
        assert all(figure.layout.yaxis.range[0] <= y <= figure.layout.yaxis.range[1]
                   for _, y in drawn.values())  # fmt: skip


def test_what_lies_off_the_plane_is_said(steps):
    words = {f.name: f.data[4].text[0] for f in gradients.plane(steps, 1.0, "#0072B2").frames}
    assert "71% of the length of Proj g_DT" in words["update 7"]  # 1 / sqrt 2
    assert "<br>0% of the length" in words["update 8"]


def test_the_slider_moves_pictures_that_the_browser_has(steps):
    figure = gradients.plane(steps, 1.0, "#0072B2")
    (slider,) = figure.layout.sliders
    names = {frame.name for frame in figure.frames}
    for step in slider.steps:
        (target,), options = step.args
        assert target in names
        assert options["frame"]["redraw"] is False
    assert arrows(figure).keys() == arrows(figure.frames[-1]).keys()
    assert slider.active == len(slider.steps) - 1


def test_a_long_run_has_no_more_pictures_than_a_browser_bears(steps):
    long = [TuneStep(i, {}, 0.1, gradients=steps[7].gradients) for i in range(1, 501)]
    assert 50 <= len(gradients.plane(long, 1.0, "#0072B2").frames) <= gradients.MAX_FRAMES


def test_no_gradient_at_all_is_drawn_as_nothing(steps):
    still = replace(steps[1].gradients, cosine=0.0, removed=0.0, plane=Plane(*[0.0] * 6))
    gradients.plane([TuneStep(1, {}, 0.1, gradients=still)], 1.0, "#0072B2").to_json()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_run_that_has_just_begun_can_be_drawn(steps, n):
    some = steps[:n]
    for figure in (
        gradients.conflict(some, 40),
        *(gradients.per_layer(some, measure, 40) for measure in gradients.LAYER_MEASURES),
        gradients.plane(some, 1.0, "#0072B2"),
    ):
        figure.to_json()


def test_runs_recorded_before_have_no_layers(steps):
    old = [TuneStep(1, {}, 0.1, gradients=GradientReport(0.1, False, 0.0, None, {}))]
    assert gradients.layers(old) == []
    gradients.per_layer(old, "cosine", 40).to_json()
    assert gradients.plane(old, 1.0, "#0072B2").frames == ()
    assert len(gradients.conflict(old, 40).data[0].x) == 1
