"""Names, tags and the bin of a store's runs."""

import json
import shutil
import threading

import pytest

from workbench.runs.library import BIN, LABELS, MAX_TAGS, Label, Library
from workbench.runs.locks import held
from workbench.runs.store import RunStore
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec


@pytest.fixture
def store(shipped, tmp_path):
    made = RunStore(tmp_path / "runs")
    for seed in (0, 1):
        spec = RunSpec("toy", 5, updates=1, seed=seed, episodes=1)
        list(made.record(spec, run(spec)))
    return made


@pytest.fixture
def library(store):
    return Library(store)


def test_names_and_tags_are_kept_beside_the_runs(library, store):
    first, second = store.ids()
    before = (store.root / first / "spec.json").read_bytes()
    library.rename(first, "  the   good one ")
    library.tag([first, second], ["draft", "λ"])
    library.untag([second], ["draft"])
    again = Library(RunStore(store.root)).labels()
    assert again == {first: Label("the good one", ("draft", "λ")), second: Label("", ("λ",))}
    assert (store.root / first / "spec.json").read_bytes() == before
    library.rename(first, "")
    library.untag([first, second], ["draft", "λ"])
    assert json.loads((store.root / LABELS).read_text()) == {}


def test_a_bad_label_changes_nothing(library, store):
    (first, _) = store.ids()
    library.tag([first], ["kept"])
    for bad in (["a,b"], [" "], ["x" * 81], ["two\nlines"]):
        with pytest.raises(ValueError, match="tags"):
            library.tag([first], bad)
    with pytest.raises(ValueError, match=f"up to {MAX_TAGS}"):
        library.tag([first], [f"t{i}" for i in range(MAX_TAGS + 1)])
    with pytest.raises(ValueError, match="printable"):
        library.rename(first, "x" * 81)
    with pytest.raises(ValueError, match="once"):
        Label("", ("a", "a"))
    assert library.labels() == {first: Label("", ("kept",))}


def test_a_damaged_file_of_labels_is_said(library, store):
    (store.root / LABELS).write_text('{"a": [1]}')
    with pytest.raises(ValueError, match="cannot be read"):
        library.labels()
    (store.root / LABELS).write_text("{")
    with pytest.raises(ValueError, match="Repair the file"):
        library.rename(store.ids()[0], "x")
    assert (store.root / LABELS).read_text() == "{"


def test_two_writers_lose_nothing(library, store):
    ids = [f"run{i}" for i in range(8)]
    threads = [threading.Thread(target=Library(store).tag, args=([i], ["t"])) for i in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(library.labels()) == set(ids)


def test_a_deleted_run_comes_back_whole(library, store):
    first, second = store.ids()
    library.rename(first, "kept")
    files = {p.name: p.read_bytes() for p in (store.root / first).rglob("*") if p.is_file()}
    assert library.delete([first, "none"]) == [first]
    assert store.ids() == [second]
    assert library.deleted() == [first]
    assert library.bin_bytes > 0
    assert library.restore([first]) == [first]
    now = {p.name: p.read_bytes() for p in (store.root / first).rglob("*") if p.is_file()}
    assert now == {**now, **files}
    assert set(store.ids()) == {first, second}
    assert library.labels()[first].name == "kept"
    assert library.deleted() == []


def test_a_run_made_again_is_kept_before_the_deleted_one(library, store):
    first, _ = store.ids()
    spec = store.spec(first)
    library.delete([first])
    (store.root / first).mkdir()
    assert library.restore([first]) == [first], "an attempt that did not end makes room"
    library.delete([first])
    list(store.record(spec, run(spec)))
    assert library.restore([first]) == []
    assert library.deleted() == [first]


def test_the_bin_is_emptied_with_its_labels(library, store):
    first, second = store.ids()
    library.tag([first, second], ["t"])
    library.delete([first])
    assert library.empty_bin() == 1
    assert not (store.root / BIN).exists()
    assert set(library.labels()) == {second}
    assert library.empty_bin() == 0


def test_a_run_that_is_written_is_not_deleted(library, store):
    first, _ = store.ids()
    for name in ("lock", "steps.jsonl"):
        with held(store.root / first / name) as ours:
            assert ours
            assert library.delete([first]) == []
    assert first in store
    shutil.rmtree(store.root)
    assert library.deleted() == []
    assert library.labels() == {}
