"""The index of a store: whatever happens to it, what is listed is what the folders say."""

import json
import multiprocessing
import os
import shutil
import sqlite3
import threading

import pandas as pd
import pytest

from workbench.runs import index
from workbench.runs.index import FILE, Index, add, complete, index_of
from workbench.shipped import assets

FILES = {"demos": "a" * 12, "model": "b" * 12}


def make(root, seed, returns=(1.0, 3.0), **more):
    """Write the folder of a run of a tuning, as a store does, and return its id."""
    spec = {"family": "toy", "task": 5, "quality": "medium", "method": "soft-prompt"}
    spec |= {"settings": {"lr": 0.1}, "updates": 1, "seed": seed, "eval_every": 0, "episodes": 2}
    spec |= {"prompts": "", "split": "test", "precision": "bf16", "assets": FILES, **more}
    run = f"run-{seed}"
    folder = root / run
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"update": 0, "seconds": 0.0}, {"update": 1, "seconds": 0.1, "returns": returns}]
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "steps.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps({"format": 3, "id": run, "n_trainable": 4}))
    partial.replace(folder / "result.json")
    return run


@pytest.fixture
def root(tmp_path):
    for seed in range(index.FEWEST):
        make(tmp_path / "runs", seed)
    return tmp_path / "runs"


@pytest.fixture
def anew(monkeypatch):
    """Forget what this process knows, as a new one would."""

    def forget():
        monkeypatch.setattr(index, "_known", {})

    return forget


@pytest.fixture
def read(monkeypatch):
    """Count the folders that are read."""
    seen, summary = [], index.summary

    def counted(folder):
        seen.append(folder.name)
        return summary(folder)

    monkeypatch.setattr(index, "summary", counted)
    return seen


def runs_of(root):
    return set(index_of(root).runs["run"])


def test_every_folder_is_read_once_and_then_known(root, anew, read):
    found = index_of(root)
    assert len(found.runs) == len(read) == index.FEWEST
    assert index_of(root) is found
    anew()
    again = index_of(root)
    assert len(read) == index.FEWEST, "another process reads the file alone"
    pd.testing.assert_frame_equal(again.runs, found.runs)


def test_a_row_has_the_fields_of_the_spec(root):
    row = index_of(root).runs.loc["run-7"]
    assert (row["seed"], row["method"], row["settings"]) == (7, "soft-prompt", {"lr": 0.1})
    assert (row["start_mean"], row["return_mean"], row["n_trainable"]) == (2, 2, 4)
    assert json.loads(row["spec"])["assets"] == FILES
    assert row["changed"] == (root / "run-7" / "result.json").stat().st_mtime_ns


def test_anybody_reads_the_file(root):
    index_of(root)
    with sqlite3.connect(root / FILE) as file:
        table = pd.read_sql_query("SELECT run, return_mean FROM runs", file)
    assert set(table["run"]) == runs_of(root)


def test_a_small_store_has_no_file(tmp_path):
    make(tmp_path, 0)
    assert runs_of(tmp_path) == {"run-0"}
    add(tmp_path / "run-0")
    assert [p.name for p in tmp_path.iterdir()] == ["run-0"]


def test_what_comes_changes_and_goes_is_seen_at_once(root, read):
    first = index_of(root)
    read.clear()
    new = make(root, 1_000)
    assert new in runs_of(root)
    assert read == [new]
    make(root, 3, returns=(5.0, 7.0))
    assert index_of(root).runs.loc["run-3", "return_mean"] == 6
    shutil.rmtree(root / "run-4")
    (root / "run-5" / "result.json").unlink()  # as when it is made anew
    assert runs_of(root) == {f"run-{s}" for s in range(index.FEWEST)} - {"run-4", "run-5"} | {new}
    assert index_of(root).version != first.version


@pytest.mark.parametrize("while_away", ["gone", "again", "copied"])
def test_a_stale_file_is_put_right(root, anew, while_away, tmp_path):
    index_of(root)
    anew()
    if while_away == "gone":
        shutil.rmtree(root / "run-4")
        assert "run-4" not in runs_of(root)
        with sqlite3.connect(root / FILE) as file:
            assert file.execute("SELECT count(*) FROM runs").fetchone() == (index.FEWEST - 1,)
    elif while_away == "again":
        make(root, 4, returns=(9.0, 9.0))
        assert index_of(root).runs.loc["run-4", "return_mean"] == 9
    else:
        copy = tmp_path / "copy"
        shutil.copytree(root, copy, copy_function=shutil.copyfile)  # with other times
        make(copy, 4, returns=(9.0, 9.0))
        assert index_of(copy).runs.loc["run-4", "return_mean"] == 9
        assert runs_of(copy) == runs_of(root)


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 999, "older", "torn"])
def test_a_lost_or_damaged_file_is_made_anew(root, anew, content):
    want, path = index_of(root).runs, root / FILE
    anew()
    if content is None:
        path.unlink()
    elif content == "older":
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 9999")
            file.execute("ALTER TABLE runs RENAME COLUMN spec TO other")
    elif content == "torn":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"\xff" * (len(whole) // 4))
    else:
        path.write_bytes(content)
    pd.testing.assert_frame_equal(index_of(root).runs, want)
    anew()
    pd.testing.assert_frame_equal(index_of(root).runs, want)
    anew()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM runs").fetchone() == (index.FEWEST,)


def test_a_file_that_others_hold_is_done_without(root, anew, monkeypatch):
    monkeypatch.setattr(index, "_PATIENCE", 0.05)
    index_of(root)
    anew()
    with sqlite3.connect(root / FILE, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        make(root, 1_000)
        add(root / "run-1000")
        assert len(runs_of(root)) == index.FEWEST + 1
        other.execute("ROLLBACK")


def test_a_run_says_how_its_return_came_about(root):
    (curve,) = set(index_of(root).runs["curve"])
    assert json.loads(curve) == [[1, 0.1, 2.0]]


def test_no_index_is_written_into_what_ships(root):
    assert (assets.ROOT / "runs").parent / "manifest.json" == assets.MANIFEST
    (root.parent / "manifest.json").write_text("{}")
    assert len(runs_of(root)) == index.FEWEST
    assert not (root / FILE).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_listed(root, anew):
    root.chmod(0o500)
    try:
        assert len(runs_of(root)) == index.FEWEST
    finally:
        root.chmod(0o700)


def test_a_file_that_cannot_be_made_is_done_without(root, monkeypatch):
    (root / FILE).mkdir()
    assert len(runs_of(root)) == index.FEWEST


def test_a_damaged_run_is_named_and_seen_again_when_it_is_mended(root, anew):
    text = (root / "run-3" / "spec.json").read_text()
    (root / "run-3" / "spec.json").unlink()
    found = index_of(root)
    assert list(found.damaged) == ["run-3"]
    assert "no readable run 'run-3'" in found.damaged["run-3"]
    assert index_of(root) is found
    (root / "run-3" / "spec.json").write_text(text)
    assert not index_of(root).damaged
    assert "run-3" in runs_of(root)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("spec.json", b""),
        ("spec.json", b"[1]"),
        ("spec.json", b'{"family": "toy"}'),
        ("result.json", b""),
        ("result.json", b"[1]"),
        ("result.json", b'{"format": 99}'),
        ("steps.jsonl", b""),
        ("steps.jsonl", b"[]\n"),
        ("steps.jsonl", b'{"update": 0}\n'),
        ("steps.jsonl", b'{"returns": "many"}\n'),
        ("steps.jsonl", b'{"returns": []}\n'),
        ("steps.jsonl", b"\xff\xfe\n"),
        ("made.json", b"{"),
        ("made.json", b"[1]"),
    ],
    ids=str,
)
def test_whatever_a_folder_holds_the_others_are_listed(tmp_path, file, content):
    good, bad = make(tmp_path, 0), make(tmp_path, 1)
    (tmp_path / bad / file).write_bytes(content)
    found = index_of(tmp_path)
    assert found.runs["run"].tolist() == [good]
    assert bad in found.damaged[bad]


def test_newest_come_first(root):
    os.utime(root / "run-9" / "result.json", (4e9, 4e9))
    assert index_of(root).runs["run"].iloc[0] == "run-9"


def test_folders_that_are_no_runs_are_passed_over(tmp_path):
    run = make(tmp_path, 0)
    make(tmp_path / ".deleted", 1)
    (tmp_path / "half").mkdir()
    (tmp_path / "labels.json").write_text("{}")
    assert list(complete(tmp_path)) == [run]
    assert complete(tmp_path / "nowhere") == {}
    assert len(index_of(tmp_path / "nowhere").runs) == 0


def _write_many(root, first, n):
    for seed in range(first, first + n):
        add(root / make(root, seed))


def test_several_writers_and_readers_share_it(root, anew, read, monkeypatch):
    monkeypatch.setattr(index, "_PATIENCE", 60.0)  # else a busy machine may do without the file
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(root, 1_000 * i, 30)) for i in (1, 2, 3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not index_of(root).damaged
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    want = set(complete(root))
    assert len(want) == index.FEWEST + 90
    assert runs_of(root) == want
    anew()
    read.clear()
    assert runs_of(root) == want
    assert not read, "whoever made a run has entered it"


def test_threads_of_a_process_share_it(root, read):
    found = []
    threads = [threading.Thread(target=lambda: found.append(index_of(root))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one is found[0] for one in found)
    assert isinstance(found[0], Index)
    assert len(read) == index.FEWEST
