"""A file or folder is there whole or not at all, and nothing else is left."""

import os
from pathlib import Path

import pytest

import workbench
from workbench.data.atomic_files import PARTIAL, whole_file, whole_folder, write_json


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with whole_file(path) as partial:
        partial.write_text("one")
        assert not path.exists()
        assert partial.parent == path.parent, "a rename between file systems is a copy"
    assert path.read_text() == "one"
    with whole_file(path) as partial:
        partial.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": 2})

    def fail():
        with whole_file(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == '{\n "b": 1,\n "a": 2\n}\n'
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert names(tmp_path) == ["a.json"]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "set"

    def fail():
        with whole_folder(path) as partial:
            (partial / "a").write_text("a")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert names(tmp_path) == []
    with whole_folder(path) as partial:
        (partial / "b").write_text("b")
        assert not path.exists()
    assert names(tmp_path) == ["set"]
    assert names(path) == ["b"]


def test_it_is_on_the_disk_before_it_has_its_name_and_its_name_follows(tmp_path, monkeypatch):
    order, fsync, replace = [], os.fsync, Path.replace
    where = "/proc/self/fd"

    def synchronised(file):
        order.append(Path(os.readlink(f"{where}/{file}")).name)
        fsync(file)

    def renamed(path, target):
        order.append("renamed")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(Path, "replace", renamed)
    write_json(tmp_path / "a.json", [])
    assert order == [f"a.json.{os.getpid()}{PARTIAL}", "renamed", tmp_path.name]


def test_nothing_else_in_the_package_has_a_way_of_its_own():
    root = Path(workbench.__file__).parent
    ours = root / "data" / "atomic_files.py"
    others = [p for p in root.rglob("*.py") if p != ours and f'{PARTIAL}"' in p.read_text()]
    assert others == []
