"""A worker without the files gets them from the store, by hash, and makes the very run."""

import shutil
import uuid

import pytest

from workbench.runs.asset_delivery import fetch, offered
from workbench.runs.remote import open_store
from workbench.runs.run_table import rows
from workbench.runs.store import FILES, RunStore
from workbench.runs.sweep import Attempt, sweep
from workbench.shipped import assets
from workbench.tuning.spec import RunSpec


@pytest.fixture(params=["folder", "memory", "file"])
def place(request, tmp_path):
    """Where a store is."""
    urls = {"memory": f"memory://{uuid.uuid4().hex}", "file": f"file://{tmp_path}/far"}
    return urls.get(request.param, tmp_path / "shared")


@pytest.fixture
def specs(shipped):
    few = {"settings": {"batch_size": 4}, "updates": 2, "eval_every": 0, "episodes": 1}
    return [RunSpec("toy", 5, **few), RunSpec("toy", 5, "expert", "prompt-dt", updates=0)]


@pytest.fixture
def elsewhere(shipped, tmp_path, monkeypatch):
    """Turn this machine into one without any file."""

    def turn():
        monkeypatch.setattr(assets, "ROOT", tmp_path / "bare")
        monkeypatch.setattr(assets, "MANIFEST", tmp_path / "bare" / "manifest.json")

    return turn


class OtherMachine:
    """An engine that makes its runs where nothing is."""

    workers, elsewhere = 1, True

    def __init__(self, turn, place, tmp_path):
        self.turn, self.place, self.tmp_path = turn, place, tmp_path

    def outcomes(self, attempt: Attempt, due):
        self.turn()
        store = open_store(self.place, self.tmp_path / "its cache")
        there = Attempt(store, attempt.wait, attempt.parent, attempt.files)
        for run_id, spec in due:
            bare = RunSpec.stored({**spec.asked})  # nothing that was looked up travels
            yield there((run_id, bare))


def test_a_bare_worker_makes_the_very_runs(specs, place, elsewhere, tmp_path, fresh_caches):
    alone = RunStore(tmp_path / "alone")
    assert all(done.error is None for done in sweep(specs, alone))
    want = rows(alone, [spec.id for spec in specs])
    ids = [spec.id for spec in specs]
    store = open_store(place, tmp_path / "near")
    done = list(sweep(specs, store, engine=OtherMachine(elsewhere, place, tmp_path)))
    assert {d.run: d.error for d in done} == dict.fromkeys(ids)
    assert rows(store, ids)["returns"].tolist() == want["returns"].tolist()
    assert assets.model_path("toy").is_relative_to(tmp_path / "bare")
    assert assets.model_path("toy").exists(), "fetched"


def test_files_are_given_once_and_what_is_here_stays(specs, place, elsewhere, tmp_path):
    store = open_store(place, tmp_path / "near")
    files = offered(specs, store)
    assert files.keys() >= {"assets/toy/prompt-dt.safetensors", "assets/toy/diffuser.safetensors"}
    assert offered(specs, store) == files
    model, digest = assets.model_path("toy"), files["assets/toy/prompt-dt.safetensors"]
    assert assets.sha256(model) == digest
    model.write_bytes(b"another one")
    fetch(specs[0], files, store)
    assert model.read_bytes() == b"another one"
    model.unlink()
    fetch(specs[0], files, store)
    assert assets.sha256(model) == digest


def test_no_engine_of_this_machine_sends_files(specs, tmp_path):
    store = RunStore(tmp_path / "runs")
    list(sweep(specs[1:], store))
    assert not (store.root / FILES).exists()


def test_a_damaged_or_lost_copy_is_a_clear_error(specs, elsewhere, tmp_path):
    store = RunStore(tmp_path / "shared")
    files = offered(specs, store)
    run_id = specs[1].id
    (store.root / FILES / files["assets/toy/prompt-dt.safetensors"]).write_bytes(b"damaged")
    elsewhere()
    bare = RunSpec.stored(specs[1].asked)
    done = Attempt(store, False, 0, files)((run_id, bare))
    assert "copy of prompt-dt.safetensors is damaged" in done.error
    assert not done.again
    assert not assets.model_path("toy").exists()
    shutil.rmtree(store.root / FILES)
    done = Attempt(store, False, 0, files)((run_id, RunSpec.stored(specs[1].asked)))
    assert "FileNotFoundError" in done.error
    assert done.again, "the store may only be out of reach"


def test_a_worker_with_another_file_is_told(specs, tmp_path):
    store = RunStore(tmp_path / "shared")
    files, run_id = offered(specs, store), specs[0].id
    other = assets.demos_path(specs[0].resolved_task, "random")
    shutil.copy(other, assets.demos_path(specs[0].resolved_task, "medium"))
    done = Attempt(store, False, 0, files)((run_id, RunSpec.stored(specs[0].asked)))
    assert "holds other files" in done.error
