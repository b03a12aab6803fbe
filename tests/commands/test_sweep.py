"""`sweep`: a grid or a preset from the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

import workbench.__main__ as command
from tests.writers import writers_of
from workbench.commands import sweep_progress
from workbench.paper import ablation
from workbench.runs.run_table import load_results, results_path
from workbench.runs.store import RunStore
from workbench.shipped import assets, checkout
from workbench.tuning.presets import CHOSEN

GRID = ("--family", "toy", "--batch-size", "4", "--updates", "2", "--episodes", "2")


@pytest.fixture
def call(monkeypatch, capsys, tmp_path, shipped):
    """Run the verb in this process; return exit status, stdout and stderr."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)

    def run_verb(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", "sweep", *map(str, words)])
        capsys.readouterr()
        try:
            command.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        out, err = capsys.readouterr()
        return status, out, err

    yield run_verb
    torch.set_num_threads(threads)


def as_json(result, status=0):
    got, out, err = result
    assert got == status, err
    assert out.count("\n") == 1, "exactly one line"
    return json.loads(out)


def test_a_grid_is_run_once_and_summed_up(call, tmp_path):
    words = (*GRID, "--lam", 0, 1, "--seed", "0..1")
    plan = as_json(call(*words, "--dry-run", "--json"))
    assert (plan["runs"], plan["there"], plan["lacking"]) == (12, 0, 12)
    assert plan["seconds"] is None, "nothing is known yet"
    answer = as_json(call(*words, "--json", "--out", "table.parquet"))
    assert (answer["runs"], answer["made"], answer["lacking"], answer["failed"]) == (12, 12, 0, [])
    tuned = [row for row in answer["rows"] if row["method"] == "prompt-diffuser"]
    assert [row["lam"] for row in tuned] == [0, 1]
    assert all(row["runs"] == 4 and row["sd_over_seeds"] is not None for row in tuned)
    table = load_results(tmp_path / "table.parquet")
    assert len(table) == 12
    mean = table[table["method"] == "prompt-dt"]["return_mean"].mean()
    (plain,) = [row for row in answer["rows"] if row["method"] == "prompt-dt"]
    assert plain["return_mean"] == pytest.approx(mean, abs=0.01)
    again = as_json(call(*words, "--json"))
    assert (again["made"], again["rows"]) == (0, answer["rows"])
    plan = as_json(call(*words, "--seed", "0..2", "--dry-run", "--json"))
    assert (plan["there"], plan["lacking"], plan["alike"]) == (12, 6, 6)
    assert plan["seconds"] > 0
    status, out, _ = call(*words, "--seed", "0..2", "--dry-run", "--workers", 2)
    assert status == 0
    assert "6 are lacking" in out
    assert "on 2 workers" in out


def test_progress_says_what_runs_and_what_failed(call, toy):
    assets.demos_path(toy.task(2), "medium").unlink()
    status, out, err = call(*GRID, "--no-untuned")
    assert status == 1
    assert "running 1, failed 0" in err
    assert err.count("failed: toy 2 prompt-diffuser: ValueError") == 1
    assert "1 of 2 runs failed" in err
    assert "Traceback" not in err
    assert "lacking  1" in out
    answer = as_json(call(*GRID, "--no-untuned", "--json"), status=1)
    assert "few-shot" in answer["failed"][0]["error"]


def test_an_interrupt_says_how_to_go_on(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(sweep_progress, "sweep", interrupted)
    status, out, err = call(*GRID)
    assert (status, out) == (130, "")
    assert "Go on with: python -m workbench sweep --family toy" in err


def test_a_store_at_a_url(call, tmp_path):
    words = (*GRID, "--task", 5, "--store", f"file://{tmp_path}/far", "--cache", "near")
    assert as_json(call(*words, "--json"))["made"] == 2
    assert len(RunStore(tmp_path / "far").ids()) == 2
    assert as_json(call(*words, "--cache", "other", "--json"))["made"] == 0


@pytest.fixture
def small_ablation(monkeypatch, shipped):
    monkeypatch.setitem(CHOSEN, "prompt-diffuser", ({"batch_size": 4}, 2))
    axes = {"lambdas": (0.0, 1.0), "projections": ("none", "vector"), "qualities": ("expert",)}
    monkeypatch.setattr(ablation, "WHOLE", (ablation.Grid("toy", **axes, seeds=(0, 1)),))
    few = ablation.Grid("toy", (1.0,), ("none",), ("expert",), seeds=(0,), tasks=(2,))
    monkeypatch.setattr(ablation, "QUICK", (few,))
    whole = ablation.specs
    monkeypatch.setattr(ablation, "specs", lambda grids=None: whole(grids or ablation.WHOLE))


def test_what_there_is_of_a_preset_is_kept_without_running_the_rest(call, small_ablation, toy):
    specs = ablation.specs()
    list(sweep_progress.sweep(specs[:5], RunStore("build/ablation")))
    answer = as_json(call("ablation", "--no-run", "--keep", "--json"))
    assert (answer["runs"], answer["made"], answer["lacking"]) == (12, 0, 7)
    assert len(load_results(results_path("ablation"))) == 5
    plan = as_json(call("ablation", "--dry-run", "--json", "--store", "elsewhere"))
    assert (plan["there"], plan["lacking"]) == (5, 7), "what ships is not run again"
    answer = as_json(call("ablation", "--keep", "--json", "--store", "elsewhere"))
    assert (answer["made"], answer["lacking"]) == (7, 0)
    assert len(load_results(results_path("ablation"))) == 12


def test_the_ablation_is_run_kept_and_checked_quickly(call, small_ablation, tmp_path):
    answer = as_json(call("ablation", "--keep", "--json"))
    assert answer["runs"] == 12, "λ 0 has one projection"
    assert answer["store"].endswith("build/ablation")
    shipped = load_results(results_path("ablation"))
    assert len(shipped) == 12
    assert assets.manifest()["results/ablation.parquet"]["measured"] == {"runs": 12}
    (row,) = as_json(call("ablation", "--quick", "--json"))
    assert (row["row"], row["column"], row["runs"]) == ("λ 1, none", "toy, expert data", 1)
    assert row["fresh"] == pytest.approx(row["same"])
    assert row["within_same"] is True
    status, out, _ = call("ablation", "--quick")
    assert status == 0
    assert "yes" in out
    as_json(call("ablation", "--keep", "--json"))
    pd.testing.assert_frame_equal(load_results(results_path("ablation")), shipped)


def test_the_shipped_ablation_can_be_asked_for():
    runs = ablation.specs(ablation.QUICK)
    assert {s.id for s in runs} <= {s.id for s in ablation.specs()}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((), "family"),
        (("ablatio",), "Did you mean 'ablation'"),
        (("ablation", "--lam", 1), "grid by itself"),
        ((*GRID, "--quick"), "preset"),
        ((*GRID, "--keep"), "preset"),
        (("ablation", "--quick", "--keep"), "keeps nothing"),
        ((*GRID, "--address", "auto"), "--engine ray"),
        ((*GRID, "--workers", 0), "workers"),
        ((*GRID, "--retries", -1), "retries"),
        ((*GRID, "--store", "nowhere://x"), "cannot be opened"),
        ((*GRID, "--bottleneck", 3), "no setting 'bottleneck'"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_status_2(call, words, hint):
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert hint in err


LONG = """
import sys
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep
from workbench.tuning.loop import RunSpec
few = {"updates": 10**9, "eval_every": 0, "episodes": 1, "quality": "expert"}
specs = [RunSpec("cheetah-dir", t, settings={"batch_size": 2}, **few) for t in (0, 1)]
list(sweep(specs, RunStore(sys.argv[1]), workers=2))
"""


def test_workers_end_soon_after_a_sweep_that_was_killed_by_force(tmp_path):
    root = tmp_path / "runs"
    child = subprocess.Popen(
        [sys.executable, "-c", LONG, root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(checkout.RUNNING)},
    )  # fmt: skip
    deadline = time.monotonic() + 900  # the event counts, not the time
    while len(busy := writers_of(root)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(busy) == 2
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 900  # the event counts, not the time
    while writers_of(root) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert writers_of(root) == set()
    assert RunStore(root).ids() == []
