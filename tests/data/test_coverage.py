"""What sets of demonstrations cover."""

import numpy as np
import pytest

from tests.conftest import record
from workbench.data.coverage import Coverage, transitions
from workbench.viewing.figures.data import coverage_map, spread


def test_transitions_are_rows_of_observation_and_action(toy):
    demos = record(toy.task(5), 2)
    rows = transitions(demos)
    assert rows.shape == (24, 4)
    assert (rows[12:, :3] == demos[1].observations).all()
    assert (rows[12:, 3:] == demos[1].actions).all()


def test_the_plane_is_that_of_a_direct_decomposition(toy):
    sets = {"a": record(toy.task(5), 3), "b": record(toy.task(5), 3, seed=1, skill=0.2)}
    found = Coverage.of(sets)
    rows = np.concatenate([transitions(d) for d in sets.values()])
    scaled = (rows - rows.mean(0)) / rows.std(0)
    _, values, axes = np.linalg.svd(scaled, full_matrices=False)
    assert found.shares == pytest.approx((values**2 / (values**2).sum())[:2])
    drawn = np.concatenate(list(found.points.values()))
    assert np.abs(drawn) == pytest.approx(np.abs(scaled @ axes[:2].T), abs=1e-6)


def test_large_sets_are_thinned_and_flat_variables_left_out(toy):
    demos = record(toy.task(5), 3)
    for trajectory in demos:
        trajectory.observations[:, 1] = 7
    found = Coverage.of({"a": demos}, limit=10)
    assert found.points["a"].shape == (10, 2)
    assert np.isfinite(found.points["a"]).all()
    assert found.shares.sum() <= 1 + 1e-9
    with pytest.raises(ValueError, match="at least one"):
        Coverage.of({})


def test_both_figures_draw_every_set(toy):
    sets = {"expert": record(toy.task(5), 2), "own:mine": record(toy.task(5), 1, seed=3)}
    figure = coverage_map(Coverage.of(sets))
    assert [t.name for t in figure.data] == list(sets)
    assert [len(t.x) for t in figure.data] == [24, 12]
    assert figure.data[0].marker.color != figure.data[1].marker.color
    values = {name: transitions(demos)[:, 0] for name, demos in sets.items()}
    shapes = spread(values, "speed", "m/s")
    assert shapes.layout.xaxis.title.text == "speed (m/s)"
    assert shapes.data[1].x == pytest.approx(values["own:mine"], rel=1e-6)
