"""Words become a grid of runs; and how long they will take."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from workbench.methods import METHODS
from workbench.runs import grid
from workbench.runs.duration import expected, known_runs
from workbench.runs.grid import specs, value_of, varied
from workbench.runs.run_table import save_results
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec, plain_settings

TOY = {"family": ["toy"]}


def test_every_combination_is_there_once(shipped):
    axes = {"lam": ["0", "0.5"], "projection": ["none", "tensor"], "seed": ["0..2"]}
    axes |= {"quality": ["expert", "random"], **TOY}
    found = specs(axes, untuned=False)
    assert len(found) == 2 * 2 * 3 * 2 * 2, "λ, projection, seed, quality, test task"
    assert len({s.id for s in found}) == len(found)
    wanted = RunSpec(
        "toy",
        5,
        "random",
        settings={"lam": 0.5, "projection": "tensor"},
        updates=400,
        seed=1,
        eval_every=0,
    )
    assert wanted in found
    assert [s.seed for s in found] == sorted(s.seed for s in found)


def test_what_is_left_out_is_as_the_tables_run_it(shipped):
    found = specs({**TOY, "method": ["prompt-dt-ft"], "task": ["5"]}, untuned=False)
    assert found == [chosen("prompt-dt-ft", "toy", 5)]
    (other,) = specs(
        {**TOY, "method": ["prompt-dt-ft"], "task": ["5"], "updates": ["3"]}, untuned=False
    )
    assert other == dataclasses.replace(found[0], updates=3)


def test_each_is_accompanied_by_its_untuned_run(shipped):
    found = specs({**TOY, "lam": ["0", "1"], "task": ["5"]})
    assert [s.method for s in found] == ["prompt-diffuser"] * 2 + ["prompt-dt"]
    assert found[0].untuned.id == found[1].untuned.id == found[2].id


def test_a_setting_is_an_axis_of_the_methods_that_have_it(shipped):
    axes = {**TOY, "task": ["5"], "method": ["soft-prompt", "prompt-diffuser"], "lam": ["0", "2"]}
    found = specs(axes, untuned=False)
    assert [s.method for s in found] == ["soft-prompt", "prompt-diffuser", "prompt-diffuser"]
    assert [value_of(s, "lam") for s in found] == [None, 0.0, 2.0]
    assert varied(found) == ["method", "lam"]


def test_ranges_and_flags(shipped):
    found = specs({**TOY, "task": ["5"], "seed": ["3", "0..1", "1..3"]}, untuned=False)
    assert [s.seed for s in found] == [0, 1, 2, 3]
    flags = {"method": ["prompt-tuning-dt"], "line_search": ["true", "false"]}
    found = specs({**TOY, "task": ["5"], **flags}, untuned=False)
    assert {value_of(s, "line_search") for s in found} == {True, False}


@pytest.mark.parametrize(
    ("axes", "hint"),
    [
        ({}, "family"),
        ({"family": ["toi"]}, "toi"),
        ({**TOY, "method": ["soft-promt"]}, "Did you mean 'soft-prompt'"),
        ({**TOY, "lambda": ["1"]}, "no setting 'lambda'"),
        ({**TOY, "method": ["soft-prompt"], "lam": ["1"]}, "no setting 'lam'"),
        ({**TOY, "seed": ["a"]}, "a range such as 0..9"),
        ({**TOY, "seed": ["5..2"]}, "go up"),
        ({**TOY, "lam": ["much"]}, "a number"),
        ({**TOY, "lam": ["-1"]}, "lam"),
        ({**TOY, "task": ["99"]}, "99"),
        ({**TOY, "quality": ["good"]}, "good"),
        ({**TOY, "seed": ["0..1000"], "updates": ["1..1000"]}, "combinations"),
    ],
    ids=str,
)
def test_bad_words_are_clear_errors(shipped, axes, hint):
    with pytest.raises(ValueError, match=hint):
        specs(axes)


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_can_be_an_axis(shipped, name):
    for setting, value in plain_settings(METHODS[name]()).items():
        (found,) = specs(
            {**TOY, "task": ["5"], "method": [name], setting: [str(value)]}, untuned=False
        )
        assert value_of(found, setting) == value
        assert type(value_of(found, setting)) is type(value)
    assert not set(plain_settings(METHODS[name]())) & set(grid.FIELDS)


def known(**fields):
    base = {"run": "a", "family": "toy", "method": "prompt-diffuser", "updates": 10}
    base |= {"variant": "", "eval_every": 0, "episodes": 20, "update_seconds": 5.0, "seconds": 25.0}
    settings = RunSpec("toy", 5).canonical["settings"]
    return {**base, "settings": json.dumps(settings, sort_keys=True), **fields}


def test_the_expected_time_counts_updates_and_episodes(shipped):
    table = pd.DataFrame([known()])  # half a second an update, one second an episode
    spec = RunSpec("toy", 5, updates=4, eval_every=3, episodes=10)  # updates 0, 3 and 4
    found = expected([spec, spec], table)
    assert found.seconds == pytest.approx(2 * (4 * 0.5 + 3 * 10))
    assert (found.alike, found.runs, found.known) == (2, 2, 1)


def test_the_nearest_runs_count(shipped):
    table = pd.DataFrame(
        [known(), known(run="b", method="soft-prompt", settings="{}", update_seconds=1.0)]
    )
    spec = RunSpec("toy", 5, method="soft-prompt", updates=10, eval_every=0, episodes=20)
    assert expected([spec], table).seconds == pytest.approx(1 + 24)
    other = RunSpec("toy", 5, method="adapter", updates=10, eval_every=0, episodes=20)
    found = expected([other], table)
    assert found.alike == 0
    assert found.seconds == pytest.approx(np.median([0.5, 0.1]) * 10 + np.median([1, 1.2]) * 20)
    assert np.isnan(expected([spec], pd.DataFrame()).seconds)


def test_runs_of_the_same_networks_are_nearer(shipped):
    """A larger transformer takes longer, whatever the settings."""
    table = pd.DataFrame([known(), known(run="b", variant="paper-size", seconds=205.0)])
    spec = RunSpec("toy", 5, updates=10, eval_every=0, episodes=20)
    assert expected([spec], table).seconds == pytest.approx(25)
    larger = dataclasses.replace(spec, variant="paper-size", settings={"lam": 3.0})
    found = expected([larger], table)
    assert (found.seconds, found.alike) == (pytest.approx(205), 1)
    other = dataclasses.replace(larger, variant="n-5")
    assert expected([other], table).alike == 1


def test_what_is_known_comes_from_the_store_and_from_what_ships(shipped, tmp_path):
    store = RunStore(tmp_path / "runs")
    assert known_runs(store).empty
    two = [RunSpec("toy", t, settings={"batch_size": 4}, updates=2, episodes=2) for t in (2, 5)]
    list(sweep(two, store))
    from workbench.runs.run_table import results_path, rows

    save_results(results_path("1"), rows(store, [two[0].id]))
    table = known_runs(store)
    assert sorted(table["run"]) == sorted(s.id for s in two), "each once"
    assert (table["seconds"] > 0).all()
    (store.root / two[1].id / "result.json").write_text("damaged")
    assert known_runs(store)["run"].tolist() == [two[0].id]
