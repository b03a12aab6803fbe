"""Tunings beside their untuned prompts, from what the store's folders say."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from workbench.runs.compare import compare
from workbench.runs.store import RunStore
from workbench.runs.tunings import COLUMNS, summary_by_quality, tunings
from workbench.shipped import assets
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec


@pytest.fixture
def spec(shipped):
    return RunSpec("toy", 5, settings={"batch_size": 4}, updates=3, eval_every=2, episodes=3)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def test_one_row_a_tuning_with_the_means_of_its_evaluations(spec, store):
    items = list(compare(spec, store))
    (row,) = tunings(store.index()).to_dict("records")
    assert tuple(row) == COLUMNS
    assert (row["run"], row["quality"], row["seed"]) == (spec.id, "medium", 0)
    assert (row["lam"], row["projection"]) == (1, "published")
    for name, step in (("untuned", items[1]), ("start", items[2]), ("tuned", items[-1])):
        assert row[name] == pytest.approx(step[1].evaluation.returns.mean(), abs=1e-3)
    conflicts = [step.gradients.conflict for _, step in items[3:]]
    assert row["conflict_share"] == pytest.approx(np.mean(conflicts))


def test_a_stopped_run_is_not_listed(spec, store):
    stream = compare(spec, store)
    for _ in range(4):
        next(stream)
    stream.close()
    assert len(tunings(store.index())) == 0


def test_an_empty_store_has_the_columns(store):
    assert tuple(tunings(store.index())) == COLUMNS


def test_a_tuning_whose_untuned_run_is_not_there_is_listed_without_it(spec, store):
    list(compare(spec, store))
    store.forget(spec.untuned.id)
    (row,) = tunings(store.index()).to_dict("records")
    assert row["run"] == spec.id
    assert np.isnan(row["untuned"])


def test_the_untuned_run_is_the_one_over_the_same_files(spec, store):
    """Demonstrations that are replaced later make neither run disappear."""
    list(compare(spec, store))
    before = tunings(store.index())
    path = assets.demos_path(spec.resolved_task, spec.quality)
    path.write_bytes(path.read_bytes() + b" ")
    assert dataclasses.replace(spec).untuned.id not in store
    pd.testing.assert_frame_equal(tunings(RunStore(store.root).index()), before)


def test_a_damaged_run_hides_no_other(spec, store):
    list(compare(spec, store))
    other = dataclasses.replace(spec, seed=1)
    list(store.record(other, run(other)))
    (store.root / other.id / "result.json").write_text("")
    found = store.index()
    assert tunings(found)["run"].tolist() == [spec.id]
    assert list(found.damaged) == [other.id]
    assert "not complete" in found.damaged[other.id]


def test_the_summary_averages_differences_over_runs():
    runs = pd.DataFrame(
        {
            "quality": ["a", "a", "b"],
            "untuned": [-10.0, -30.0, -5.0],
            "start": [-50.0, -70.0, -5.0],
            "tuned": [-8.0, -20.0, -9.0],
            "conflict_share": [0.5, 0.3, 0.1],
        }
    )
    a, b = summary_by_quality(runs).to_dict("records")
    assert (a["quality"], a["runs"], a["difference"]) == ("a", 2, 6.0)
    # Student's t with one degree of freedom: 12.706 standard errors of (2, 10).
    assert a["half_width"] == pytest.approx(12.706 * 4.0, rel=1e-3)
    assert b["half_width"] == float("inf")


def test_a_store_is_listed_without_torch_and_without_the_simulator(spec, store):
    list(compare(spec, store))
    code = (
        "import sys; from pathlib import Path; from workbench.runs.index import index_of; "
        "from workbench.runs.tunings import tunings; "
        f"print(len(tunings(index_of(Path({str(store.root)!r})))), "
        "*{'torch', 'mujoco', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
