"""What demonstrations look like beside each other."""

import numpy as np

from workbench.viewing.figures.data import reward_tent


def test_every_set_lies_on_the_tent_in_its_own_colour():
    velocity = np.linspace(0, 2, 5)
    points = {"expert": (velocity[3:], velocity[3:] - 2), "random": (velocity, velocity - 2)}
    figure = reward_tent(points, 1.5)
    assert [trace.name for trace in figure.data] == ["random", "expert"]
    assert len({trace.marker.color for trace in figure.data}) == 2
    for trace, (x, y) in zip(figure.data[::-1], points.values(), strict=True):
        assert list(trace.x) == list(x)
        assert list(trace.y) == list(y)
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 1.5
