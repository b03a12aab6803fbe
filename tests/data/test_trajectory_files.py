"""Trajectories on disk."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.conftest import record
from workbench.data.trajectory import Trajectory
from workbench.data.trajectory_files import header_of, load_trajectories, save_trajectories

COLUMNS = ("observations", "actions", "rewards", "states")


def shortened(trajectory, n):
    return dataclasses.replace(trajectory, **{c: getattr(trajectory, c)[:n] for c in COLUMNS})


@pytest.fixture
def file(demos, tmp_path):
    path = tmp_path / "below" / "demos.safetensors"
    save_trajectories(path, demos)
    return path


def test_trajectories_come_back_bit_for_bit(toy, tmp_path):
    """Of different lengths, in order, with their task."""
    items = [shortened(t, n) for t, n in zip(record(toy.task(2), 3), (12, 5, 9), strict=True)]
    save_trajectories(tmp_path / "t.safetensors", items)
    again = load_trajectories(tmp_path / "t.safetensors")
    assert [len(t) for t in again] == [12, 5, 9]
    for a, b in zip(items, again, strict=True):
        assert b.task == a.task
        for column in COLUMNS:
            assert getattr(b, column).dtype == np.float32
            np.testing.assert_array_equal(getattr(b, column), getattr(a, column))


def test_missing_states_stay_missing(demos, tmp_path):
    blind = [dataclasses.replace(demos[0], states=None), demos[1]]
    save_trajectories(tmp_path / "t.safetensors", blind)
    again = load_trajectories(tmp_path / "t.safetensors")
    assert [t.states for t in again] == [None, None]
    np.testing.assert_array_equal(again[1].rewards, demos[1].rewards)


def test_what_made_a_file_is_in_its_header(demos, tmp_path):
    save_trajectories(tmp_path / "t.safetensors", demos, quality="medium")
    with safe_open(tmp_path / "t.safetensors", "np") as opened:
        assert '"quality": "medium"' in opened.metadata()["workbench"]


def test_no_half_written_file_is_left(file):
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_trajectories_of_two_tasks_are_refused(toy, tmp_path):
    mixed = [*record(toy.task(2), 1), *record(toy.task(5), 1)]
    with pytest.raises(ValueError, match="one task"):
        save_trajectories(tmp_path / "t.safetensors", mixed)
    assert not list(tmp_path.iterdir())


def other(tensors, metadata):
    return lambda path: save_file(tensors, path, metadata)


ROWS = np.zeros((3, 1), np.float32)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "There is no trajectory file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_text("observations, actions"), "cannot be read"),
        (other({"observations": ROWS}, {"workbench": "{"}), "cannot be read"),
        (other({"observations": ROWS}, {"workbench": '{"format": 1}'}), "does not hold"),
        (other({"weights": ROWS}, {"workbench": '{"config": {}}'}), "does not hold"),
        (other({"weights": ROWS}, None), "does not hold"),
    ],
    ids=["missing", "truncated", "empty", "text", "header", "columns", "checkpoint", "foreign"],
)
def test_a_damaged_file_is_a_clear_error(file, damage, words):
    damage(file)
    with pytest.raises(ValueError, match=rf"(?s){words}") as caught:
        load_trajectories(file)
    assert file.name in str(caught.value)


def test_a_header_that_lies_about_lengths_is_a_clear_error(file, demos):
    columns = {c: np.concatenate([getattr(t, c) for t in demos]) for c in COLUMNS}
    for lengths in ("[12, 12]", "[12, 12, 99]", "[50, -2, 1]"):
        header = f'{{"format": 1, "family": "toy", "task": 5, "lengths": {lengths}}}'
        save_file(columns, file, {"workbench": header})
        with pytest.raises(ValueError, match=file.name):
            load_trajectories(file)


def repeated(toy, value=1.0):
    """One trajectory whose observations compress well and whose actions do not."""
    (one,) = record(toy.task(5), 1)
    long = {c: np.tile(getattr(one, c), (60, 1)) for c in ("actions", "states")}
    noise = np.random.default_rng(0).normal(size=long["actions"].shape).astype(np.float32)
    observations = np.full((len(noise), 3), value, np.float32)
    observations[::7] = -0.0
    return Trajectory(observations, noise, noise[:, 0], long["states"], task=toy.task(5))


def test_what_repeats_is_kept_in_fewer_bytes_and_read_back_exactly(toy, tmp_path):
    path, before = tmp_path / "few.safetensors", repeated(toy)
    save_trajectories(path, [before])
    header = header_of(path)
    assert header["format"] == 2
    assert "observations" in header["shapes"]
    assert "actions" not in header["shapes"]
    (after,) = load_trajectories(path)
    for name in ("observations", "actions", "rewards", "states"):
        assert getattr(after, name).tobytes() == getattr(before, name).tobytes(), name
    after.observations[0] = 5.0  # read arrays can be written to, as others can


@pytest.mark.parametrize(
    "shape",
    [[1, 3], [720, 4], [720, 3, 1], [720], [-720, 3], [0, 3], "720", [7e2, 3], [10**9, 10**9], []],
    ids=str,
)
def test_a_compressed_column_of_another_size_is_refused(toy, tmp_path, shape):
    """Whatever the header says, no more is decompressed than that, and never beyond a limit."""
    path = tmp_path / "few.safetensors"
    save_trajectories(path, [repeated(toy)])
    with safe_open(path, "np") as file:
        header = json.loads(file.metadata()["workbench"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert header["shapes"]["observations"] == [720, 3]
    header["shapes"]["observations"] = shape
    save_file(tensors, path, {"workbench": json.dumps(header)})
    with pytest.raises(ValueError, match=r"observations|disagree|damaged|read"):
        load_trajectories(path)


def test_damaged_compressed_bytes_are_refused(toy, tmp_path):
    path = tmp_path / "few.safetensors"
    save_trajectories(path, [repeated(toy)])
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
    tensors["observations"][3:9] ^= 255
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="cannot be read"):
        load_trajectories(path)
