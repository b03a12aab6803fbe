"""The ablation's figures show the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from workbench.paper.ablation import COLUMNS
from workbench.viewing.figures.ablation import conflicts, curves, gains, heat_map, helps
from workbench.viewing.figures.colours import look


def row(projection, lam, iqm=np.nan, **fields):
    known = np.isfinite(iqm)
    plain = {"family": "toy", "quality": "medium", "projection": projection, "lam": lam}
    plain |= {"iqm": iqm, "iqm_low": iqm - 2, "iqm_high": iqm + 1, "conflict_share": 0.25}
    plain |= {"seeds": 3 * known, "tasks": 5, "runs": 15 * known, "of": 15, **fields}
    return plain


@pytest.fixture
def table():
    beats = {"helps": 0.75, "helps_low": 0.5, "helps_high": 0.9}
    gain = {"gain": 2.0, "gain_low": -1.0, "gain_high": 4.0}
    rows = [
        row("none", 0.0, -60.0),
        row("none", 1.0, -50.0),
        row("none", 10.0, runs=4),
        row("subspace", 0.0, -60.0),
        row("subspace", 1.0, -40.0, **beats, **gain),
        row("subspace", 10.0),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_the_map_has_every_cell_in_its_place(table):
    figure = heat_map(table.sample(frac=1, random_state=0), ("subspace", 1.0))
    heat, marks = figure.data
    assert np.array(heat.z, float)[:, :2].tolist() == [[-60, -50], [-60, -40]]
    assert np.isnan(np.array(heat.z, float)[:, 2]).all()
    picked = [list(c) for c in marks.customdata]
    assert picked[4] == ["subspace", 1.0]
    assert (marks.x[4], marks.y[4]) == (1, 1)
    assert "−40.0" in marks.text[4]
    assert "[−42.0,<br>−39.0]" in marks.text[4]
    assert marks.text[5] == "not run"
    assert marks.text[2] == "4 of 15<br>runs"
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.y0) == (pytest.approx(0.52), pytest.approx(0.53))
    assert not heat_map(table, ("vector", 1.0)).layout.shapes


def test_text_is_legible_on_the_dark_end_of_the_map(table):
    """A single cell has the dark end's colour, whatever its value."""
    one = table[(table.projection == "none") & (table.lam == 1.0)]
    assert heat_map(one).data[1].textfont.color == ("white",)
    colours = heat_map(table).data[1].textfont.color
    assert (colours[0], colours[4]) == ("white", "#222222")


def test_an_empty_map_says_so(table):
    marks = heat_map(table.assign(iqm=np.nan, runs=0)).data[1]
    assert set(marks.text) == {"not run"}


def test_curves_leave_out_what_was_not_run(table):
    figure = curves(table)
    lines = {t.name: t for t in figure.data if t.name}
    assert list(lines) == ["none: plain sum", "subspace"]
    assert list(lines["subspace"].y) == [-60, -40]
    assert list(lines["subspace"].x) == [0, 1]
    assert lines["subspace"].line.color == look("subspace").colour
    band = next(t for t in figure.data if t.fill and t.legendgroup == "subspace")
    assert list(band.y) == [-59, -39, -42, -62]


def test_help_and_gain_have_intervals_and_a_line_of_no_difference(table):
    for draw, value, low, high, level in (
        (helps, 0.75, 0.5, 0.9, 0.5),
        (gains, 2, -1, 4, 0),
    ):
        figure = draw(table)
        (drawn,) = figure.data
        assert list(drawn.y) == [value]
        assert drawn.y[0] + drawn.error_y.array[0] == pytest.approx(high)
        assert drawn.y[0] - drawn.error_y.arrayminus[0] == pytest.approx(low)
        assert figure.layout.shapes[0].y0 == level


def test_conflicts_have_no_invented_interval(table):
    figure = conflicts(table)
    assert all(t.error_y.array is None for t in figure.data)
    assert list(figure.data[0].y) == [0.25, 0.25, 0.25]
