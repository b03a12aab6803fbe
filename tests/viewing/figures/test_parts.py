"""What several figures share."""

import numpy as np
import plotly.graph_objects as go
import pytest

from workbench.viewing.figures import parts


def test_what_differs_from_the_usual_layout_wins():
    figure = parts.dressed(go.Figure(), "a title", 300, margin={"l": 1}, hovermode=None)
    assert figure.layout.title.text == "a title"
    assert (figure.layout.height, figure.layout.margin.l, figure.layout.margin.r) == (300, 1, None)
    assert figure.layout.hovermode is None


def test_bars_reach_from_low_to_high():
    bars = parts.interval_bars([1.0, 2.0], [0.5, np.nan], [2.5, np.nan], "#000000", width=0)
    assert bars["array"] == pytest.approx([1.5, np.nan], nan_ok=True)
    assert bars["arrayminus"] == pytest.approx([0.5, np.nan], nan_ok=True)
    assert (bars["thickness"], bars["width"], bars["symmetric"]) == (2, 0, False)


def test_a_band_goes_around_what_is_known():
    figure, nan = go.Figure(), np.nan
    parts.add_band(figure, [0, 1, 2], [0.0, nan, 1.0], [2.0, nan, 3.0], "red", "a")
    (band,) = figure.data
    assert list(band.x) == [0, 2, 2, 0]
    assert list(band.y) == [2, 3, 1, 0]
    parts.add_band(figure, [0], [nan], [nan], "red", "a")
    assert len(figure.data) == 1, "nothing known, nothing drawn"


def test_a_running_mean_shrinks_at_the_ends():
    y = np.arange(30.0) ** 2
    smooth = parts.running_mean(y)
    assert smooth[0] == y[:6].mean()
    assert smooth[15] == y[10:21].mean()
    assert smooth[-1] == y[-6:].mean()
