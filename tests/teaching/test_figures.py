"""The lessons' figures: what is drawn is what was handed over."""

import numpy as np
import pytest

from workbench.shipped import assets
from workbench.tasks import find
from workbench.teaching.figures import (
    bars,
    episodes,
    experiments,
    lines,
    prompt_map,
    steering,
    tent,
)
from workbench.teaching.toy_figures import Cloud, arrows, clouds, descents, gradients_by_hand
from workbench.viewing.figures.colours import look


def test_episodes_are_averaged_over_half_a_second_and_name_their_returns():
    run = assets.demos(find("cheetah-vel").task(7), "expert")[0]
    (curve,) = episodes({"expert": run}).data
    assert curve.name == f"expert: return {run.episode_return:.0f}"
    assert len(curve.y) == len(run)
    late = np.asarray(curve.y)[100:]
    assert abs(late.mean() - 0.6) < 0.1
    moved = (run.states[150, 0] - run.states[140, 0]) / 0.5
    assert np.asarray(curve.y)[149] == pytest.approx(moved, abs=0.02)


def test_a_quality_has_its_colour_everywhere():
    drawn = lines({"random": ([0, 1], [0, 1]), "other": ([0, 1], [1, 0])}, "t", "x", "y").data
    assert drawn[0].line.color == look("random").colour
    assert drawn[0].line.color != drawn[1].line.color


def test_diffusion_steps_run_backwards():
    figure = lines({"a": ([3, 2, 1], [1, 2, 3])}, "t", "k", "y", backwards=True)
    assert figure.layout.xaxis.autorange == "reversed"


def test_the_tent_marks_its_goal_only_if_it_is_told():
    v = np.linspace(-1, 1, 5)
    assert len(tent(v, -np.abs(v)).layout.shapes) == 0
    assert tent(v, -np.abs(v), 0.5).layout.shapes[0].x0 == 0.5


def test_a_prompt_is_drawn_variables_down_rows_across():
    x = np.arange(6.0).reshape(2, 3)
    figure = prompt_map({"a": x, "b": -x}, ["u", "v", "r"])
    assert [t.type for t in figure.data] == ["heatmap", "heatmap"]
    np.testing.assert_array_equal(figure.data[1].z, -x.T)


def test_steering_compares_on_equal_axes():
    figure = steering([0.0, 1.0], {"expert": [0.1, 2.0]}, "t", "m/s")
    assert figure.layout.xaxis.range == figure.layout.yaxis.range
    assert figure.layout.xaxis.range[1] > 2


def test_bars_say_their_numbers():
    assert list(bars({"a": 0.5}, "t", "y", percent=True).data[0].text) == ["50.0%"]


def test_experiments_that_miss_the_truth_are_counted_and_told_apart():
    figure = experiments([-1.0, 0.5, -2.0], [1.0, 2.0, -0.5], 0.0, "t", "m")
    hold, miss = figure.data
    assert (hold.name, miss.name) == ("1 hold it", "2 miss it")
    assert hold.line.color != miss.line.color
    np.testing.assert_array_equal(miss.x, [0.5, 2.0, np.nan, -2.0, -0.5, np.nan])
    assert figure.layout.shapes[0].x0 == 0.0


def test_clouds_name_everything_once():
    data, x = np.zeros((4, 2)), np.ones((3, 2))
    figure = clouds(data, [Cloud("k = 1", x, 2 * x), Cloud("k = 0", x)], columns=2)
    named = [t.name for t in figure.data if t.showlegend]
    assert len(named) == len(set(named)) == 3
    assert [a.text for a in figure.layout.annotations] == ["k = 1", "k = 0"]


def test_likelier_origins_are_larger():
    panel = Cloud("k = 5", np.zeros((1, 2)), np.zeros((1, 2)), np.array([0.1, 0.9]))
    sizes = clouds(np.eye(2), [panel]).data[0].marker.size
    assert sizes[1] > sizes[0]


def test_gradients_by_hand_say_what_becomes_of_the_loss():
    alone = gradients_by_hand((1, 0), (-1, 1), (0, 1), 2.0)
    assert "they fight" in alone.layout.title.text
    assert "1.00 times as fast" in alone.layout.title.text
    assert "L_DM rises" in gradients_by_hand((1, 0), (-1, 1), (-1, 1), 2.0).layout.title.text
    np.testing.assert_allclose(alone.data[3].x, [0, 1])
    np.testing.assert_allclose(alone.data[3].y, [0, 2])


def test_a_vector_of_no_length_is_named_without_an_arrow():
    figure = arrows({"a": ((1.0, 0.0), "#000000"), "b": ((0.0, 0.0), "#000000")})
    assert [t.name for t in figure.data] == ["a", "b"]
    assert len(figure.layout.annotations) == 1


def test_descents_draw_both_losses_and_every_path():
    path = np.zeros((3, 2))
    figure = descents(lambda z: z[..., 0], lambda z: z[..., 1], {"a": path, "b": path})
    assert [t.name for t in figure.data] == ["L_DM", "L_DT", "a", "b"]
