"""How rows stand to each other: by hand."""

import numpy as np
import pandas as pd
import pytest

from workbench.paper import rankings, scores
from workbench.paper.listed import ALL
from workbench.paper.measured import Runs
from workbench.tuning.spec import RunSpec


def returned(spec):
    """0 for tasks of toy with method a, more with seeds; see the tests."""
    return float(spec.settings["lam"] + spec.seed + 10 * (spec.task == 5))


@pytest.fixture
def cells(shipped):
    def cell(lam, family):
        tasks = (2, 5)
        return [RunSpec(family, t, settings={"lam": lam}, seed=s) for s in (0, 1) for t in tasks]

    return {("low", "toy"): cell(1.0, "toy"), ("high", "toy"): cell(3.0, "toy")}


@pytest.fixture
def runs(cells):
    import json

    specs = [spec for cell in cells.values() for spec in cell]
    table = pd.DataFrame(
        {
            "spec": [json.dumps(s.canonical) for s in specs],
            "seed": [s.seed for s in specs],
            "task": [s.task for s in specs],
            "return_mean": [returned(s) for s in specs],
        }
    )
    return Runs.of(table)


@pytest.fixture
def bounds(monkeypatch):
    monkeypatch.setattr(scores, "normalised", lambda family, task, r: np.asarray(r, float) / 10)


def test_scores_are_normalised_returns_by_seed_and_task(cells, runs, bounds):
    assert rankings.columns_of(cells) == ["toy"]
    found = rankings.scores_of(cells, runs, "toy")
    assert list(found) == ["low", "high"]
    assert found["low"].to_numpy() == pytest.approx(np.array([[0.1, 1.1], [0.2, 1.2]]))


def test_a_row_without_whole_seeds_is_left_out(cells, runs, bounds):
    part = Runs(runs.table[runs.table["task"] == 2], runs.keys[runs.table["task"] == 2])
    assert rankings.scores_of(cells, part, "toy") == {}
    assert rankings.returns_of(cells["low", "toy"], Runs(runs.table[:0], runs.keys[:0])).empty


def test_probability_of_improvement_is_that_of_pairs_on_the_same_task(cells, runs, bounds):
    found = rankings.scores_of(cells, runs, "toy")
    better = rankings.improvements_over(found, "low")
    assert list(better) == ["high"]
    assert better["high"].value == 1, "3 and 4 beat 1 and 2 on both tasks"
    assert rankings.improvements_over(found, "high")["low"].value == 0


def test_bands_hold_the_profile(cells, runs, bounds):
    found, levels = rankings.scores_of(cells, runs, "toy"), np.array([0.0, 0.15, 1.15, 2.0])
    low, high = rankings.bands_of(found, levels)["low"]
    shares = scores.profile(found["low"].to_numpy(), levels)
    assert shares.tolist() == [1, 0.75, 0.25, 0]
    assert (low <= shares).all()
    assert (shares <= high).all()
    assert (low[0], high[0], low[-1], high[-1]) == (1, 1, 0, 0)
    assert (low[1], high[1]) == (0, 1), "two seeds that differ say next to nothing"
    assert high[1] == 1
    one = {"low": found["low"][:1]}
    assert rankings.bands_of(one, levels) == {}
    assert np.isnan(scores.profile_band(one["low"].to_numpy(), levels)[0]).all()


def test_all_families_take_rows_that_each_has(cells, runs, bounds, monkeypatch):
    from workbench.tasks import FAMILIES

    monkeypatch.setitem(FAMILIES, "other", FAMILIES["toy"])
    both = {**cells, ("low", "other"): cells["low", "toy"]}
    assert rankings.columns_of(both) == ["toy", "other", ALL]
    found = rankings.scores_of(both, runs, ALL)
    assert list(found) == ["low"]
    assert found["low"].shape == (2, 4)
