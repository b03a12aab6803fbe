"""A film's goal is called by its name, where it is drawn or at the edge."""

import numpy as np
import pytest

from workbench.viewing.scene.film import Frame, named, projected
from workbench.viewing.scene.marks import Shape

VIEW = {"azimuth": 90.0, "elevation": 0.0, "fovy": 45.0, "distance": 4.0}
SIZE = (480, 360)
AT = np.zeros(3)


def test_what_is_looked_at_is_in_the_middle_and_the_rest_around_it():
    assert projected(AT, AT, VIEW, SIZE) == pytest.approx((240, 180))
    # azimuth 90: looking along y, x to the right
    x, y = projected(np.array([1.0, 0, 0.5]), AT, VIEW, SIZE)
    scale = 180 / np.tan(np.radians(22.5)) / 4
    assert (x, y) == pytest.approx((240 + scale, 180 - 0.5 * scale))
    assert np.isnan(projected(np.array([0, -9.0, 0]), AT, VIEW, SIZE)).all()


@pytest.mark.parametrize(("x", "side"), [(0.0, None), (9.0, "right"), (-9.0, "left")])
def test_a_post_is_labelled_also_out_of_sight(x, side):
    post = np.array([[x, 0.3, 0.0], [x, 0.3, 1.0]])
    frame = Frame(None, AT, (Shape(post, 0.01, (0.1, 0.1, 0.1, 1.0), "target pace"),))
    blank = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    rows, columns = np.nonzero((named(blank, frame, VIEW) != blank).any(-1))
    assert len(rows) > 100
    middle = columns.mean()
    assert {None: abs(middle - 240) < 20, "right": middle > 380, "left": middle < 100}[side]


def test_what_has_no_label_is_left_alone():
    frame = Frame(None, AT, (Shape(AT[None], 0.1, (1, 0, 0, 1)),))
    blank = np.full((SIZE[1], SIZE[0], 3), 200, np.uint8)
    assert (named(blank, frame, VIEW) == blank).all()
