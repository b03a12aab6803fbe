"""The protocol of rliable: its numbers by hand, its bootstrap against its own."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from workbench.paper.scores import (
    Estimate,
    another_seed,
    improvement,
    iqm,
    matrix,
    normalised,
    over_seeds,
    profile,
)
from workbench.shipped import assets

SCORES = np.array([[1.0, 5.0, 9.0, 100.0], [2.0, 6.0, 10.0, -100.0], [3.0, 7.0, 11.0, 8.0]])


def test_the_interquartile_mean_by_hand():
    # sorted: -100 1 2 | 3 5 6 7 8 9 | 10 11 100
    assert iqm(SCORES).value == pytest.approx((3 + 5 + 6 + 7 + 8 + 9) / 6)


def test_the_interval_holds_the_value_and_shrinks_with_agreement():
    found = iqm(SCORES)
    assert found.low < found.value < found.high
    tight = iqm(SCORES[:1].repeat(3, 0))
    assert tight.low == tight.value == tight.high, "the tasks stay, only seeds are drawn"


def test_a_single_seed_has_no_interval():
    for found in (iqm(SCORES[:1]), improvement(SCORES[:1], SCORES)):
        assert np.isnan(found.low)
        assert np.isnan(found.high)
        assert np.isfinite(found.value)


def test_the_same_numbers_every_time_and_the_global_generators_untouched():
    state = np.random.get_state()[1].copy()
    assert iqm(SCORES) == iqm(SCORES)
    assert improvement(SCORES, SCORES + 1) == improvement(SCORES, SCORES + 1)
    assert (np.random.get_state()[1] == state).all()


def loop_of_rliable(function, *scores, resamples=2000):
    """As ``rliable.library`` does it: resample the runs of every task, one resample at a time."""
    draw, values = np.random.RandomState(3), []
    for _ in range(resamples):
        drawn = []
        for s in scores:
            index = draw.choice(s.shape[0], s.shape, replace=True)
            drawn.append(s[(index, *np.ogrid[tuple(slice(x) for x in (0, *s.shape[1:]))][1:])])
        values.append(function(*drawn))
    return np.percentile(values, [2.5, 97.5])


def test_the_interquartile_means_interval_is_that_of_rliable():
    from rliable import metrics

    scores = np.random.default_rng(1).normal(size=(5, 4))
    low, high = loop_of_rliable(metrics.aggregate_iqm, scores)
    found = iqm(scores, 20_000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)


def test_the_probabilitys_interval_is_that_of_rliable():
    from rliable import metrics

    draw = np.random.default_rng(2)
    x, y = draw.normal(0.5, size=(4, 3)), draw.normal(size=(5, 3))
    low, high = loop_of_rliable(metrics.probability_of_improvement, x, y, resamples=400)
    found = improvement(x, y, 20_000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.06)
    assert found.value == pytest.approx(np.mean(x[:, None] > y))


@pytest.mark.parametrize(
    ("scores", "baseline", "want"),
    [
        (SCORES, SCORES, 0.5),
        (SCORES + 1000, SCORES, 1.0),
        (SCORES - 1000, SCORES, 0.0),
        (np.ones((3, 2)), np.ones((3, 2)), 0.5),
    ],
)
def test_the_probability_of_improvement(scores, baseline, want):
    found = improvement(scores, baseline)
    assert found.value == want
    assert found.low <= want <= found.high
    if want != 0.5:
        assert found == Estimate(want, want, want)


def test_the_papers_form_is_the_mean_over_tasks_then_over_seeds():
    mean, sd = over_seeds(SCORES)
    means = SCORES.mean(1)
    assert mean == pytest.approx(means.mean())
    assert sd == pytest.approx(np.sqrt(((means - means.mean()) ** 2).sum() / 2))
    assert np.isnan(over_seeds(SCORES[:1])[1])


def test_only_seeds_that_ran_every_task_count():
    rows = [(s, t, 10.0 * s + t) for s in (0, 1, 2) for t in (4, 7)][:-1]
    runs = pd.DataFrame(rows, columns=["seed", "task", "return_mean"])
    table = matrix(runs, [7, 4])
    assert table.index.tolist() == [0, 1]
    assert table.to_numpy().tolist() == [[7, 4], [17, 14]]
    assert matrix(runs, [4, 7, 9]).empty


def test_scores_are_normalised_by_the_tasks_own_behaviour(shipped):
    for quality, value in (("random", -20.0), ("expert", 5.0)):
        by_task = {"2": value, "5": 2 * value}
        path = assets.policy_path("toy", quality)
        assets.record(path, command="x", seed=0, return_by_test_task=by_task)
    assert normalised("toy", 2, np.array([-20.0, 5.0, -7.5])).tolist() == [0, 1, 0.5]
    assert normalised("toy", 5, np.array([-40.0, 10.0])).tolist() == [0, 1]
    with pytest.raises(ValueError, match="task 3"):
        normalised("toy", 3, np.zeros(1))


def test_every_test_task_that_ships_can_be_normalised():
    from workbench.tasks import FAMILIES

    for name, family in FAMILIES.items():
        for task in family.test_indices:
            assert np.isfinite(normalised(name, task, np.array([0.0]))).all()


def test_a_profile_is_the_share_above_each_level():
    assert profile(np.array([[0.1, 0.5], [0.9, 0.5]]), np.array([0, 0.3, 0.5, 1])).tolist() == [
        1, 0.75, 0.25, 0,
    ]  # fmt: skip


def test_nothing_heavy_is_loaded_with_it():
    heavy = "{'rliable', 'arch', 'seaborn', 'matplotlib', 'statsmodels', 'joblib'}"
    loads = "import sys, workbench.paper.measured, workbench.runs.sweep"
    code = f"{loads}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_another_seed_lies_where_student_says(draw):
    """Seeds alone: 95 % of fresh draws lie within; the episodes' spread widens it."""
    hits = []
    for _ in range(2_000):
        values = draw.normal(size=4)
        runs = pd.DataFrame(
            {"seed": range(3), "task": 7, "return_mean": values[:3], "returns": [[v] for v in
             values[:3]]}
        )  # fmt: skip
        found = another_seed(runs, [7])
        hits.append(found.low <= values[3] <= found.high)
    assert 0.93 < np.mean(hits) < 0.97
    still = pd.DataFrame(
        {"seed": [0, 1], "task": 7, "return_mean": 1.0, "returns": [[0.0, 2.0]] * 2}
    )
    found = another_seed(still, [7])
    assert found.value == 1
    assert found.high - 1 == pytest.approx(12.706, abs=1e-2), (
        "t of one degree × sd of a mean of two"
    )
    alone = another_seed(still[:1], [7])
    assert alone.value == 1
    assert np.isnan(alone.low)
