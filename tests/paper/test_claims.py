"""The claims and their verdicts: what the runs say, and nothing else, decides."""

import numpy as np
import pandas as pd
import pytest

from workbench.paper import claims, scores
from workbench.paper.claims import CLAIMS, NEAR, verdict
from workbench.paper.measured import Runs
from workbench.paper.scores import Estimate, difference
from workbench.paper.tables import PUBLISHED, cells
from workbench.runs.run_table import COLUMNS

COMPARISONS = [(claim, c) for claim in CLAIMS for c in claim.comparisons]


@pytest.mark.parametrize(("claim", "comparison"), COMPARISONS)
def test_both_sides_are_cells_of_the_table(claim, comparison):
    table = cells(comparison.table)
    assert comparison.first in table
    assert comparison.second in table
    assert comparison.first != comparison.second


def test_published_differences_are_of_the_published_tables():
    known = [c.published for _, c in COMPARISONS if c.published is not None]
    assert len(known) >= 20
    (first,) = [c for c in CLAIMS[1].comparisons if c.label == "cheetah-vel"]
    one = PUBLISHED["1"]
    want = one["Prompt Diffuser", "cheetah-vel"][0] - one["Soft Prompt", "cheetah-vel"][0]
    assert first.published == pytest.approx(want) == pytest.approx(6.5)


@pytest.mark.parametrize(
    ("kind", "low", "high", "want"),
    [
        ("better", 0.1, 2.0, "yes"),
        ("better", -0.1, 2.0, "undecided"),
        ("better", -2.0, -0.1, "no"),
        ("better", np.nan, np.nan, "undecided"),
        ("near", -NEAR / 2, NEAR, "yes"),
        ("near", -2 * NEAR, NEAR, "undecided"),
        ("near", -3 * NEAR, -2 * NEAR, "no"),
    ],
)
def test_the_interval_alone_decides(kind, low, high, want):
    assert verdict(kind, Estimate((low + high) / 2, low, high)) == want


def test_a_paired_difference_and_its_interval():
    """Equal shifts of very unequal tasks leave no doubt; a shift of one seed in three does."""
    draw = np.random.default_rng(0)
    base = draw.normal(0, 100, (3, 5))
    sure = difference(base + 2.0, base)
    assert sure.value == pytest.approx(2.0)
    assert sure.low == pytest.approx(2.0)
    assert sure.high == pytest.approx(2.0)
    shifted = base.copy()
    shifted[0] += 3.0
    found = difference(shifted, base)
    assert found.value == pytest.approx(1.0)
    assert found.low < 1.0 < found.high
    assert np.isnan(difference(base[:1], base[1:2]).low)
    assert found == difference(shifted, base)


def test_without_runs_nothing_is_claimed():
    rows = list(claims.findings(lambda _: Runs.of(pd.DataFrame(columns=list(COLUMNS)))))
    assert len(rows) == len(COMPARISONS)
    assert {row["verdict"] for row in rows} == {"not run"}
    assert all(np.isnan(row["difference"]) and row["pairs"] == 0 for row in rows)


def test_runs_decide_a_claim(monkeypatch):
    """Prompt Diffuser above Soft Prompt by 5 in every pair of Cheetah-vel, and nothing else run."""
    table, made = cells("1"), []
    for name, shift in (("Prompt Diffuser", 5.0), ("Soft Prompt" + claims.LATE, 0.0)):
        for spec in table[name, "cheetah-vel"]:
            made.append((spec, -40.0 + spec.task + spec.seed + shift))

    class Some:
        @staticmethod
        def find(specs):
            found = [(s, r) for s, r in made if s in list(specs)]
            return pd.DataFrame(
                [{"seed": s.seed, "task": s.task, "return_mean": r} for s, r in found]
            )

    rows = list(claims.findings(lambda _: Some))
    assert [row["p_holm"] for row in rows if row["pairs"]] == [0.0]
    decided = [r for r in rows if r["verdict"] != "not run"]
    assert [r["claim"] for r in decided] == ["Prompt Diffuser beats Soft Prompt"]
    (row,) = decided
    assert row["comparison"] == row["family"] == "cheetah-vel"
    ends = [scores.normalised("cheetah-vel", s.task, np.array([0.0, 5.0])) for s, _ in made]
    assert row["scaled"] == pytest.approx(np.mean([high - low for low, high in ends]))
    assert row["scaled_low"] == pytest.approx(row["scaled"]), "every pair says the same"
    assert row["difference"] == pytest.approx(5.0)
    assert (row["pairs"], row["verdict"], row["published"]) == (15, "yes", pytest.approx(6.5))


def test_near_is_measured_on_the_normalised_scale():
    gap = scores.normalised("cheetah-vel", 2, np.array([-20.0, -25.0]))
    assert 0 < gap[0] - gap[1] < NEAR


def test_differences_on_tasks_without_a_recorded_behaviour_are_judged_raw(monkeypatch):
    assert scores.can_normalise("ant-dir", [6])
    assert not scores.can_normalise("ant-dir", [6, 3]), "of the split out of distribution"
    far = [c for _, c in COMPARISONS if c.table == "3"]
    table = cells("3")
    made = [
        (spec, -10.0 + spec.seed + (5.0 if place[0] == "Prompt Diffuser" else 0.0))
        for place, cell in table.items()
        for spec in cell
    ]

    class Every:
        @staticmethod
        def find(specs):
            wanted = list(specs)
            return pd.DataFrame(
                [{"seed": s.seed, "task": s.task, "return_mean": r} for s, r in made if s in wanted]
            ).drop_duplicates(["seed", "task"])

    nothing = Runs.of(pd.DataFrame(columns=list(COLUMNS)))
    rows = list(claims.findings(lambda name: Every if name == "3" else nothing))
    decided = [r for r in rows if r["verdict"] != "not run"]
    assert len(decided) == len(far)
    assert {r["verdict"] for r in decided} == {"yes"}
    assert np.isnan(decided[0]["scaled"])


def test_the_corrected_interval_decides_and_agrees_with_p():
    """Three comparisons of table 1 apart by ever more: each its own p, Holm's step, one verdict."""
    rows, table = [], cells("1")
    behind = {  # by how much on average, and how unequally over seeds
        "Prompt Diffuser": (0.0, 0.0),
        "Soft Prompt" + claims.LATE: (1.0, 1.0),
        "Prompt VAE": (1.0, 0.35),
        "Prompt GAN": (40.0, 1.0),
    }
    for (name, column), cell in table.items():
        if column == "cheetah-vel" and name in behind:
            step, spread = behind[name]
            rows += [(s, s.task - step + spread * (s.seed - 1)) for s in cell]

    class Some:
        @staticmethod
        def find(specs):
            wanted = list(specs)
            return pd.DataFrame(
                [{"seed": s.seed, "task": s.task, "return_mean": r} for s, r in rows if s in wanted]
            )

    found = pd.DataFrame(claims.findings(lambda _: Some))
    found = found[found["pairs"] > 0].sort_values("p")
    assert set(found["table"]) == {"1"}
    m = len(found)
    assert m == 3
    assert found["p_holm"].iloc[0] == pytest.approx(m * found["p"].iloc[0])
    for _, row in found.iterrows():
        assert row["corrected_low"] <= row["low"] <= row["difference"]
        decided = row["corrected_low"] > 0 or row["corrected_high"] < 0
        assert decided == (row["p_holm"] <= 0.05) == (row["verdict"] != "undecided")
    assert (found["low"] > 0).tolist() == [True, True, False]
    want = ["yes", "undecided", "undecided"]
    assert found["verdict"].tolist() == want, "the correction takes one back"


def test_a_single_seed_decides_nothing():
    class One:
        @staticmethod
        def find(specs):
            return pd.DataFrame(
                [{"seed": 0, "task": s.task, "return_mean": float(s.task)} for s in specs]
            ).drop_duplicates()

    nothing = Runs.of(pd.DataFrame(columns=list(COLUMNS)))
    rows = pd.DataFrame(claims.findings(lambda name: One if name == "3" else nothing))
    rows = rows[rows["pairs"] > 0]
    assert set(rows["verdict"]) == {"undecided"}
    assert rows[["low", "p", "p_holm", "corrected_low"]].isna().all(axis=None)
