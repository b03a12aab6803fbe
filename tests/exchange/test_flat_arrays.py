"""D4RL, NumPy archives, robomimic and LeRobot: the forms that people have, small ones made here."""

import io
import json
import pickle
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.conftest import record
from tests.exchange.test_received import refused
from workbench.data import own_sets
from workbench.exchange import flat_arrays
from workbench.exchange.flat_arrays import cut
from workbench.exchange.pickle_reader import RefusedFile
from workbench.exchange.received import receive


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "data" / "own")
    return tmp_path


@pytest.fixture
def flat(demos):
    """Three episodes behind each other: two ended by time, the last one by its end."""
    arrays = {
        name: np.concatenate([getattr(t, name) for t in demos])
        for name in ("observations", "actions", "rewards")
    }
    ends = np.zeros((2, len(arrays["rewards"])), bool)
    ends[0, 35] = ends[1, 11] = ends[1, 23] = True
    return arrays | {"terminals": ends[0], "timeouts": ends[1]}


def lerobot(flat, **columns):
    index = np.repeat([0, 1, 2], 12)
    table = {
        "observation.state": list(flat["observations"]),
        "action": list(flat["actions"]),
        "next.reward": flat["rewards"],
        "episode_index": index,
    }
    return pd.DataFrame({k: v for k, v in (table | columns).items() if v is not None})


def d4rl_file(path, flat):
    with h5py.File(path, "w") as file:
        for name, x in flat.items():
            file[name] = x
        file["infos/qpos"] = np.zeros(3)
    return path


def robomimic_file(path, flat, **more):
    with h5py.File(path, "w") as file:
        for i in range(3):
            demo, rows = file.create_group(f"data/demo_{i}"), slice(12 * i, 12 * i + 12)
            demo["obs/flat"] = flat["observations"][rows]
            for name in ("actions", "rewards"):
                demo[name] = flat[name][rows]
            for name, x in more.items():
                demo[name] = x
    return path


def forms(folder, flat):
    np.savez(folder / "a.npz", **flat)
    np.savez_compressed(folder / "b.npz", other=np.zeros(2), **flat)
    (folder / "flat.pkl").write_bytes(pickle.dumps(flat, 4))
    lerobot(flat).to_parquet(folder / "c.parquet")
    whole = folder / "lerobot" / "data" / "chunk-000"
    whole.mkdir(parents=True)
    (folder / "lerobot" / "meta").mkdir()
    (folder / "lerobot" / "meta" / "info.json").write_text("{}")
    lerobot(flat).iloc[:20].to_parquet(whole / "file-000.parquet")
    lerobot(flat).iloc[20:].to_parquet(whole / "file-001.parquet")
    return {
        folder / "a.npz": "NumPy archive",
        folder / "b.npz": "NumPy archive",
        folder / "flat.pkl": "published pickle",
        d4rl_file(folder / "d.hdf5", flat): "D4RL's HDF5 file",
        robomimic_file(folder / "e.hdf5", flat): "robomimic's HDF5 file",
        folder / "c.parquet": "LeRobot table",
        folder / "lerobot": "LeRobot data set",
    }


def test_every_form_holds_the_same_episodes(toy, demos, flat, folder):
    for path, form in forms(folder, flat).items():
        report = receive(path)
        assert report.form == form
        assert [s.fit.task for s in report.sets] == [toy.task(5)], form
        assert len(report.trajectories) == 3
        for got, made in zip(report.trajectories, demos, strict=True):
            for name in ("observations", "actions", "rewards"):
                np.testing.assert_array_equal(getattr(got, name), getattr(made, name))


def test_arrays_are_cut_where_an_episode_ends(flat):
    assert [len(e["rewards"]) for e in cut(flat)] == [12, 12, 12]
    without = {k: v for k, v in flat.items() if k != "timeouts"}
    assert [len(e["rewards"]) for e in cut(without)] == [36]
    unfinished = flat | {"terminals": flat["terminals"] & False}
    assert [len(e["rewards"]) for e in cut(unfinished)] == [12, 12, 12]
    by_index = {k: flat[k] for k in ("observations", "actions", "rewards")}
    by_index["episode_index"] = np.repeat([7, 7, 3, 4], 9)
    assert [len(e["rewards"]) for e in cut(by_index)] == [18, 9, 9]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"actions": None}, ["without `actions`", "got `observations`"]),
        ({"rewards": np.zeros(35)}, ["`observations`", "35 rewards"]),
        ({"timeouts": np.zeros(3)}, ["`timeouts`", "(3,)"]),
        ({"rewards": np.array(1.0)}, ["one row per reward"]),
    ],
)
def test_arrays_that_do_not_fit_together(flat, change, words):
    with pytest.raises(RefusedFile) as caught:
        cut({k: v for k, v in (flat | change).items() if v is not None})
    assert all(word in str(caught.value) for word in words)


def test_archives_that_hold_no_numbers(flat, folder, monkeypatch):
    ran = folder / "ran"

    class Call:
        def __reduce__(self):
            return ran.touch, ()

    np.savez(folder / "o.npz", **(flat | {"rewards": np.array([Call()] * 36, object)}))
    refused(folder / "o.npz", "plain numbers", "object")
    assert not ran.exists()
    np.savez(folder / "w.npz", **(flat | {"rewards": np.array(["a"] * 36)}))
    refused(folder / "w.npz", "plain numbers")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(36))
    lying = buffer.getvalue().replace(b"(36,)", b"(2**9,)"[:5])
    header = buffer.getvalue().replace(b"(36,), }", b"(10**9,)")
    for raw in (lying, header, buffer.getvalue()[:90], b"\x93NUMPY\x01\x00\xff\xff", b""):
        with zipfile.ZipFile(folder / "l.npz", "w") as file:
            file.writestr("rewards.npy", raw)
        refused(folder / "l.npz", "damaged")
    np.savez(folder / "n.npz", **flat)
    monkeypatch.setattr(flat_arrays, "MAX_ARRAY_BYTES", 100)
    refused(folder / "n.npz", "plain numbers", "at most")


def test_robomimic_says_what_it_lacks(flat, folder):
    several = robomimic_file(folder / "a.hdf5", flat, **{"obs/eef_pos": np.zeros((12, 3))})
    refused(several, "robomimic", "several arrays", "'eef_pos', 'flat'", "obs/flat")
    with h5py.File(robomimic_file(folder / "b.hdf5", flat), "a") as file:
        del file["data/demo_1/rewards"]
    refused(folder / "b.hdf5", "`rewards` of demo_1 is missing")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"action": None}, ["without `action`", "`observation.state`", "next.reward"]),
        ({"observation.state": None, "action": None}, ["`observation.state` and `action`"]),
        ({"next.reward": ["x"] * 36}, ["`next.reward` must hold numbers"]),
        ({"next.reward": [None] + [0.5] * 35}, ["lacks a value in 1 row(s)"]),
        ({"action": [np.zeros(1)] * 35 + [np.zeros(2)]}, ["lists of one length", "[1, 2]"]),
    ],
)
def test_tables_that_are_not_whole(flat, folder, columns, words):
    lerobot(flat, **columns).to_parquet(folder / "a.parquet")
    refused(folder / "a.parquet", *words)


def test_damaged_tables_and_folders(flat, folder):
    lerobot(flat).to_parquet(folder / "a.parquet")
    raw = (folder / "a.parquet").read_bytes()
    for cut_at in (4, 100, len(raw) - 5):
        (folder / "a.parquet").write_bytes(raw[:cut_at])
        refused(folder / "a.parquet", "damaged")
    (folder / "meta").mkdir()
    (folder / "meta" / "info.json").write_text(json.dumps({}))
    refused(folder, "no table below `data/`")


def test_a_file_that_another_program_writes_is_not_damaged(flat, folder):
    path = d4rl_file(folder / "a.hdf5", flat)
    with h5py.File(path, "a"):
        refused(path, "another program has it open")
    assert receive(path).accepted


def test_text_attributes_may_be_bytes(toy, demos, folder):
    from workbench.exchange.minari_format import save_minari

    there = save_minari(folder / "theirs-v0", record(toy.task(5), 2))
    with h5py.File(there / "data" / "main_data.hdf5", "a") as file:
        for name in file:
            file[name].attrs["workbench/family"] = np.bytes_(b"toy")
    assert [s.fit.task for s in receive(there).sets] == [toy.task(5)]
