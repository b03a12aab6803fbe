"""Runs as a table, and the table as Parquet that anybody opens."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from workbench.runs.run_table import (
    COLUMNS,
    key,
    keys,
    load_results,
    results_path,
    rows,
    save_results,
)
from workbench.runs.store import RunStore
from workbench.runs.sweep import machine, sweep
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec


@pytest.fixture
def specs(shipped):
    few = {"eval_every": 2, "episodes": 3}
    tuned = RunSpec("toy", 5, settings={"batch_size": 4}, updates=12, seed=1, **few)
    return [tuned, tuned.untuned]


@pytest.fixture
def store(specs, tmp_path):
    store = RunStore(tmp_path / "runs")
    assert all(done.error is None for done in sweep(specs, store))
    return store


@pytest.fixture
def table(specs, store):
    return rows(store, [spec.id for spec in specs])


def test_a_row_says_what_the_run_says(specs, table, model):
    (spec, _), row = specs, table.iloc[0]
    assert tuple(table) == COLUMNS
    steps = list(run(spec))
    assert row["run"] == spec.id
    assert (row["family"], row["task"], row["seed"], row["updates"]) == ("toy", 5, 1, 12)
    assert json.loads(row["settings"])["batch_size"] == 4
    assert json.loads(row["settings"])["lam"] == 1, "the defaults too"
    assert row["label"] == "Prompt Diffuser"
    np.testing.assert_allclose(row["returns"], steps[-1].evaluation.returns, atol=1e-4)
    assert row["return_mean"] == pytest.approx(np.mean(row["returns"]))
    assert row["n_trainable"] == steps[-1].n_trainable
    assert row["n_model"] == model.n_parameters
    seen, last = [step.gradients for step in steps[1:]], steps[-1].metrics
    assert row["conflict_share"] == pytest.approx(np.mean([g.conflict for g in seen]))
    assert row["cosine_mean"] == pytest.approx(np.mean([g.cosine for g in seen]))
    assert row["loss_dm_last"] == pytest.approx(steps[-1].metrics["loss_dm"]), (
        "a tenth of 12 is one"
    )
    assert row["loss_dt_last"] == pytest.approx(last["loss_dt"])
    assert np.isnan(row["env_steps"])
    assert 0 < row["update_seconds"] <= row["seconds"]
    assert row["machine"] == machine()
    assert row["commit"] != "unknown"


def test_anyone_can_run_a_row_again(specs, table):
    plain = json.loads(table["spec"][0])
    assert set(plain["assets"]) == {"model", "diffuser", "demos"}
    assert RunSpec.stored(plain).id == table["run"][0] == specs[0].id


def test_what_a_method_does_not_measure_is_missing(table):
    untuned = table.iloc[1]
    assert untuned["n_trainable"] == 0
    names = ["conflict_share", "cosine_mean", "loss_dm_last", "loss_dt_last", "env_steps"]
    assert untuned[names].isna().all()


def test_a_run_that_no_sweep_made_has_no_machine(specs, tmp_path):
    store = RunStore(tmp_path / "plain")
    list(store.record(specs[1], run(specs[1])))
    (row,) = rows(store, [specs[1].id]).to_dict("records")
    assert (row["machine"], row["commit"]) == ("unknown", "unknown")
    assert np.isnan(row["seconds"])


def test_steps_in_the_task_are_those_of_the_whole_run(shipped, tmp_path):
    settings = {"scorer": "online", "n_candidates": 2}
    spec = RunSpec("toy", 5, method="prompt-tuning-dt", settings=settings, updates=2, episodes=1)
    store = RunStore(tmp_path / "online")
    list(sweep([spec], store))
    assert rows(store, [spec.id])["env_steps"][0] == 2 * 2 * 5 * 12


def test_parquet_gives_the_table_back(table, tmp_path):
    path = tmp_path / "there" / "1.parquet"
    save_results(path, table)
    again = load_results(path)
    assert list(again) == list(table)
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    assert [p.name for p in path.parent.iterdir()] == ["1.parquet"]


def test_plain_pandas_opens_it(table, tmp_path):
    save_results(tmp_path / "1.parquet", table)
    plain = pd.read_parquet(tmp_path / "1.parquet")
    assert plain["run"].tolist() == table["run"].tolist()
    assert [list(r) for r in plain["returns"]] == table["returns"].tolist()


@pytest.mark.parametrize("content", [None, b"garbage", "other"])
def test_what_is_no_table_of_results_is_a_clear_error(tmp_path, content):
    path = tmp_path / "1.parquet"
    if content == "other":
        pd.DataFrame({"colour": ["red"]}).to_parquet(path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"1\.parquet"):
        load_results(path)


def test_a_run_that_is_not_complete_is_a_clear_error(specs, store):
    store.forget(specs[0].id)
    with pytest.raises(ValueError, match="not complete"):
        rows(store, [specs[0].id])


def test_a_key_is_what_was_asked_whatever_files_it_read(specs, table):
    assert keys(table).tolist() == [key(spec.canonical) for spec in specs]
    assert keys(table).is_unique
    other = dataclasses.replace(specs[0], settings={"batch_size": 4, "lam": 1.0})
    assert key(other.canonical) == keys(table)[0]
    assert key(dataclasses.replace(specs[0], seed=2).canonical) != keys(table)[0]
    assert key({**specs[0].canonical, "assets": {}}) == keys(table)[0]


def test_results_ship_below_assets(shipped):
    assert results_path("guidance") == shipped / "results" / "guidance.parquet"
