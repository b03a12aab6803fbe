"""The files that ship, and the one manifest that says what made each of them."""

import hashlib
import json
import multiprocessing
import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import record
from workbench.shipped import assets
from workbench.tasks import find

ROOT = Path(assets.__file__).resolve().parents[2] / "assets"
VEL = find("cheetah-vel")


# ---- the real files: presence only, their values change with every training ----


@pytest.mark.parametrize("quality", ["expert", "medium", "random"])
@pytest.mark.parametrize("index", VEL.test_indices)
def test_every_test_task_ships_five_demonstrations(index, quality):
    demos = assets.demos(VEL.task(index), quality)
    assert len(demos) == 5
    for demo in demos:
        assert demo.task == VEL.task(index)
        assert demo.observations.shape == (200, 20)
        assert demo.actions.shape == (200, 6)
        assert demo.states.shape == (200, 18)


@pytest.mark.parametrize("quality", ["expert", "medium", "random"])
def test_every_behaviour_policy_ships(quality):
    assert assets.behaviour("cheetah-vel", quality).std.shape == (6,)


def test_the_manifest_lists_every_file_with_its_size_and_hash():
    """Fails while assets are being made; must hold at every commit."""
    files = {
        path.relative_to(ROOT).as_posix(): path
        for path in ROOT.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    entries = json.loads((ROOT / "manifest.json").read_text())
    assert entries.keys() == files.keys()
    for name, path in files.items():
        assert entries[name]["bytes"] == path.stat().st_size, name
        assert entries[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), name


def test_the_manifest_names_the_command_seed_and_commit_that_made_each_file():
    for name, entry in json.loads((ROOT / "manifest.json").read_text()).items():
        assert entry.keys() == {"command", "seed", "commit", "bytes", "sha256", "measured"}, name
        assert entry["command"].startswith("python -m workbench "), name
        assert re.fullmatch(r"[0-9a-f]{12}\+?", entry["commit"]), name
        assert isinstance(entry["seed"], int), name
        assert not re.search(r"[ =]/", entry["command"]), f"{name}: a path of one machine"


def test_no_shipped_file_is_a_pickle_or_large():
    for path in ROOT.rglob("*"):
        if path.is_file():
            assert path.suffix in {".safetensors", ".json", ".jsonl", ".parquet"}, path.name
            assert path.stat().st_size < 20e6, path.name


# ---- the functions, on a folder of their own ----


def test_every_kind_of_file_has_a_place_of_its_own(shipped, toy):
    paths = [
        assets.model_path("toy"),
        assets.diffuser_path("toy"),
        *(assets.policy_path("toy", q) for q in ("expert", "medium", "random")),
        *(assets.demos_path(t, q) for t in toy.tasks("test") for q in ("expert", "random")),
        assets.model_path("other"),
    ]
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to(shipped) for path in paths)


def test_shipped_demonstrations_come_back(shipped, toy):
    got = assets.demos(toy.task(5), "medium")
    want = record(toy.task(5), 5, seed=1, skill=0.5)
    assert [t.rewards.tolist() for t in got] == [t.rewards.tolist() for t in want]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda toy: assets.demos(toy.task(0), "expert"), "No expert few-shot set ships for toy 0"),
        (lambda toy: assets.behaviour("toi", "expert"), "No expert behaviour policy ships for toi"),
    ],
)
def test_what_does_not_ship_is_a_clear_error_with_the_command(shipped, toy, call, words):
    with pytest.raises(ValueError, match=rf"{words}.*python -m workbench"):
        call(toy)


def test_recording_a_file_enters_what_made_it(shipped):
    path = assets.model_path("toy")
    assert assets.manifest() == {}
    assets.record(path, command="python -m workbench pretrain toy", seed=3, loss=0.5)
    (entry,) = assets.manifest().values()
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["bytes"] == path.stat().st_size
    assert entry["measured"] == {"loss": 0.5}
    assert (entry["seed"], entry["command"]) == (3, "python -m workbench pretrain toy")
    assert assets.manifest().keys() == {"toy/prompt-dt.safetensors"}


def test_recording_again_replaces_and_keeps_the_others_sorted(shipped):
    model, diffuser = assets.model_path("toy"), assets.diffuser_path("toy")
    for path, seed in ((model, 1), (diffuser, 1), (model, 2)):
        assets.record(path, command="c", seed=seed)
    assert {n: e["seed"] for n, e in assets.manifest().items()} == {
        "toy/diffuser.safetensors": 1,
        "toy/prompt-dt.safetensors": 2,
    }
    assert list(assets.manifest()) == sorted(assets.manifest())


def at_once(n, work):
    """Run ``work(i)`` in n processes that begin together; all must end well."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(n)
    children = [context.Process(target=lambda i=i: (gate.wait(), work(i))) for i in range(n)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
    assert [child.exitcode for child in children] == [0] * n


@pytest.mark.skipif(sys.platform == "win32", reason="no fork, and no such lock")
def test_processes_that_record_at_once_lose_nothing(shipped, monkeypatch):
    monkeypatch.setattr(assets, "commit", lambda: "0" * 12)
    for i in range(4):
        for j in range(12):
            (shipped / f"{i}-{j}").write_text(f"{i}-{j}")

    def work(i):
        for j in range(12):
            assets.record(shipped / f"{i}-{j}", command="c", seed=i)
            assert f"{i}-{j}" in assets.manifest()

    at_once(4, work)
    entries = assets.manifest()
    assert entries.keys() == {f"{i}-{j}" for i in range(4) for j in range(12)}
    assert all(entry["seed"] == int(name[0]) for name, entry in entries.items())
    assert not list(shipped.glob("*.partial")), "nothing is left beside it"
    assert not [p for p in shipped.iterdir() if p.name.startswith(".")]


def test_a_kill_while_recording_leaves_the_manifest_before(shipped, monkeypatch):
    path = assets.model_path("toy")
    assets.record(path, command="before", seed=0)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            assets.record(path, command="after", seed=0)
    assert [e["command"] for e in assets.manifest().values()] == ["before"]
    assets.record(path, command="after", seed=0)  # nobody holds the lock
    assert [e["command"] for e in assets.manifest().values()] == ["after"]


def test_without_file_locks_recording_works(shipped, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assets.record(assets.model_path("toy"), command="c", seed=0)
    assert len(assets.manifest()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "null"])
def test_a_damaged_manifest_is_said_and_not_overwritten(shipped, text):
    assets.MANIFEST.write_text(text)
    for use in (
        assets.manifest,
        lambda: assets.record(assets.model_path("toy"), command="c", seed=0),
    ):
        with pytest.raises(ValueError, match=r"cannot be read .*git checkout"):
            use()
    assert assets.MANIFEST.read_text() == text


def test_another_folder_of_assets_can_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for named, want in (("other", tmp_path / "other"), ("", ROOT)):
        monkeypatch.setenv("WORKBENCH_ASSETS", named)
        module = runpy.run_path(assets.__file__)
        assert module["ROOT"] == want
        assert module["MANIFEST"] == want / "manifest.json"


def test_a_file_elsewhere_cannot_be_recorded(shipped, tmp_path):
    other = tmp_path / "other"
    other.write_text("x")
    with pytest.raises(ValueError, match="other"):
        assets.record(other, command="c", seed=0)


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert assets.sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
