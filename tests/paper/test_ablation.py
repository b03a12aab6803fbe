"""The ablation of λ and of the projection: its runs, and what they say."""

import json

import numpy as np
import pandas as pd
import pytest

from workbench.paper import ablation, scores, tables
from workbench.paper.ablation import PROJECTIONS, QUICK, WHOLE, Grid, assemble, specs
from workbench.paper.measured import Runs
from workbench.tasks import SHIPPED
from workbench.tuning.presets import CHOSEN

GRID = Grid("cheetah-vel", (0.0, 1.0), ("none", "vector"), ("random",), tasks=(2, 7))


def rows(specs, value):
    """Return a table of runs whose return is ``value(spec)``."""
    records = [
        {
            "run": spec.id,
            "task": spec.task,
            "seed": spec.seed,
            "return_mean": value(spec),
            "conflict_share": 0.25,
            "cosine_mean": 0.1,
            "seconds": 8.0,
            "spec": json.dumps(spec.canonical),
        }
        for spec in specs
    ]
    return Runs.of(pd.DataFrame(records))


def test_the_whole_grid_of_cheetah_vel_is_run_once():
    vel = [spec for spec in specs() if spec.family == "cheetah-vel"]
    assert len({spec.id for spec in vel}) == len(vel)
    n = 3 * 5 * 3  # qualities, tasks, seeds
    lams = [0.0, 0.3, 1.0, 3.0, 10.0]
    assert sorted({spec.settings["lam"] for spec in vel}) == lams, "as in the pretraining"
    assert len(vel) == n + n * 2 * 4, "where λ is 0 no projection is"
    assert {spec.settings["projection"] for spec in vel} == set(PROJECTIONS)
    assert all(spec.eval_every == 0 and spec.episodes == 20 for spec in vel)


@pytest.mark.parametrize("family", SHIPPED)
def test_a_run_is_tuned_as_the_tables_tune(family):
    settings, updates = CHOSEN["prompt-diffuser"]
    (grid,) = (grid for grid in WHOLE if grid.family == family)
    for spec in specs([grid]):
        own = {"lam": spec.settings["lam"], "projection": spec.settings["projection"]}
        assert (spec.settings, spec.updates) == ({**settings, **own}, updates)


def test_a_run_with_the_settings_as_published_is_that_of_the_tables():
    table = tables.cells("2", methods=("prompt-diffuser",))
    of_tables = {spec.id for cell in table.values() for spec in cell}
    usual = [s for s in specs() if s.settings["lam"] == 1 and s.family == "cheetah-vel"]
    published = {s.id for s in usual if s.settings["projection"] == "published"}
    assert len(published) == 45
    assert published <= of_tables


def test_the_runs_come_seed_by_seed():
    seeds = [spec.seed for spec in specs()]
    assert seeds == sorted(seeds)


def test_the_quick_part_is_part_of_the_whole():
    assert {spec.id for spec in specs(QUICK)} < {spec.id for spec in specs(WHOLE)}


def test_where_lambda_is_0_every_reading_is_the_same_run():
    cells = {p: GRID.cell("random", p, 0.0) for p in ("none", "vector")}
    assert cells["none"] == cells["vector"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tasks": (1,)}, "`tasks` must be test tasks"),
        ({"lambdas": ()}, "`lambdas` must name"),
        ({"seeds": ()}, "`seeds` must name"),
    ],
)
def test_a_bad_grid_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Grid("cheetah-vel", **fields)


def test_a_cell_says_what_its_runs_say():
    def value(spec):
        gain = 5.0 + spec.seed if spec.settings["projection"] == "vector" else 0.0
        return -10.0 * spec.task - spec.seed + gain

    runs = rows(specs((GRID,)), value)
    table = assemble(runs, (GRID,)).set_index(["projection", "lam"])
    assert len(table) == 4
    vector = table.loc[("vector", 1.0)]
    matrix = np.array([[value(s) for s in GRID.cell("random", "vector", 1.0)]]).reshape(3, 2)
    assert vector.iqm == pytest.approx(scores.iqm(matrix).value)
    assert vector.gain == pytest.approx(6.0)
    half = 4.302653 / 3**0.5  # Student's t for three seeds, whose gains are 5, 6 and 7
    assert (vector.gain_low, vector.gain_high) == pytest.approx((6 - half, 6 + half))
    assert vector.helps == 1.0
    assert (vector.runs, vector.of, vector.seeds, vector.tasks) == (6, 6, 3, 2)
    assert vector.conflict_share == 0.25
    plain = table.loc[("none", 1.0)]
    assert np.isnan(plain.gain)
    assert np.isnan(table.loc[("vector", 0.0)].helps), "nothing is projected there"


def test_a_cell_counts_the_seeds_that_ran_all_tasks():
    some = [s for s in specs((GRID,)) if s.seed == 0 or s.task == 7]
    table = assemble(rows(some, lambda s: 1.0), (GRID,))
    assert (table.seeds == 1).all()
    assert (table.runs == 4).all()
    assert table.iqm_low.isna().all(), "one seed has no spread"


def test_an_empty_cell_stays_empty():
    table = assemble(rows(GRID.cell("random", "none", 1.0), lambda s: 1.0), (GRID,))
    empty = table[(table.projection == "vector") & (table.lam == 1.0)].iloc[0]
    assert empty.runs == empty.seeds == 0
    assert np.isnan(empty.iqm)
    assert tuple(table.columns) == ablation.COLUMNS


def test_the_time_of_a_run_is_the_mean_of_those_that_there_are():
    cell = GRID.cell("random", "none", 1.0)
    assert ablation.seconds_per_run(rows(cell, lambda s: 0.0), cell) == 8.0
    others = GRID.cell("random", "vector", 1.0)
    assert np.isnan(ablation.seconds_per_run(rows(cell, lambda s: 0.0), others))
