"""The metrics of rliable by hand; intervals that cover as often as they say."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from workbench.paper.scores import (
    Estimate,
    another_seed,
    difference,
    holm,
    improvement,
    iqm,
    matrix,
    normalised,
    over_seeds,
    p_value,
    profile,
    profile_band,
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


def test_the_global_generators_stay_untouched():
    state = np.random.get_state()[1].copy()
    assert iqm(SCORES) == iqm(SCORES)
    assert improvement(SCORES, SCORES + 1) == improvement(SCORES, SCORES + 1)
    assert (np.random.get_state()[1] == state).all()


def test_the_values_are_those_of_rliable():
    from rliable import metrics

    draw = np.random.default_rng(2)
    x, y = draw.normal(0.5, size=(4, 3)), draw.normal(size=(5, 3))
    assert improvement(x, y).value == pytest.approx(np.mean(x[:, None] > y))
    y[0] = x[0]
    want = metrics.probability_of_improvement(x, y)
    assert improvement(x, y).value == pytest.approx(want)
    assert iqm(x).value == pytest.approx(metrics.aggregate_iqm(x))


FAMILIES = {
    "five tasks far apart": [-20.0, -10.0, 0.0, 10.0, 20.0],
    "five tasks near each other": [0.0, 0.0, 0.5, 1.0, 2.0],
    "two tasks": [0.0, 3.0],
}
"""What tasks return on average, in sd of a run."""


def experiments(tasks, n_seeds, n, shared=0.7, seed=0):
    """Draw (n, S, M): runs of a seed share part of their luck over tasks, and have their own."""
    draw = np.random.default_rng(seed)
    luck = np.sqrt(shared) * draw.normal(size=(n, n_seeds, 1))
    own = np.sqrt(1 - shared) * draw.normal(size=(n, n_seeds, len(tasks)))
    return np.array(tasks) + luck + own


def coverage(interval, of, truth):
    ends = np.array([(e.low, e.high) for e in map(interval, of)])
    return np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))


def bootstrap(statistic, scores, resamples=100):
    """The percentile bootstrap of rliable: seeds anew for each task."""
    n_seeds, n_tasks = scores.shape
    index = np.random.default_rng(0).integers(n_seeds, size=(resamples, n_seeds, n_tasks))
    values = statistic(scores[index, np.arange(n_tasks)])
    return Estimate(0.0, *np.percentile(values, [2.5, 97.5]))


def middle(drawn):
    """Return the IQM of each of (n, S, M)."""
    flat = np.sort(drawn.reshape(len(drawn), -1), axis=1)
    cut = flat.shape[1] // 4
    return flat[:, cut : flat.shape[1] - cut].mean(1)


def jackknife(scores):
    n = len(scores)
    without = np.array([middle(np.delete(scores, i, 0)[None])[0] for i in range(n)])
    half = special.stdtrit(n - 1, 0.975) * np.sqrt((n - 1) * without.var())
    value = middle(scores[None])[0]
    return Estimate(value, value - half, value + half)


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_interquartile_means_interval_covers_as_often_as_it_says(family, n_seeds):
    tasks = FAMILIES[family]
    truth = middle(experiments(tasks, 100_000, 1, seed=1))[0]
    of = experiments(tasks, n_seeds, 2_000)
    assert 0.93 < coverage(iqm, of, truth) < 0.97
    assert coverage(lambda s: bootstrap(middle, s), of[:300], truth) < 0.8, "seeds share luck"


def test_the_jackknife_is_too_sure_on_two_tasks():
    """Why ``iqm`` is not the jackknife of the whole."""
    of = experiments(FAMILIES["two tasks"], 3, 2_000, shared=0.3)
    assert coverage(jackknife, of, 1.5) < 0.93 < coverage(iqm, of, 1.5) < 0.97


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_the_differences_interval_covers_as_often_as_it_says(n_seeds, shared):
    tasks = np.full(5, 2.0)
    of = experiments(tasks, n_seeds, 2_000, shared)
    assert 0.93 < coverage(lambda s: difference(s, np.zeros_like(s)), of, 2.0) < 0.97
    sure = coverage(lambda s: difference(s, np.zeros_like(s), 0.6), of, 2.0)
    assert 0.58 < sure < 0.62, "a level is kept, whatever it is"
    old = coverage(lambda s: bootstrap(lambda d: d.mean((1, 2)), s), of[:300], 2.0)
    assert old < (0.8 if shared else 0.93)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_probabilitys_interval_covers_as_often_as_it_says(n_seeds):
    """Near enough, and rather too wide: the probability of a few pairs takes few values."""
    tasks = FAMILIES["five tasks far apart"]
    x, y = (experiments(tasks, n_seeds, 1_500, shared=0.3, seed=i) for i in (3, 4))
    ends = [improvement(a + 0.5, b) for a, b in zip(x, y, strict=True)]
    truth = special.ndtr(0.5 / np.sqrt(2))
    assert 0.94 < np.mean([e.low <= truth <= e.high for e in ends]) < 0.99
    assert min(e.low for e in ends) >= 0
    assert max(e.high for e in ends) <= 1


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_a_profiles_band_covers_as_often_as_it_says(n_seeds):
    of = experiments(np.zeros(20), n_seeds, 700, shared=0.3)
    bands = np.array([profile_band(s, np.array([-0.5, 0.3])) for s in of])  # (n, 2, L)
    truth = 1 - special.ndtr([-0.5, 0.3])
    share = ((bands[:, 0] <= truth) & (truth <= bands[:, 1])).mean(0)
    assert (share > 0.92).all()
    assert (share < 0.98).all()
    assert bands.min() >= 0
    assert bands.max() <= 1


def test_a_profiles_band_of_one_seed_is_nothing():
    assert np.isnan(profile_band(SCORES[:1], np.zeros(2))).all()


def test_a_p_value_is_the_level_at_which_the_interval_meets_the_limit(draw):
    a, b = draw.normal(1.0, size=(4, 3)), draw.normal(size=(4, 3))
    want = stats.ttest_rel(a.mean(1), b.mean(1))
    p = p_value(a, b)
    assert p == pytest.approx(want.pvalue)
    assert difference(a, b).low == pytest.approx(want.confidence_interval(0.95).low)
    at = difference(a, b, 1 - p)
    assert min(abs(at.low), abs(at.high)) == pytest.approx(0, abs=1e-9)
    limited = p_value(a, b, -0.5)
    assert limited == pytest.approx(p_value(a + 0.5, b)) != p
    assert np.isnan(p_value(a[:1], b[:1]))
    assert p_value(a, a) == 1
    assert p_value(a + 1, a) < 1e-6


def test_holms_correction_by_hand():
    p = np.array([0.03, np.nan, 0.001, 0.02, 0.9, 0.012])
    adjusted, levels = holm(p)
    # 0.001 × 5, 0.012 × 4, 0.02 × 3, then never less: 0.03 × 2, 0.9 × 1
    np.testing.assert_allclose(adjusted, [0.06, np.nan, 0.005, 0.06, 0.9, 0.048])
    # two are decided; from 0.02 on all are judged at 0.05 / 3
    third = 1 - 0.05 / 3
    np.testing.assert_allclose(levels, [third, np.nan, 1 - 0.05 / 5, third, third, 1 - 0.05 / 4])
    one, level = holm(np.array([0.04]))
    assert (one[0], level[0]) == (0.04, pytest.approx(0.95))
    assert np.isnan(holm(np.full(2, np.nan))).all()


def test_holm_keeps_the_error_of_a_whole_table(draw):
    """Where nothing differs, one table in twenty says otherwise; without it most of them do."""
    p = draw.uniform(size=(2_000, 30))
    found = np.array([holm(row)[0].min() <= 0.05 for row in p])
    assert 0.035 < found.mean() < 0.065
    assert (p.min(1) <= 0.05).mean() > 0.7


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
