"""What the ablation answers: sentences of tables whose numbers are made up."""

import numpy as np
import pandas as pd

from workbench.paper.ablation import COLUMNS
from workbench.paper.answers import answers


def table(rows, quality="random"):
    """Rows of (projection, λ, iqm, gain, half width of both)."""
    made = [
        {
            "family": "toy", "quality": quality, "projection": projection, "lam": lam,
            "iqm": iqm, "iqm_low": iqm - half, "iqm_high": iqm + half,
            "gain": gain, "gain_low": gain - half, "gain_high": gain + half,
        }
        for projection, lam, iqm, gain, half in rows
    ]  # fmt: skip
    return pd.DataFrame(made, columns=list(COLUMNS))


NO = np.nan


def test_where_a_projection_helps_and_where_it_costs_is_named():
    said = answers(
        table(
            [
                ("none", 1.0, -60.0, NO, 2.0),
                ("none", 3.0, -50.0, NO, 2.0),
                ("subspace", 1.0, -52.0, 8.8, 2.0),
                ("subspace", 3.0, -59.0, -9.0, 2.0),
            ]
        )
    )
    assert said[0] == (
        "From **random** data projecting in the **subspace** helps at λ = 1 (+8.8 [6.8, 10.8]) and "
        "costs at λ = 3 (−9.0 [−11.0, −7.0])."
    )
    assert said[1] == (
        "The best cell from **random** data is λ = 3 without projection (−50.0 [−52.0, −48.0]); "
        "the intervals of 1 of the other 3 cells overlap with its own; the best λ is at the edge "
        "of the grid: try larger."
    )
    assert len(said) == 2, "too few intervals to warn of chance"


def test_several_weights_name_the_one_that_gains_most():
    rows = [("vector", lam, -1.0 - lam, lam, 0.5) for lam in (1.0, 2.0, 3.0)]
    (first, best) = answers(table(rows))
    assert "helps at λ = 1, 2, 3 (most at 3: +3.0 [2.5, 3.5])." in first
    assert best.endswith("the best λ is at the edge of the grid: try smaller.")


def test_what_is_undecided_says_so():
    said = answers(table([("tensor", 1.0, 0.0, 0.4, 2.0), ("tensor", 3.0, 0.1, -0.3, 2.0)]))
    assert "makes no clear difference at any λ; the most is +0.4 [−1.6, 2.4] at λ = 1." in said[0]


def test_one_seed_allows_no_answer():
    one = table([("subspace", 1.0, -5.0, 2.0, NO)])
    assert "one seed gives no interval" in answers(one)[0]


def test_a_best_weight_of_zero_says_that_the_second_loss_does_not_help():
    said = answers(table([("none", 0.0, 9.0, NO, 1.0), ("none", 1.0, 2.0, NO, 1.0)]))
    assert "at λ = 0 the downstream loss takes no part: here it does not help" in said[-1]


def test_many_intervals_come_with_a_word_on_chance():
    lams = np.linspace(0.1, 4, 40)
    said = answers(table([("vector", lam, 1.0, 0.0, 1.0) for lam in lams]))
    assert said[-1].startswith("Of 40 intervals of 95 %, about 2 would leave 0 out by chance")


def test_an_empty_table_answers_nothing():
    assert answers(table([])) == []
    assert answers(table([("none", 1.0, NO, NO, NO)])) == []
