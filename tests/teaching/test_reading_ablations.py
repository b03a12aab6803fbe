"""What the lesson on ablations reads: intervals that keep their promise or not, a plan of runs."""

import numpy as np
import pytest
from scipy import stats

from workbench.paper import ablation
from workbench.teaching import reading_ablations as reading


def test_students_interval_is_scipys():
    values = np.random.default_rng(3).normal(size=(4, 5))
    low, high = reading.student(values)
    for row, ends in zip(values, zip(low, high, strict=True), strict=True):
        wanted = stats.t.interval(0.95, 4, row.mean(), stats.sem(row))
        assert ends == pytest.approx(wanted)


def test_three_seeds_are_too_few_for_the_bootstrap():
    share = {name: reading.coverage(r, 3, 400) for name, r in reading.RECIPES.items()}
    assert share["Student's t"] == pytest.approx(0.95, abs=0.04)
    assert share["percentile bootstrap"] < 0.85


def test_a_plan_has_a_run_for_each_cell_and_one_without_a_weight():
    grid = ablation.Grid("cheetah-vel", (0.0, 1.0), ("none", "vector"), ("medium",), (0, 1), (7,))
    specs = reading.Plan(grid, 30, 5).specs
    assert len(specs) == 2 * (1 + 2)
    assert {(spec.updates, spec.episodes) for spec in specs} == {(30, 5)}


def test_every_difference_is_judged():
    guidance = reading.Guidance()
    if guidance.returns("plain sum") is None:
        pytest.skip("the guidance ablation does not ship")
    said = list(guidance.judged(against="plain sum"))
    assert said
    assert all("Better? **" in words for words in said)


def test_the_other_phase_is_drawn_where_there_is_something_to_compare():
    both = reading.Phases()
    titles = [figure.layout.title.text for figure in both.drawn("medium")]
    assert "medium data, as pretrained: return over λ" in titles
    assert "medium data, after 400 updates: what projecting adds" in titles
    cells = both.known[both.known["quality"] == "medium"].groupby("stage").size()
    assert len(titles) == 2 * (cells > 1).sum()


@pytest.mark.parametrize("data", ["expert", "medium", "random"])
def test_being_told_the_task_is_taken_apart(data):
    apart = reading.Factorial()
    cells, effects = apart.drawn(data)
    assert cells.layout.title.text == f"{data} data: the eight, as they come"
    assert sum(len(trace.x) for trace in cells.data) == 8
    over_all = apart.effects[apart.effects["where"] == "all"]
    by_factor = over_all[over_all["quality"] == data].set_index("factor")["effect"]
    assert list(effects.data[0].x) == list(by_factor)


def test_what_one_adds_is_the_difference_of_two_cells():
    apart = reading.Factorial()
    adds = apart.adds("expert", "random")
    cells = apart.table[(apart.table["quality"] == "random") & ~apart.table["adapted"]]
    iqm = cells.set_index("label")["iqm"]
    told = iqm["reads the few-shot data, learnt from expert prompts alone"]
    assert adds.loc["yes", "not"] == pytest.approx(told - iqm["reads the few-shot data"])
    alone = iqm["learnt from expert prompts alone"]
    assert adds.loc["not", "not"] == pytest.approx(alone - iqm["as published"])
