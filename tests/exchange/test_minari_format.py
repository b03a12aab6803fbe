"""Minari data sets: out and back bit for bit, opened by plain Minari, others' read safely."""

import dataclasses
import json
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from minari.data_collector.episode_buffer import EpisodeBuffer

from tests.conftest import record
from workbench.exchange import hdf5_reader, minari_format, separate_process
from workbench.exchange.minari_format import load_minari, read_minari, save_minari
from workbench.exchange.pickle_reader import RefusedFile

COLUMNS = ("observations", "actions", "rewards", "states")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A home folder that must stay as it is."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    yield folder
    assert not list(folder.iterdir()), "nothing may be written to ~/.minari"


def shortened(trajectory, n):
    cut = {c: x if (x := getattr(trajectory, c)) is None else x[:n] for c in COLUMNS}
    return dataclasses.replace(trajectory, **cut)


def the_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.task == y.task
        for column in COLUMNS:
            u, v = getattr(x, column), getattr(y, column)
            assert (u is None) == (v is None)
            if u is not None:
                assert (u.dtype, u.shape) == (v.dtype, v.shape)
                assert u.tobytes() == v.tobytes(), column


# --- ours, out and back -------------------------------------------------------------------


def test_a_round_trip_keeps_every_bit(toy, tmp_path):
    """Several tasks and lengths, in order; -0.0 and the smallest numbers too."""
    items = [*record(toy.task(2), 2), *record(toy.task(5), 2), *record(toy.task(0), 1)]
    items = [shortened(t, n) for t, n in zip(items, (12, 5, 9, 1, 12), strict=True)]
    items[0].rewards[:3] = (-0.0, 1e-42, np.float32(0.1))
    folder = save_minari(tmp_path / "theirs-v0", items)
    the_same(items, load_minari(folder))
    the_same(items, load_minari(folder / "data"))
    the_same(items, load_minari(folder / "data" / "main_data.hdf5"))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_a_round_trip_keeps_the_types(demos, tmp_path, dtype):
    items = [
        dataclasses.replace(t, **{c: getattr(t, c).astype(dtype) for c in COLUMNS}) for t in demos
    ]
    the_same(items, load_minari(save_minari(tmp_path / "theirs-v0", items)))


def test_missing_states_stay_missing(demos, tmp_path):
    items = [dataclasses.replace(demos[0], states=None), demos[1]]
    the_same(items, load_minari(save_minari(tmp_path / "theirs-v0", items)))


def test_plain_minari_opens_it(toy, tmp_path, monkeypatch):
    items = [*record(toy.task(2), 2), *record(toy.task(5), 1)]
    folder = save_minari(tmp_path / "sets" / "theirs-v3", items, description="three")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder.parent))
    for opened in (minari.MinariDataset(folder / "data"), minari.load_dataset("theirs-v3")):
        assert (opened.total_episodes, opened.total_steps) == (3, 36)
        assert opened.spec.dataset_id == "theirs-v3"
        assert opened.observation_space.shape == (3,)
        assert opened.storage.metadata["description"] == "three"
        for episode, item in zip(opened, items, strict=True):
            assert episode.observations.shape == (13, 3)
            assert episode.infos["state"].shape == (13, 2)
            np.testing.assert_array_equal(episode.observations[:-1], item.observations)
            np.testing.assert_array_equal(episode.actions, item.actions)
            assert episode.truncations.tolist() == [False] * 11 + [True]
            assert not episode.terminations.any()
        (about,) = opened.storage.get_episode_metadata([2])
        assert about["workbench"]["family"] == "toy"
        assert about["workbench"]["task"] == 5
        assert about["workbench"]["goal"] == [1.25]
    assert "theirs-v3" in minari.list_local_datasets()


def test_the_last_observation_is_what_the_simulator_shows_next(toy, tmp_path):
    (whole,) = record(toy.task(5), 1)
    folder = save_minari(tmp_path / "theirs-v0", [shortened(whole, 8)])
    (episode,) = minari.MinariDataset(folder / "data")
    np.testing.assert_allclose(episode.observations[8], whole.observations[8], atol=1e-6)
    np.testing.assert_allclose(episode.infos["state"][8], whole.states[8], atol=1e-6)
    (about,) = minari.MinariDataset(folder / "data").storage.get_episode_metadata([0])
    assert about["workbench"]["last_observation"] == "replayed"


def test_without_states_the_last_observation_is_repeated_and_says_so(demos, tmp_path):
    blind = dataclasses.replace(demos[0], states=None)
    opened = minari.MinariDataset(save_minari(tmp_path / "theirs-v0", [blind]) / "data")
    np.testing.assert_array_equal(opened[0].observations[-1], blind.observations[-1])
    (about,) = opened.storage.get_episode_metadata([0])
    assert about["workbench"]["last_observation"] == "repeated"


def test_an_episode_that_ended_early_is_terminated(fenced, tmp_path):
    (whole,) = record(fenced.task(5), 1, seed=3)
    out = int(np.flatnonzero(np.abs(whole.states[:, 0]) > 0.8)[0])
    folder = save_minari(tmp_path / "theirs-v0", [shortened(whole, out)])
    (episode,) = minari.MinariDataset(folder / "data")
    assert episode.terminations[-1]
    assert not episode.truncations.any()


def test_a_relative_folder(demos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    the_same(demos, load_minari(save_minari("out/theirs-v0", demos)))


@pytest.mark.parametrize("name", ["theirs", "theirs-0", "a b-v0", "x.y-v0", "-v"])
def test_a_name_that_is_not_minaris_is_refused(demos, tmp_path, name):
    with pytest.raises(ValueError, match="theirs-v0"):
        save_minari(tmp_path / name, demos)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_what_exists_is_not_overwritten(demos, tmp_path):
    folder = save_minari(tmp_path / "theirs-v0", demos)
    with pytest.raises(ValueError, match="exists already"):
        save_minari(folder, demos[:1])
    the_same(demos, load_minari(folder))


def test_one_family_and_at_least_one_trajectory(toy, fenced, tmp_path):
    mixed = [*record(toy.task(2), 1), *record(fenced.task(2), 1)]
    for items, words in ((mixed, "fenced, toy"), ([], "no trajectories")):
        with pytest.raises(ValueError, match=words):
            save_minari(tmp_path / "theirs-v0", items)


def test_a_failure_leaves_nothing_behind(demos, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(minari_format, "_last_row", fail)
    with pytest.raises(OSError, match="full"):
        save_minari(tmp_path / "theirs-v0", demos)
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


# --- others' ------------------------------------------------------------------------------


def foreign(folder, items, **changes):
    """Write trajectories as anybody would, by Minari's own function, without our metadata."""
    n = items[0].observations.shape[1]
    spaces = {"observation_space": Box(-np.inf, np.inf, (n,)), "action_space": Box(-1, 1, (1,))}
    buffers = [
        EpisodeBuffer(
            **{
                "observations": np.concatenate([t.observations, t.observations[-1:]]),
                "actions": t.actions,
                "rewards": t.rewards.astype(float).tolist(),
                "terminations": [False] * len(t),
                "truncations": [False] * len(t),
                "infos": {"mood": np.ones(len(t) + 1)},
            }
            | {name: change(t) for name, change in changes.items()}
        )
        for t in items
    ]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MINARI_DATASETS_PATH", str(folder))
        warnings.simplefilter("ignore")  # Minari misses an author, a link, …
        minari.create_dataset_from_buffers("foreign-v0", buffers, **spaces)
    return folder / "foreign-v0"


def test_a_foreign_data_set_finds_its_task_by_its_rewards(toy, demos, tmp_path):
    folder = foreign(tmp_path, demos)
    assert read_minari(folder).claims == (None,) * 3
    got = load_minari(folder)
    assert {t.task for t in got} == {toy.task(5)}
    for a, b in zip(got, demos, strict=True):
        np.testing.assert_array_equal(a.observations, b.observations)
        np.testing.assert_array_equal(a.rewards, b.rewards)
        np.testing.assert_allclose(a.states, b.states, atol=1e-6)
    assert load_minari(folder, "toy", 2)[0].task == toy.task(2)
    with pytest.raises(ValueError, match="Did you mean"):
        load_minari(folder, "toi")


def test_a_foreign_state_is_not_taken_for_ours(toy, demos, tmp_path):
    folder = foreign(tmp_path, demos, infos=lambda t: {"state": np.full((len(t) + 1, 9), 7.0)})
    assert load_minari(folder)[0].states.shape == (12, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": lambda t: t.observations}, "one observation more"),
        ({"actions": lambda t: t.actions[:-1]}, "one row per reward"),
        ({"rewards": lambda t: (t.rewards * np.nan).tolist()}, "finite"),
        ({"rewards": lambda t: (t.rewards + 3).tolist()}, "fit no task"),
        ({"actions": lambda t: t.actions * 3 + 2}, "scale them"),
    ],
)
def test_foreign_data_that_do_not_fit(toy, demos, tmp_path, changes, words):
    with pytest.raises(RefusedFile, match=words):
        load_minari(foreign(tmp_path, demos, **changes))


def test_minaris_own_reader_runs_what_a_file_names_and_ours_does_not(demos, tmp_path):
    """Why it is not used: without spaces it builds the environment of `metadata.json`."""
    folder, flag = save_minari(tmp_path / "theirs-v0", demos), tmp_path / "ran"
    path = folder / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["observation_space"]
    hostile = EnvSpec("Hostile-v0", entry_point="os:mkdir", kwargs={"path": str(flag)})
    path.write_text(json.dumps(metadata | {"env_spec": hostile.to_json()}))
    the_same(demos, load_minari(folder))
    assert not flag.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011
        minari.MinariDataset(folder / "data")
    assert flag.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("[1]", "damaged"),
        ("[" * 100_000, "damaged"),
        ('{"data_format": "arrow"}', "'arrow'.*hdf5 alone"),
    ],
    ids=["json", "list", "deep", "arrow"],
)
def test_damaged_metadata(demos, tmp_path, text, words):
    folder = save_minari(tmp_path / "theirs-v0", demos)
    (folder / "data" / "metadata.json").write_text(text)
    with pytest.raises(RefusedFile, match=words):
        load_minari(folder)


def test_a_data_set_that_was_cut_short_is_said(demos, tmp_path):
    folder = save_minari(tmp_path / "theirs-v0", demos)
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        del file["episode_2"]
    (warning,) = read_minari(folder).warnings
    assert "3 episode(s)" in warning
    assert "holds 2" in warning


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("family", "no such"),
        ("task", 99),
        ("task", "x"),
        ("goal", [0.3]),
        ("goal", [[1, 2], [3, 4]]),
    ],
)
def test_metadata_of_ours_that_lie(demos, tmp_path, name, value):
    folder = save_minari(tmp_path / "theirs-v0", demos)
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        file["episode_0"].attrs[f"workbench/{name}"] = value
    with pytest.raises(RefusedFile, match="none of this workbench"):
        load_minari(folder)


# --- the process that reads ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "words"),
    [("import os; os.abort()", "broke down"), ("import time; time.sleep(60)", "more than")],
)
def test_a_reader_that_breaks_down_is_words(demos, tmp_path, monkeypatch, program, words):
    folder, script = save_minari(tmp_path / "theirs-v0", demos), tmp_path / "reader.py"
    script.write_text(program)
    monkeypatch.setattr(hdf5_reader, "__file__", str(script))
    monkeypatch.setattr(separate_process, "_SECONDS", 0.5)
    with pytest.raises(RefusedFile, match=words):
        load_minari(folder)


def test_the_reader_may_not_write(tmp_path):
    """In a process of its own, as the limits stay."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(hdf5_reader.__file__).parent)!r})\n"
        "import hdf5_reader; hdf5_reader._limit()\n"
        f"open({str(tmp_path / 'written')!r}, 'wb', 0).write(b'x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert b"OSError: [Errno 27]" in done.stderr  # EFBIG, file too large
    assert not (tmp_path / "written").exists() or (tmp_path / "written").stat().st_size == 0
