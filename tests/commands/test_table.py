"""`table`: the shipped runs, runs of one's own, and a quick check of both."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
import torch

import workbench.__main__ as command
from workbench.commands import sweep_progress
from workbench.paper import tables
from workbench.paper.listed import ALL
from workbench.paper.measured import Runs, assemble
from workbench.paper.tables import PUBLISHED, cells
from workbench.runs.run_table import load_results, results_path, save_results
from workbench.runs.store import RunStore
from workbench.runs.sweep import commit
from workbench.shipped import assets
from workbench.tuning.presets import CHOSEN
from workbench.viewing.figures.tables import intervals, profiles

FEW = ("--families", "toy", "--methods", "prompt-dt", "prompt-diffuser")

FEW_ROWS = len(cells("1", families=["reach"], methods=FEW[3:]))
ALL_ROWS = len(cells("1", families=["reach"]))
FEW_RUNS = FEW_ROWS * 2 * 3


@pytest.fixture
def call(monkeypatch, capsys, tmp_path, shipped):
    """Run one verb in this process; return exit status, stdout and stderr."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    for key, (settings, updates) in list(CHOSEN.items()):
        monkeypatch.setitem(CHOSEN, key, (settings, min(updates, 2)))
    for key in ("prompt-diffuser", "soft-prompt"):
        fewer = {name: 2 for name in CHOSEN[key][0] if name == "n_candidates"}
        monkeypatch.setitem(CHOSEN, key, ({"batch_size": 4, **fewer}, 2))

    def run_verb(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", "table", *map(str, words)])
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "tables"


@pytest.fixture
def swept(call, cache, tmp_path):
    """The runs of ``FEW`` are in the default store: made once, since their ids do not change."""
    folder = tmp_path / "build" / "tables"
    if cache.exists():
        shutil.copytree(cache, folder)
    else:
        assert call("1", *FEW, "--run")[0] == 0
        shutil.copytree(folder, cache)


def as_json(result):
    status, out, err = result
    assert status == 0, err
    assert out.count("\n") == 1, "exactly one line"
    return json.loads(out)


def by_row(answer):
    return {(r["row"], r["column"]): r for r in answer["rows"]}


def test_nothing_measured_is_a_dash_and_counted(call):
    status, out, _ = call("1", "--families", "toy")
    assert status == 0
    assert f"{ALL_ROWS} of {ALL_ROWS} cells are missing" in out
    assert "nothing was run yet" in out
    answer = as_json(call("1", "--families", "cheetah-vel", "--json"))
    assert (answer["runs"], answer["missing_cells"]) == (0, ALL_ROWS)
    rows = by_row(answer)
    assert rows["Soft Prompt", "cheetah-vel"]["published"] == -41.8
    assert all(r["iqm"] is None for r in rows.values())


def test_run_fills_the_store_and_prints_it(call, tmp_path):
    answer = as_json(call("1", *FEW, "--run", "--json"))
    assert (answer["runs"], answer["of"], answer["missing_cells"]) == (FEW_RUNS, FEW_RUNS, 0)
    store = RunStore(tmp_path / "build" / "tables")
    assert len(store.ids()) == FEW_RUNS
    rows = by_row(answer)
    tuned, expert = rows["Prompt Diffuser", "toy"], rows["Prompt-DT, expert prompt", "toy"]
    assert (tuned["seeds"], tuned["tasks"], tuned["episodes"]) == (3, 2, 20)
    assert tuned["iqm_low"] <= tuned["iqm"] <= tuned["iqm_high"]
    assert 0 <= tuned["improvement"] <= 1
    assert expert["improvement"] is None, "it is what the others are compared with"
    assert tuned["trainable"] > 0
    assert tuned["share"] > 0
    assert expert["trainable"] == 0
    cell = cells("1", families=["toy"])["Prompt Diffuser", "toy"]
    returns = [store.returns(s.id)[-1].mean() for s in cell]
    assert tuned["mean"] == pytest.approx(np.mean(returns))
    assert answer["commit"] == [commit()]
    # a second time nothing is left to do
    times = {p: p.stat().st_mtime_ns for p in store.root.rglob("result.json")}
    call("1", *FEW, "--run")
    assert times == {p: p.stat().st_mtime_ns for p in store.root.rglob("result.json")}


def test_progress_is_on_stderr_and_failures_too(call, swept, toy):
    assets.demos_path(toy.task(2), "random").unlink()
    status, out, err = call("1", *FEW, "--run")  # whose ids have changed with it
    assert status == 1
    assert "run/s" in err or "s/run" in err
    assert err.count("failed: toy 2 prompt-dt: ValueError") == 3
    assert "3 of 3 runs failed" in err
    assert "Traceback" not in err
    line = next(text for text in out.splitlines() if "random prompt" in text)
    assert "3/6" in line, "the other task's runs are counted, no number is made of them"
    assert "–" in line


def test_keep_ships_and_the_default_prints_what_ships(call, swept, tmp_path):
    ran = as_json(call("1", *FEW, "--run", "--keep", "--json"))
    path = results_path("1")
    assert load_results(path)["run"].is_unique
    entry = assets.manifest()["results/1.parquet"]
    assert entry["measured"] == {"runs": FEW_RUNS}
    assert entry["command"].startswith("python -m workbench table 1")
    (tmp_path / "build" / "tables").rename(tmp_path / "elsewhere")
    assert as_json(call("1", *FEW, "--json")) == ran
    status, out, _ = call("1", *FEW)
    assert status == 0
    assert ran["machine"][0] in out
    assert ran["commit"][0] in out
    assert f"0 of {FEW_ROWS} cells are missing" in out


def test_what_is_kept_later_joins_what_was_kept(call, swept):
    call("1", "--families", "toy", "--methods", "prompt-dt", "--run", "--keep")
    before = load_results(results_path("1"))
    call("1", "--families", "toy", "--methods", "soft-prompt", "--run", "--keep")
    after = load_results(results_path("1"))
    assert set(before["run"]) < set(after["run"])
    assert set(after["method"]) == {"prompt-dt", "soft-prompt"}
    # settings chosen anew: the old runs belong to no cell any more
    CHOSEN["soft-prompt"] = ({"batch_size": 3}, 2)
    call("1", "--families", "toy", "--methods", "soft-prompt", "--run", "--keep")
    again = load_results(results_path("1"))
    assert len(again) == len(after)
    kept = again[again.method == "soft-prompt"]["settings"].map(json.loads)
    assert {s["batch_size"] for s in kept if "prompt_positions" not in s} == {3}


def test_runs_over_other_files_are_said(call, swept, toy):
    call("1", *FEW, "--run", "--keep")
    path = assets.demos_path(toy.task(2), "random")
    path.write_bytes(assets.demos_path(toy.task(2), "medium").read_bytes())
    answer = as_json(call("1", *FEW, "--json"))
    assert (answer["outdated"], answer["missing_cells"]) == (3, 0)
    assert "3 of them read other files" in call("1", *FEW)[1]


def test_what_ships_does_not_fill_a_store_that_is_printed(call, swept):
    call("1", *FEW, "--run", "--keep")
    call("1", *FEW, "--run", "--seeds", 0, "--store", "fewer")
    rows = by_row(as_json(call("1", *FEW, "--store", "fewer", "--json")))
    assert rows["Prompt Diffuser", "toy"]["runs"] == 0, "all of it ships, so nothing was run"


def test_a_store_is_printed_without_running(call, tmp_path):
    call("1", *FEW, "--run", "--seeds", 0, 1, "--store", "mine")
    rows = by_row(as_json(call("1", *FEW, "--store", "mine", "--json")))
    tuned = rows["Prompt Diffuser", "toy"]
    assert (tuned["seeds"], tuned["runs"], tuned["of"]) == (2, 4, 6)
    assert tuned["iqm"] is not None, "two whole seeds"


def test_quick_runs_anew_and_says_where_it_lies(call, swept, tmp_path):
    call("1", *FEW, "--run", "--keep")
    found = as_json(call("1", *FEW, "--quick", "--json"))
    store = RunStore(tmp_path / "build" / "quick")
    assert len(store.ids()) == FEW_ROWS * 2
    for row in found:
        assert row["runs"] == 2
        assert row["fresh"] == pytest.approx(row["same"])
        assert row["within_same"] is True
        assert row["within_iqm"] in (True, False)
        assert row["iqm_low"] <= row["iqm"] <= row["iqm_high"]
    times = {p: p.stat().st_mtime_ns for p in store.root.rglob("result.json")}
    status, out, _ = call("1", *FEW, "--quick")
    assert status == 0
    assert "yes" in out
    new = {p: p.stat().st_mtime_ns for p in store.root.rglob("result.json")}
    assert new.keys() == times.keys()
    assert all(new[p] > times[p] for p in times), "fresh"


def test_quick_without_shipped_runs_compares_with_nothing(call):
    found = as_json(call("1", *FEW, "--quick", "--json"))
    assert all(r["fresh"] is not None and r["same"] is None for r in found)
    assert all(r["within_iqm"] is None for r in found)


def test_quick_is_of_the_cheetahs_unless_told(monkeypatch, call):
    seen = []
    monkeypatch.setattr(sweep_progress, "sweep", lambda specs, *_, **__: seen.extend(specs) or [])
    call("1", "--quick")
    assert {s.family for s in seen} == {"cheetah-vel", "cheetah-dir"}
    assert {s.seed for s in seen} == {0}
    assert {s.task for s in seen if s.family == "cheetah-vel"} == {2, 7}
    seen.clear()
    call("guidance", "--quick")
    assert {(s.family, s.quality) for s in seen} == {("cheetah-vel", "expert")}
    assert len(seen) <= 2 * len(tables._GUIDANCE), "a check, not the table"


def test_the_guidance_table(call):
    answer = as_json(call("guidance", "--families", "toy", "--seeds", 0, "--run", "--json"))
    by_value = "projection and value"  # needs a critic
    assert [r["row"] for r in answer["rows"]] == [r for r in tables._GUIDANCE if r != by_value]
    assert all(r["tasks"] == 2 for r in answer["rows"])
    assert all(0 <= r["improvement"] <= 1 for r in answer["rows"])


def test_the_second_table_of_another_family(call):
    words = ("--families", "toy", "--methods", "soft-prompt", "--seeds", 0)
    answer = as_json(call("2", *words, "--run", "--json"))
    assert answer["rows"]
    assert answer["missing_cells"] == 0
    assert all(r["published"] is None for r in answer["rows"])


def test_the_search_is_ranked(call):
    call("1", "--families", "toy", "--methods", "soft-prompt", "--run", "--store", "a")
    CHOSEN["soft-prompt"] = ({"batch_size": 4, "lr": 0.5}, 2)
    call("1", "--families", "toy", "--methods", "soft-prompt", "--run", "--store", "a", "--keep")
    from workbench.runs.run_table import rows

    store = RunStore("a")
    save_results(results_path("search"), rows(store, store.ids()))
    found = as_json(call("search", "--json"))
    late = "prompt_positions"  # the tables have a row more of that method
    tuned = [r for r in found if r["method"] == "soft-prompt" and late not in r["settings"]]
    assert {r["settings"] for r in tuned} == {"batch_size 4", "batch_size 4, lr 0.5"}
    assert tuned[0]["mean"] >= tuned[1]["mean"]
    assert all(r["mean"] == r["expert"] and r["medium"] is None for r in tuned)
    assert [r["settings"] for r in tuned if r["chosen"]] == ["batch_size 4, lr 0.5"]
    assert tuned[0]["runs"] == 6


def test_the_search_runs_its_candidates_and_keeps_them(call, monkeypatch):
    """Two candidates of one method on the toy family's only split, found again from assets/."""
    from workbench.tuning import presets

    few = tuple(presets.RunSpec("toy", t, updates=0, episodes=1, eval_every=0) for t in (2, 5))
    monkeypatch.setattr("workbench.commands.table_runs.search", lambda keys=(): few)
    made = as_json(call("search", "--run", "--keep", "--json"))
    assert as_json(call("search", "--json")) == made
    assert [(r["method"], r["runs"], r["updates"]) for r in made] == [("prompt-diffuser", 2, 0)]
    # a later search of another method stands beside it; the same one takes its place
    few = tuple(dataclasses.replace(spec, method="prompt-dt") for spec in few)
    made = as_json(call("search", "--run", "--keep", "--json"))
    for _ in range(2):
        assert [(r["method"], r["runs"]) for r in made] == [
            ("prompt-diffuser", 2),
            ("prompt-dt", 2),
        ]
        made = as_json(call("search", "--run", "--keep", "--json"))
    one = as_json(call("search", "--methods", "prompt-dt", "--json"))
    assert [r["method"] for r in one] == ["prompt-dt"]
    made = assets.manifest()["results/search.parquet"]["command"]
    assert made == "python -m workbench table search --run --keep"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("1", "--families", "toi"), "toi"),
        (("1", "--methods", "prompt-difuser"), "prompt-diffuser"),
        (("1", "--workers", 0, "--run", "--families", "toy"), "workers"),
        (("1", "--quick", "--keep"), "quick"),
        (("1", "--data", "random"), "guidance"),
        (("guidance", "--data", "good"), "good"),
        (("guidance", "--data", "random", "--families", "toy"), "cell"),
        (("1", "--keep", "--families", "toy"), "nothing to keep"),
        (("search",), "search.parquet"),
        (("search", "--keep"), "nothing to keep"),
        (("search", "--seeds", 99), "leave out the others"),
        (("search", "--quick"), "leave out the others"),
        (("search", "--methods", "prompt-dt"), "Nothing was searched of 'prompt-dt'"),
        (("4",), "4"),
    ],
)
def test_bad_input_is_one_line_and_status_2(call, words, hint):
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert hint in err


# ---- what is put together, and how it is drawn ----


@pytest.fixture
def runs(shipped):
    """Made-up runs of two methods in two families: ``offset`` better where tuned."""
    import pandas as pd

    specs = [
        spec
        for (row, _), cell in two_families().items()
        for spec in cell
        if row in ("Prompt-DT, expert prompt, late rows", "Prompt Diffuser")
    ]
    records = [
        {
            **{f.name: getattr(s, f.name) for f in dataclasses.fields(s)},
            "run": s.id,
            "spec": json.dumps(s.canonical),
            "return_mean": 10.0 * s.task + s.seed + 100 * (s.method != "prompt-dt"),
            "returns": [0.0] * 20,
            "n_trainable": 5,
            "n_model": 50,
            "seconds": 2.0,
            "env_steps": np.nan,
        }
        for s in specs
    ]
    return Runs.of(pd.DataFrame(records))


def two_families():
    return cells("1", families=["toy", "cheetah-dir"])


@pytest.fixture
def assembled(runs, monkeypatch):
    for name, task_ids in (("toy", (2, 5)), ("cheetah-dir", (0, 1))):
        for quality, value in (("random", 0.0), ("expert", 100.0)):
            path = assets.policy_path(name, quality)
            path.parent.mkdir(exist_ok=True)
            path.touch()
            by_task = {str(t): value for t in task_ids}
            assets.record(path, command="x", seed=0, return_by_test_task=by_task)
    return assemble("1", two_families(), runs)


def test_an_assembled_cell_by_hand(assembled):
    row = assembled.set_index(["row", "column"]).loc[("Prompt Diffuser", "toy")]
    # tasks 2 and 5, seeds 0 to 2: 120 121 122 150 151 152, a quarter of 6 is 1 at each end
    assert row["iqm"] == pytest.approx((121 + 122 + 150 + 151) / 4)
    assert (row["mean"], row["sd"]) == (136, 1)
    assert row["improvement"] == row["improvement_low"] == row["improvement_high"] == 1
    assert (row["share"], row["seconds"]) == (pytest.approx(0.1), 2)
    dir_row = assembled.set_index(["row", "column"]).loc[("Prompt Diffuser", "cheetah-dir")]
    assert (dir_row["published"], dir_row["published_sd"]) == PUBLISHED["1"][
        "Prompt Diffuser", "cheetah-dir"
    ]


def test_families_are_averaged_after_normalising(assembled):
    rows = assembled[assembled["column"] == ALL].set_index("row")
    assert set(rows.index) == {"Prompt-DT, expert prompt, late rows", "Prompt Diffuser"}
    assert rows.loc["Prompt Diffuser", "mean"] == pytest.approx((1.21 + 1.51 + 1.01 + 1.11) / 4)
    assert rows.loc["Prompt Diffuser", "tasks"] == 4


def test_a_column_is_drawn_with_intervals_and_published_values(assembled):
    figure = intervals(assembled, "cheetah-dir")
    *measured, means, known = figure.data
    names = ["Prompt-DT, expert prompt, late rows", "Prompt Diffuser"]
    assert [t.name for t in measured] == names
    assert means.name == "our mean"
    assert len({t.marker.color for t in measured}) == 2
    row = assembled.set_index(["row", "column"]).loc[("Prompt Diffuser", "cheetah-dir")]
    drawn = measured[1]
    assert drawn.x[0] == row["iqm"]
    assert drawn.x[0] + drawn.error_x.array[0] == pytest.approx(row["iqm_high"])
    assert drawn.x[0] - drawn.error_x.arrayminus[0] == pytest.approx(row["iqm_low"])
    assert dict(zip(known.y, known.x, strict=True))["MT-ORL"] == -46.2
    assert len(known.y) == 9
    again = intervals(assembled, "toy")
    colours = [t.marker.color for t in again.data if t.name in names]
    assert colours == [t.marker.color for t in measured]


def test_profiles_fall_from_one_to_zero():
    figure = profiles({"a": np.array([[0.2, 0.4]]), "b": np.array([[0.1, 0.9]])}, [0, 0.3, 1])
    assert [t.name for t in figure.data] == ["a", "b"]
    assert [list(t.y) for t in figure.data] == [[1, 0.5, 0], [1, 0.5, 0]]
    assert len(profiles({}).data) == 0
