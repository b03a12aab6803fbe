"""N and K*: which runs, what they say, and how it is drawn."""

import json

import pandas as pd
import pytest

from workbench.data.qualities import QUALITIES
from workbench.paper.lengths import LENGTHS, METHODS, assemble, cell, specs
from workbench.paper.measured import Runs
from workbench.viewing.figures.lengths import over_length


def rows(specs, value):
    records = [
        {
            "run": spec.id,
            "task": spec.task,
            "seed": spec.seed,
            "return_mean": value(spec),
            "seconds": 8.0,
            "spec": json.dumps(spec.canonical),
        }
        for spec in specs
    ]
    return Runs.of(pd.DataFrame(records))


def test_every_length_has_every_task_and_seed_once():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted)
    # qualities × tasks × seeds: six lengths tuned (one is both N = 20 and K* = 5), three K* untuned
    assert len(wanted) == 3 * 5 * 3 * (6 + 3)
    qualities = [spec.quality for spec in wanted]
    assert qualities == sorted(qualities, key=QUALITIES.index), "a part tells something"
    assert {spec.settings.get("lam", 1.0) for spec in wanted} == {1.0}


def test_what_ships_is_the_run_of_the_tables():
    shipped = {n.axis: n.value for n in LENGTHS if not n.variant}
    assert shipped == {"N": 20, "K*": 5}


def test_a_cell_is_the_mean_over_its_own_runs():
    by_length = {n: cell(n, "prompt-diffuser", "expert") for n in LENGTHS}
    five, fifty = (by_length[n] for n in LENGTHS if n.variant in ("n-5", "n-50"))
    runs = rows([*five, *fifty[:-1]], lambda spec: -10.0 if spec.variant == "n-5" else -20.0)
    table = assemble(runs).set_index(["axis", "value", "method", "quality"])
    whole = table.loc[("N", 5, "Prompt Diffuser", "expert")]
    assert (whole["iqm"], whole["seeds"], whole["runs"]) == (-10.0, 3, 15)
    part = table.loc[("N", 50, "Prompt Diffuser", "expert")]
    assert (part["seeds"], part["runs"], part["of"]) == (2, 14, 15)
    empty = table.loc[("K*", 2, "Prompt-DT", "expert")]
    assert pd.isna(empty["iqm"])
    assert empty["runs"] == 0


@pytest.mark.parametrize("axis", ["N", "K*"])
def test_the_figure_draws_what_was_run_and_nothing_else(axis):
    some = [spec for n in LENGTHS if n.axis == axis and n.variant for spec in
            cell(n, "prompt-diffuser", "random")]  # fmt: skip
    figure = over_length(assemble(rows(some, lambda _: -5.0)), axis, "random")
    (line,) = figure.data
    assert line.name.startswith("Prompt Diffuser")
    values = [n.value for n in LENGTHS if n.axis == axis]
    assert [values[i] for i in line.x] == [n.value for n in LENGTHS if n.axis == axis and n.variant]
    assert list(figure.layout.xaxis.ticktext) == [str(v) for v in values]
    assert set(METHODS) == {"Prompt Diffuser", "Prompt-DT"}
