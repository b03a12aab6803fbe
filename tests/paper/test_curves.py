"""How fast each method learns: which runs, what they say, and how it is drawn."""

import json

import pandas as pd
import pytest

from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.paper import curves
from workbench.paper.curves import BUDGET, CURVES, Curve, assemble, cell, points_of, specs, useful
from workbench.paper.measured import Runs
from workbench.viewing.figures.curves import AXES, over_budget

BY_ROW = {curve.row: curve for curve in CURVES}
tuned = pytest.mark.parametrize("curve", [c for c in CURVES if not c.at_once], ids=lambda c: c.key)


def rows(specs, points):
    """Runs whose evaluations are ``points(spec)``: update, seconds, mean return."""
    records = [
        {
            "run": spec.id,
            "task": spec.task,
            "seed": spec.seed,
            "curve": json.dumps(points(spec)),
            "spec": json.dumps(spec.canonical),
        }
        for spec in specs
    ]
    return Runs.of(pd.DataFrame(records))


@tuned
def test_every_method_has_the_same_budget_and_is_seen_at_the_budget_of_the_tables(curve: Curve):
    assert curve.updates * curve.contexts == pytest.approx(BUDGET, rel=0.03)
    assert curve.updates >= curve.own / curve.contexts
    for spec in cell(curve, "medium"):
        assert (spec.updates, spec.eval_every) == (curve.updates, curve.every)
    evaluated = [*range(0, curve.updates, curve.every), curve.updates]
    own = curve.own / curve.contexts
    assert min(abs(update - own) for update in evaluated) <= curve.every / 2


@tuned
def test_an_update_reads_as_many_contexts_as_it_is_said_to(curve: Curve):
    method = cell(curve, "expert")[0].build()
    if curve.key == "prompt-tuning-dt":
        assert METHODS[curve.key] is type(method)
        assert curve.contexts % method.batch_size == 0
    else:
        assert curve.contexts == method.batch_size


def test_every_run_stands_once_and_a_part_tells_something():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted) == 3 * 3 * 5 * len(CURVES)
    qualities = [spec.quality for spec in wanted]
    assert qualities == sorted(qualities, key=QUALITIES.index)


def test_a_point_is_the_mean_over_the_seeds_that_ran_every_task():
    curve = BY_ROW["Soft Prompt"]
    runs = rows(
        [s for s in cell(curve, "expert") if (s.seed, s.task) != (2, 7)],
        lambda spec: [[0, 0.0, -100.0], [50, 2.0 + spec.seed, -10.0 * (spec.seed + 1)]],
    )
    table = assemble(runs).set_index("update")
    assert table["iqm"].to_dict() == {0: -100.0, 50: -15.0}
    assert table["seeds"].to_dict() == {0: 2, 50: 2}
    assert table["contexts"].to_dict() == {0: 0, 50: 1_600}
    assert table.loc[50, "own"] == 3_200
    assert table.loc[50, "iqm_low"] < -15.0 < table.loc[50, "iqm_high"]


def both(learns):
    """Lines of the expert prompt at -30 and of Soft Prompt, evaluated three times."""
    expert = cell(BY_ROW[curves.REFERENCE], "expert")
    soft = cell(BY_ROW["Soft Prompt"], "expert")
    points = [[update, update / 10, value] for update, value in zip((0, 50, 100), learns)]  # noqa: B905
    return assemble(rows([*expert, *soft], lambda s: points if s in soft else [[0, 0.0, -30.0]]))


def test_a_prompt_is_useful_from_the_first_time_that_it_is_near_the_expert_prompt():
    found = useful(both([-90.0, -32.9, -20.0])).set_index("row").loc["Soft Prompt"]
    assert found["target"] == pytest.approx(-33.0)
    assert (found["seconds"], found["contexts"], found["best"]) == (5.0, 1_600, -20.0)
    never = useful(both([-90.0, -33.1, -60.0])).set_index("row").loc["Soft Prompt"]
    assert pd.isna(never["seconds"])
    assert never["best"] == -33.1


def test_nothing_is_useful_where_the_expert_prompt_was_not_run():
    runs = rows(cell(BY_ROW["Soft Prompt"], "random"), lambda spec: [[0, 0.0, -1.0]])
    assert useful(assemble(runs)).empty


def test_runs_of_before_have_no_points():
    assert points_of("") == []


@pytest.mark.parametrize("axis", AXES)
def test_the_figure_has_a_line_per_method_and_marks_the_budget_of_the_tables(axis):
    table = both([-90.0, -40.0, -20.0])
    figure = over_budget(table, axis, "expert")
    (line,) = (trace for trace in figure.data if trace.name == "Soft Prompt")
    assert list(line.y) == [-90.0, -40.0, -20.0]
    assert line.x[0] == AXES[axis][2], "the start has no logarithm"
    assert list(line.x[1:]) == list(table[table["row"] == "Soft Prompt"][axis][1:])
    assert list(line.marker.size) == [6, 6, 13]
    (flat,) = figure.layout.shapes
    assert flat.y0 == flat.y1 == -30.0
    assert not over_budget(table, axis, "random").data


def test_the_axis_shows_what_was_learned_and_says_who_began_below_it():
    figure = over_budget(both([-150.0, -36.0, -28.0]), "seconds", "expert")
    low, high = figure.layout.yaxis.range
    assert (low, high) == (-38.0, -26.0)
    (arrow,) = figure.layout.annotations
    assert arrow.text == "Soft Prompt begins at −150"
    assert not over_budget(both([-37.0, -36.0, -28.0]), "seconds", "expert").layout.annotations
    flat = over_budget(both([-30.0, -30.0, -30.0]), "seconds", "expert").layout.yaxis.range
    assert flat[0] < -30 < flat[1]
