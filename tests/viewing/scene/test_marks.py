import numpy as np
import pytest

from workbench.viewing.scene import marks
from workbench.viewing.scene.appearance import Mark, View

PATH = np.array([[0.0, 0.0, 0.5], [0.1, 0.0, 0.5], [0.2, 0.3, 0.5], [0.2, 0.6, 0.5]])


def shapes(*drawn, step=3, trail="", floor=0.0, robot=PATH[3], path=PATH):
    described = View(marks=lambda _: drawn, trail=trail).described(()) | {"floor": floor}
    return list(marks.shapes(described, path, step, 0.05 * step, robot))


def test_a_pace_keeps_its_speed():
    (post,) = shapes(Mark("pace", (2.0, 0, 0), 1.02, "target pace"), floor=-0.1)
    np.testing.assert_allclose(post.points[0], [0.3, 0.3, -0.1])
    np.testing.assert_allclose(post.points[1] - post.points[0], [0, 0, 1.02])


def test_an_arrow_goes_with_the_robot_and_points_the_way():
    shaft, head = shapes(Mark("arrow", (0.0, 1.0, 0), 1.0, "wanted heading", aside=0.5))
    np.testing.assert_allclose(shaft.points[0, :2], PATH[3, :2] + [0.5, 1.0], atol=1e-9)
    np.testing.assert_allclose(shaft.points[1, :2] - shaft.points[0, :2], [0, 0.9], atol=1e-9)
    np.testing.assert_allclose(head.points[1], shaft.points[1])


def test_a_line_begins_where_the_episode_began_and_goes_as_far_as_the_robot():
    far = np.array([30.0, 0, 0.5])
    line, *ticks = shapes(Mark("line", (1.0, 0, 0), 1.0, "wanted way"), robot=far)
    np.testing.assert_allclose(line.points[0, :2], [0, 0])
    assert line.points[1, 0] > 35
    assert len(ticks) < 20, "only what can be seen"
    assert all(np.linalg.norm(tick.points.mean(0) - far) < 10 for tick in ticks)


def test_a_ball_tells_when_it_is_reached():
    (there,) = shapes(Mark("ball", (0.2, 0.62, 0.5), 0.05, "target"))
    (not_there,) = shapes(Mark("ball", (0.2, 0.62, 0.5), 0.05, "target"), step=2)
    assert there.rgba[:3] == marks.REACHED
    assert not_there.rgba[:3] == marks.GOAL
    assert there.rgba[3] < 1
    assert there.points.shape == (1, 3)


@pytest.mark.parametrize("trail", ["floor", "space"])
def test_a_trail_is_the_way_so_far(trail):
    assert shapes(step=0, trail=trail) == []
    (way,) = shapes(step=2, trail=trail)
    np.testing.assert_allclose(way.points[:, :2], PATH[:3, :2])
    assert (way.points[:, 2] == 0.5).all() == (trail == "space")
    (way,) = shapes(step=499, trail=trail, path=np.random.default_rng(0).normal(size=(500, 3)))
    assert 100 < len(way.points) < 130, "a long way is thinned out"
