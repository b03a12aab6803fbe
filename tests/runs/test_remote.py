"""Stores at a URL: complete there when the result is there, whatever happens on the way."""

import json
import shutil
import uuid

import pytest

from workbench.runs.remote import RemoteStore, open_store
from workbench.runs.run_table import rows
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/far"


@pytest.fixture
def store(url, tmp_path):
    return open_store(url, tmp_path / "near")


@pytest.fixture
def spec(shipped):
    return RunSpec("toy", 5, settings={"batch_size": 4}, updates=3, eval_every=2, episodes=2)


def names(store):
    found = store.files.find(store.base)
    return sorted(path.partition(store.base.strip("/"))[2].strip("/") for path in found)


def test_a_folder_is_a_plain_store(tmp_path):
    assert type(open_store(tmp_path)) is RunStore
    assert type(open_store(str(tmp_path))) is RunStore


def test_an_unknown_file_system_is_a_clear_error():
    with pytest.raises(ValueError, match="cannot be opened"):
        open_store("nowhere://bucket/runs")


def test_the_result_is_delivered_last(store, spec):
    stream, sent = store.record(spec, run(spec)), []
    for _ in range(4):
        next(stream)
        assert names(store) == []
        assert spec.id not in store
    put = store.files.put_file
    store.files.put_file = lambda here, there: sent.append(there) or put(here, there)
    try:
        assert list(stream) == []
    finally:
        del store.files.put_file
    assert spec.id in store
    assert store.ids() == [spec.id]
    assert "result.json" in sent[-1]
    assert not any("result.json" in path for path in sent[:-1])
    evaluated = [f"{spec.id}/evaluated/{u}.safetensors" for u in (0, 2, 3)]
    ends = [f"{spec.id}/{n}" for n in ("result.json", "spec.json", "steps.jsonl")]
    assert names(store) == sorted([*evaluated, *ends])


def test_another_machine_reads_it(store, url, spec, tmp_path, model):
    list(store.record(spec, run(spec)))
    other = open_store(url, tmp_path / "another")
    assert other.ids() == [spec.id]
    assert other.spec(spec.id) == store.spec(spec.id)
    assert other.lines(spec.id) == store.lines(spec.id)
    assert len(other.load(spec.id, model)) == 4
    assert list(sweep([spec], other)) == [], "it is there: nothing to run"


def test_what_was_made_but_not_delivered_is_delivered_and_not_run_again(store, spec, monkeypatch):
    with monkeypatch.context() as cut:
        cut.setattr(RemoteStore, "deliver", lambda *_: (_ for _ in ()).throw(OSError("no network")))
        (done,) = sweep([spec], store, retries=0)
        assert "no network" in done.error
    assert spec.id not in store
    written = (store.root / spec.id / "steps.jsonl").stat().st_mtime_ns
    assert list(sweep([spec], store)) == []
    assert spec.id in store
    assert (store.root / spec.id / "steps.jsonl").stat().st_mtime_ns == written


def test_an_upload_that_breaks_off_is_no_run(store, spec, monkeypatch):
    put, seen = store.files.put_file, []

    def breaking(here, there):
        seen.append(there)
        if len(seen) == 3:
            raise OSError("connection lost")
        put(here, there)

    monkeypatch.setattr(store.files, "put_file", breaking, raising=False)
    with pytest.raises(OSError, match="connection lost"):
        list(store.record(spec, run(spec)))
    assert names(store) != []
    assert spec.id not in store
    assert store.ids() == []
    assert store.settled(spec.id)
    assert spec.id in store


def test_an_error_is_delivered_too(store, spec, monkeypatch):
    monkeypatch.setattr("workbench.runs.sweep.run", lambda spec: 1 / 0)
    (done,) = sweep([spec], store, retries=0)
    assert "ZeroDivisionError" in done.error
    assert f"{spec.id}/error.txt" in names(store)
    assert spec.id not in store


def test_recording_again_withdraws_the_result_first(store, spec):
    list(store.record(spec, run(spec)))
    stream = store.record(spec, run(spec))
    next(stream)
    assert spec.id not in store
    stream.close()
    list(store.record(spec, run(spec)))
    store.forget(spec.id)
    assert not store.settled(spec.id)


def test_a_remote_sweep_gives_the_rows_of_a_local_one(store, shipped, tmp_path):
    specs = [RunSpec("toy", t, settings={"batch_size": 4}, updates=2, episodes=2) for t in (2, 5)]
    local = RunStore(tmp_path / "local")
    list(sweep(specs, local))
    list(sweep(specs, store))
    shutil.rmtree(store.root)
    ids = [spec.id for spec in specs]
    a, b = rows(local, ids), rows(store, ids)
    for column in ("run", "returns", "spec", "loss_dm_last", "machine"):
        assert a[column].tolist() == b[column].tolist(), column
    made = json.loads((store.folder(ids[0]) / "made.json").read_text())
    assert made["seconds"] > 0
