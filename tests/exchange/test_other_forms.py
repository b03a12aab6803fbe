"""Files that hold no demonstrations are called by their names; odd ones among good are read."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from tests.exchange.test_received import as_pickle, refused
from workbench.data import own_sets
from workbench.exchange.minari_format import save_minari
from workbench.exchange.received import examine, receive


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "data" / "own")
    return tmp_path


def of_torch(**how):
    buffer = io.BytesIO()
    torch.save([{"observations": torch.zeros(3, 2)}], buffer, **how)
    return buffer.getvalue()


def of_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("a"))
    return buffer.getvalue()


def of_numpy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


RAW = pickle.dumps([1], 4)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 190162\n"


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors", ".hdf5", ""])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LFS, ["Git LFS pointer", "git lfs pull"]),
        (b"\n<!DOCTYPE html>\n<html><body>404</body></html>", ["web page", "raw address"]),
        (gzip.compress(RAW), ["gzip", "gunzip"]),
        (bz2.compress(RAW), ["bzip2"]),
        (lzma.compress(RAW), ["xz"]),
        (of_tar(), ["tar archive"]),
        (of_torch(), ["torch.save", "weights_only=True", "np.savez"]),
        (of_torch(_use_new_zipfile_serialization=False), ["torch.save", "np.savez"]),
        (of_numpy(), ["one NumPy array", "np.savez"]),
        (b'{"observations": []}', ["text (JSON)", "np.savez"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_it_is_instead_is_said(folder, content, words, suffix):
    path = folder / f"mine{suffix}"
    path.write_bytes(content)
    refused(path, *words)


@pytest.mark.parametrize("name", ["a.pkl", "deep/er/b.hdf5", "c.npz", "win\\dows\\d.pkl"])
def test_a_zip_of_a_file_names_the_file(folder, name):
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        file.writestr(name, RAW)
    refused(folder / "a.zip", f"a zip of `{name.replace(chr(92), '/').rsplit('/')[-1]}`", "Unpack")


def test_backslashes_in_a_zip_are_folders(toy, demos, folder):
    there = save_minari(folder / "theirs-v0", demos)
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        for name in ("main_data.hdf5", "metadata.json"):
            file.writestr(f"theirs-v0\\data\\{name}", (there / "data" / name).read_bytes())
    report = receive(folder / "a.zip")
    assert [s.fit.task for s in report.sets] == [toy.task(5)]


def test_names_that_are_no_text_are_not_told_as_bytes(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        file.writestr("x\x01\x02/../main_data.hdf5", b"")
    assert "'x·/" in refused(folder / "a.zip", "a place outside itself")


def test_empty_episodes_are_left_out_and_named(toy, demos, folder):
    path = as_pickle(folder / "a.pkl", demos)
    rows = pickle.loads(path.read_bytes())
    rows.insert(1, {name: x[:0] for name, x in rows[0].items()})
    path.write_bytes(pickle.dumps(rows, 4))
    report = receive(path)
    assert len(report.trajectories) == 3
    assert "Left out, having no rows: episode 1." in report.warnings
    path.write_bytes(pickle.dumps(rows[1:2], 4))
    refused(path, "none of its episodes has a row")


def test_numbers_as_names_beside_the_arrays_are_left_out(toy, demos, folder):
    path = as_pickle(folder / "a.pkl", demos)
    rows = [row | {"infos": {0: 1.0, 1: 2.0}} for row in pickle.loads(path.read_bytes())]
    path.write_bytes(pickle.dumps(rows, 4))
    assert len(receive(path).trajectories) == 3


def test_unclipped_actions_want_clipping(toy, demos, folder):
    def once(actions):
        return np.where(np.arange(len(actions))[:, None] == 7, 1.7, actions)

    refused(as_pickle(folder / "a.pkl", demos, actions=once), "np.clip(actions, -1, 1)", "row 7")


def test_no_opcode_and_no_bytes_are_told_to_people(folder):
    """Where in the file it is goes into ``detail``, which no page shows."""
    for raw in (b"\x80\x04N0.", b"\x80\x04]}\x85b.", b"\x80\x04\xff\xfe", b"\x00\x01\x02\x03" * 9):
        (folder / "a.pkl").write_bytes(raw)
        report = examine(folder / "a.pkl")
        assert not report.accepted
        assert not any(word in " ".join(report.errors) for word in ("opcode", "\\x", "b'"))
