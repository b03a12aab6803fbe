"""A file that a user brings: accepted, doubted or refused, each for a reason of its own."""

import dataclasses
import json
import os
import pickle
import random
import shutil
import stat
import struct
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.conftest import record
from tests.exchange.test_minari_format import foreign, shortened, the_same
from workbench.commands import data
from workbench.data import own_sets
from workbench.data.trajectory_files import load_trajectories, save_trajectories
from workbench.exchange import file_formats, raw_episodes, received
from workbench.exchange.minari_format import load_minari, save_minari
from workbench.exchange.pickle_reader import RefusedFile
from workbench.exchange.received import examine, receive, save
from workbench.shipped import assets
from workbench.tasks import FAMILIES, find
from workbench.tuning.loop import run
from workbench.tuning.prompt_kinds import cells, compare_prompts
from workbench.tuning.spec import RunSpec


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where files are made and kept; other folders must stay as they are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "data" / "own")
    return tmp_path


@pytest.fixture
def minari_folder(demos, folder):
    return save_minari(folder / "theirs-v0", demos)


@pytest.fixture
def hdf5_file(minari_folder):
    return minari_folder / "data" / "main_data.hdf5"


def as_pickle(path, trajectories, **changes):
    rows = [
        {c: getattr(t, c) for c in ("observations", "actions", "rewards")} for t in trajectories
    ]
    for row in rows:
        row.update({name: change(row[name]) for name, change in changes.items()})
    path.write_bytes(pickle.dumps(rows, 4))
    return path


def zipped(folder, to):
    return Path(shutil.make_archive(str(to.with_suffix("")), "zip", folder))


def refused(path, *words):
    """Check that a file is refused in these words, by the report and by the exception."""
    report = examine(path)
    assert not report.accepted
    assert report.sets == ()
    message = " ".join(report.errors)
    assert all(word in message for word in words), message
    assert len(message) < 1500
    assert "\n" not in message
    with pytest.raises(RefusedFile) as caught:
        receive(path)
    assert message in str(caught.value)
    with pytest.raises(RefusedFile, match="not kept"):
        save(report, "kept")
    assert not own_sets.FOLDER.exists()
    return message


# --- accepted -----------------------------------------------------------------------------


def forms(demos, folder):
    """Write the same demonstrations in every form; file by form."""
    save_trajectories(folder / "ours.safetensors", demos)
    there = save_minari(folder / "theirs-v0", demos)
    return {
        "our safetensors": folder / "ours.safetensors",
        "published pickle": as_pickle(folder / "toy-5-prompt-expert.pkl", demos),
        "Minari data set": there,
        "Minari's HDF5 file": there / "data" / "main_data.hdf5",
        "Minari data set, zipped": zipped(there, folder / "a.zip"),
    }


def test_every_form_is_told_by_its_bytes_and_holds_the_same(toy, demos, folder):
    for form, path in forms(demos, folder).items():
        report = receive(path)
        assert report.form == form
        assert [s.fit.task for s in report.sets] == [toy.task(5)]
        assert report.sets[0].fit.reward_error < 1e-6
        assert report.sets[0].fit.state_error < 1e-6
        if "pickle" not in form:
            the_same(report.trajectories, demos)
    bare = shutil.copy(folder / "theirs-v0" / "data" / "main_data.hdf5", folder / "no-suffix")
    assert examine(bare).accepted
    data_alone = zipped(folder / "theirs-v0" / "data", folder / "b.zip")
    the_same(receive(data_alone).trajectories, demos)


def test_a_report_says_what_a_reader_asks(shipped, toy, demos, folder):
    report = receive(as_pickle(folder / "a.pkl", demos))
    assert report.lengths == (12, 12, 12)
    assert report.columns == (3, 1)
    assert report.families == ("toy",)
    assert [f.task.index for f in report.nearest][:2] == [5, 4]
    assert report.nearest[1].reward_error == pytest.approx(0.25, abs=0.05)
    (row,) = report.plain()["sets"]
    returns = [t.episode_return for t in demos]
    for name, f in (("mean", np.mean), ("min", min), ("max", max)):
        assert row[f"return_{name}"] == pytest.approx(f(returns), abs=1e-3)
    assert row["return_sd"] == pytest.approx(np.std(returns, ddof=1), abs=1e-3)
    assert row["episodes"] == 3
    speed = report.ranges[0]
    assert speed.variable == "speed [m/s]"
    values = np.concatenate([t.observations[:, 0] for t in demos])
    assert (speed.low, speed.high) == pytest.approx((values.min(), values.max()))
    normalizer = received.load_model("toy").normalizer
    z = np.abs(values - float(normalizer.mean[0])) / float(normalizer.scale[0])
    assert speed.deviation == pytest.approx(z.max(), rel=1e-5)
    assert json.loads(json.dumps(report.plain(), allow_nan=False)) == report.plain()


def test_several_tasks_in_one_file_are_told_apart(toy, folder):
    items = [*record(toy.task(5), 2), *record(toy.task(2), 3)]
    report = receive(save_minari(folder / "both-v0", items))
    assert [(s.fit.task.index, len(s.trajectories)) for s in report.sets] == [(2, 3), (5, 2)]
    save(report, "both")
    assert own_sets.qualities(toy.task(2)) == own_sets.qualities(toy.task(5)) == ["own:both"]
    the_same(assets.demos(toy.task(2), "own:both"), items[2:])


def test_a_foreign_minari_data_set(toy, demos, folder):
    report = receive(foreign(folder, demos))
    assert [s.fit.task for s in report.sets] == [toy.task(5)]
    assert report.trajectories[0].rewards.dtype == np.float32


def test_large_files_are_judged_by_a_sample(toy, demos, monkeypatch):
    monkeypatch.setattr(received, "MAX_REPLAYED", 20)
    sample = received._sample([{"rewards": t.rewards} for t in demos] * 10)
    assert sum(len(e["rewards"]) for e in sample) <= 20
    assert len(sample) > 1


FAR = np.array([0, 900, 0], np.float32)


# --- accepted with a warning --------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: [shortened(x, 7) for x in t], ["Shorter than the 12 steps", "3 of 3", "7"]),
        (lambda t: [*t, t[0]], ["1 of 4 episodes are copies"]),
        (
            lambda t: record(FAMILIES["toy"].task(3), 3),
            ["toy 3 (", ") is a training task", "toy 2 (", "toy 5 ("],
        ),
        (
            lambda t: [dataclasses.replace(x, observations=x.observations + FAR) for x in t],
            ["position [m]", "standard deviations", "never saw"],
        ),
    ],
)
def test_what_is_odd_is_a_warning(shipped, demos, folder, change, words):
    report = receive(as_pickle(folder / "a.pkl", change(demos)))
    text = " ".join(report.warnings)
    assert all(word in text for word in words), text


def test_good_data_raise_no_warning(shipped, demos, folder):
    assert receive(as_pickle(folder / "a.pkl", demos)).warnings == ()


def test_no_model_is_said(demos, folder):
    (warning,) = receive(as_pickle(folder / "a.pkl", demos)).warnings
    assert "No pretrained model of toy" in warning


def test_a_named_task_is_taken_and_its_wrong_rewards_are_said(shipped, demos, folder):
    path = as_pickle(folder / "a.pkl", demos, rewards=lambda r: r + 2)
    refused(path, "fit no task")
    report = examine(path, "toy", 2)
    assert report.accepted
    assert "not those of toy 2" in " ".join(report.warnings)
    for wrong in (("toi", None), ("toy", 99)):
        with pytest.raises(ValueError, match=r"Did you mean|`index`"):
            examine(path, *wrong)


def test_another_simulator_is_said(shipped, toy, demos, folder):
    noise = np.random.default_rng(0).normal(0, 0.05, (12, 3)).astype(np.float32)
    path = as_pickle(folder / "a.pkl", demos, observations=lambda x: x + noise)
    report = examine(path, "toy", 5)
    assert report.sets[0].fit.state_error > 0.01
    assert any("another simulator" in warning for warning in report.warnings)


# --- a family whose observations leave out part of the state ------------------------------


@pytest.fixture
def hidden(toy, monkeypatch):
    family = dataclasses.replace(toy, name="toy", state_of=None)
    monkeypatch.setitem(FAMILIES, "toy", family)
    return family


def test_without_a_state_the_task_must_be_named(hidden, demos, folder):
    path = as_pickle(folder / "a.pkl", demos)
    refused(path, "cannot be replayed", "Name family and task")
    report = examine(path, "toy", 5)
    assert report.accepted
    assert np.isnan(report.sets[0].fit.reward_error)
    assert report.plain()["sets"][0]["reward_error_median"] is None
    assert "were not replayed" in " ".join(report.warnings)
    assert examine(as_pickle(folder / "toy-2-expert.pkl", demos)).sets[0].fit.task.index == 2


def test_recorded_states_serve_where_observations_do_not(hidden, demos, folder):
    report = receive(save_minari(folder / "theirs-v0", demos))
    assert report.sets[0].fit.reward_error < 1e-6
    assert report.nearest[0].task.index == 5


def test_states_of_another_width_are_refused(hidden, demos, folder):
    wide = [dataclasses.replace(t, states=np.zeros((12, 9), np.float32)) for t in demos]
    save_trajectories(folder / "a.safetensors", wide)
    refused(folder / "a.safetensors", "`states`", "got 9", "toy 2")


# --- refused: what it holds ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rewards": lambda x: x * np.nan}, ["`rewards`", "finite", "nan", "36 such rows"]),
        ({"observations": lambda x: x + np.inf}, ["`observations`", "inf"]),
        ({"actions": lambda x: x * 5}, ["`actions`", "scale them"]),
        ({"observations": lambda x: x[:, :2]}, ["columns", "(2, 1)", "toy (3, 1)"]),
        ({"actions": lambda x: x[:-1]}, ["`actions`", "one row per reward"]),
        ({"rewards": lambda x: x[:, None, None]}, ["`rewards`", "1 dimension"]),
        ({"rewards": lambda x: x + 3}, ["fit no task", "Nearest"]),
        ({"rewards": lambda x: x[:0]}, ["1 or more"]),
    ],
)
def test_values_that_cannot_be_used(toy, demos, folder, changes, words):
    refused(as_pickle(folder / "a.pkl", demos, **changes), *words)


def test_all_that_is_wrong_is_said_at_once(toy, demos, folder):
    path = as_pickle(
        folder / "a.pkl",
        demos,
        rewards=lambda x: x * np.nan,
        actions=lambda x: x - 7,
        observations=lambda x: x.repeat(2, 1),
    )
    assert len(examine(path).errors) == 3
    refused(path, "`rewards`", "`actions`", "columns")


def test_episodes_that_are_too_long_or_too_short(shipped, toy, demos, folder):
    long = [
        dataclasses.replace(
            t, **{c: np.concatenate([getattr(t, c)] * 2) for c in ("observations", "actions")},
            rewards=np.concatenate([t.rewards] * 2), states=None,
        )
        for t in demos
    ]  # fmt: skip
    refused(as_pickle(folder / "a.pkl", long), "at most 12 steps: got 24")
    short = [demos[0], shortened(demos[1], 2)]
    report = receive(as_pickle(folder / "b.pkl", short))
    assert [len(t) for t in report.trajectories] == [12]
    assert "Left out, 1 of 2 episodes" in report.warnings[0]
    assert "takes 3 rows, the shortest has 2" in report.warnings[0]
    refused(as_pickle(folder / "c.pkl", short[1:]), "prompt takes 3 rows", "has 2")


def test_a_name_or_header_that_lies_about_the_task(toy, demos, folder):
    refused(as_pickle(folder / "toy-2-expert.pkl", demos), "its name says toy 2", "toy 5")
    lying = [dataclasses.replace(t, task=toy.task(1)) for t in demos]
    save_trajectories(folder / "a.safetensors", lying)
    refused(folder / "a.safetensors", "its header says toy 1")
    refused(save_minari(folder / "a-v0", lying), "its metadata says toy 1")


# --- refused: damaged, huge, of no known form ---------------------------------------------


def test_files_of_no_known_form(folder):
    for name, content, word in [
        ("empty.bin", b"", "empty"),
        ("empty.safetensors", b"", "empty"),
        ("empty.pkl", b"", "empty"),
        ("text.csv", b"observations,actions\n1,2\n", "no known form"),
        ("image.png", b"\x89PNG\r\n\x1a\n" + b"0" * 50, "no known form"),
        ("old.pkl", pickle.dumps([1], 0), "no pickle"),
        ("npz.npz", None, "a NumPy archive (.npz), holds flat arrays without `observations`"),
    ]:
        if content is None:
            np.savez(folder / name, a=np.ones(3))
        else:
            (folder / name).write_bytes(content)
        refused(folder / name, word)
    refused(folder / "absent", "no such file")
    refused(folder, "no Minari data set")


def test_a_file_of_another_family_than_was_named_says_whose_it_is(toy, demos, folder):
    with pytest.raises(RefusedFile) as caught:
        receive(as_pickle(folder / "a.pkl", demos), "cheetah-vel", 2)
    assert f"must have the columns of cheetah-vel, {sizes('cheetah-vel')}" in str(caught.value)
    assert f"got {sizes(toy.name)}, which are those of {toy.name}" in str(caught.value)
    assert "Name a task of that family instead, or none." in str(caught.value)


def sizes(name):
    return len(find(name).observations), len(find(name).actions)


def test_a_file_over_the_cap(demos, folder, monkeypatch):
    path = as_pickle(folder / "a.pkl", demos)
    monkeypatch.setattr(file_formats, "MAX_FILE_BYTES", 500)
    refused(path, "larger than", "Split it")
    monkeypatch.undo()
    monkeypatch.setattr(raw_episodes, "MAX_TRANSITIONS", 20)
    refused(as_pickle(folder / "b.pkl", demos), "more than 20 transitions")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files(toy, demos, folder, share):
    for form, path in forms(demos, folder).items():
        if path != folder / "theirs-v0":
            raw = path.read_bytes()
            cut = folder / f"cut{path.suffix}"
            cut.write_bytes(raw[: int(len(raw) * share)])
            assert refused(cut), form


def test_mutated_files_are_read_or_refused(toy, demos, folder, monkeypatch, capfd):
    """No traceback, whatever the byte. HDF5 starts a process each time, so fewer of those."""
    draw, outcomes = random.Random(0), set()
    for form, path in forms(demos, folder).items():
        if path == folder / "theirs-v0":
            continue
        raw = path.read_bytes()
        for _ in range(60 if form in ("our safetensors", "published pickle") else 2):
            mutated = bytearray(raw)
            for _ in range(draw.choice([1, 2, 8])):
                mutated[draw.randrange(min(len(raw), 3000))] = draw.randrange(256)
            target = folder / "mutated"
            target.write_bytes(mutated)
            outcomes.add(examine(target, name=path.name).accepted)
    assert outcomes == {True, False}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"lengths": [12, 12]}, "disagree"),
        ({"lengths": [36, -1, 1]}, "disagree"),
        ({"lengths": ["a"]}, "disagree"),
        ({"lengths": 36}, "disagree"),
        ({"lengths": [True] * 36}, "disagree"),
        ({"family": "nothing"}, "none of ours"),
        ({"family": ["toy"]}, "none of ours"),
        ({"task": "5"}, "none of ours"),
        ({"task": 2.5}, "none of ours"),
        ({"task": 99}, "none of ours"),
        ({"format": 3}, "format 1"),
    ],
    ids=str,
)
def test_safetensors_whose_header_lies(toy, demos, folder, header, words):
    columns = {c: np.concatenate([getattr(t, c) for t in demos])
               for c in ("observations", "actions", "rewards", "states")}  # fmt: skip
    whole = {"format": 1, "family": "toy", "task": 5, "lengths": [12, 12, 12]} | header
    save_file(columns, folder / "a.safetensors", {"workbench": json.dumps(whole)})
    message = refused(folder / "a.safetensors", words)
    assert str(folder) not in message


def test_safetensors_that_declare_what_is_not_there(folder):
    for size, header in [
        (2**60, b"{}"),
        (2**31, b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
        (None, b'{"rewards":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
        (None, b'{"rewards":{"dtype":"F32","shape":[3],"data_offsets":[-12,0]}}'),
        (None, b'{"rewards":{"dtype":"O8","shape":[1],"data_offsets":[0,8]}}' + b" " * 8),
        (None, b"{" * 5000),
    ]:
        path = folder / "a.safetensors"
        path.write_bytes(struct.pack("<Q", size or len(header)) + header + b"\0" * 8)
        refused(path, "cannot be read")


# --- refused: what wants to run, to reach out, to fill the disk ---------------------------


def test_a_pickle_that_calls_a_function(folder):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {folder / 'ran'}",)

    for number, content in enumerate(([{"observations": Call()}], Call())):
        path = folder / f"a{number}.pkl"
        path.write_bytes(pickle.dumps(content))
        refused(path, f"{os.name}.system", "Nothing in the file was run")
        named = shutil.copy(path, folder / "dressed.safetensors")
        refused(named, f"{os.name}.system")
    assert not (folder / "ran").exists()


def archive(path, *members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "a/../../outside.txt", "/tmp/outside.txt", "..\\outside.txt", "C:\\x.txt"],
)
def test_zip_slip(folder, hdf5_file, name):
    path = archive(
        folder / "a.zip", ("main_data.hdf5", hdf5_file.read_bytes()), (name, b"overwritten")
    )
    before = sorted(os.listdir(folder.parent))
    refused(path, "a place outside itself", "Nothing was unpacked")
    assert sorted(os.listdir(folder.parent)) == before
    assert not os.path.exists("/tmp/outside.txt")
    inside = name.rsplit("/", 1)[0] + "/main_data.hdf5" if "/" in name else "../main_data.hdf5"
    refused(archive(folder / "b.zip", (inside, hdf5_file.read_bytes())), "outside itself")


def test_zip_bombs(folder, hdf5_file, monkeypatch):
    monkeypatch.setattr(file_formats, "MAX_UNZIPPED_BYTES", 1 << 20)
    bomb = folder / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("main_data.hdf5", b"\0" * (3 << 20))
    assert bomb.stat().st_size < 10_000
    refused(bomb, "would unpack to 3 MiB", "Nothing was unpacked")
    # a member beside it counts, and a directory that lies is found out by what comes out
    archive(folder / "beside.zip", ("main_data.hdf5", b"x"), ("z", b"\0" * (2 << 20)))
    refused(folder / "beside.zip", "would unpack")
    raw = bomb.read_bytes()
    bomb.write_bytes(raw.replace(struct.pack("<I", 3 << 20), struct.pack("<I", 1000)))
    refused(bomb, "damaged")
    monkeypatch.setattr(file_formats, "MAX_MEMBERS", 5)
    many = archive(folder / "many.zip", *((f"f{i}", b"") for i in range(9)))
    refused(many, "more than 5 files")


def test_archives_that_hold_something_else(folder, hdf5_file):
    raw = hdf5_file.read_bytes()
    refused(archive(folder / "none.zip", ("readme.txt", b"hello")), "holds 0")
    refused(archive(folder / "two.zip", ("a/main_data.hdf5", raw), ("b/main_data.hdf5", raw)),
            "holds 2")  # fmt: skip
    link = zipfile.ZipInfo("main_data.hdf5")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(archive(folder / "link.zip", (link, "/etc/passwd")), "holds a link")
    plain = archive(folder / "secret.zip", ("main_data.hdf5", raw)).read_bytes()
    locked = bytearray(plain)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[plain.index(magic) + at] |= 1
    (folder / "secret.zip").write_bytes(locked)
    refused(folder / "secret.zip", "encrypted")
    with zipfile.ZipFile(folder / "lzma.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("main_data.hdf5", raw)
    refused(folder / "lzma.zip", "unusual way")


def linked(file, secret):
    del file["episode_1/observations"]
    file["episode_1/observations"] = h5py.ExternalLink(str(secret), "/private")


def soft(file, secret):
    del file["episode_1/observations"]
    file["episode_1/observations"] = h5py.SoftLink("/episode_0/observations")


def group_linked(file, secret):
    del file["episode_1"]
    file["episode_1"] = h5py.ExternalLink(str(secret), "/")


def virtual(file, secret):
    del file["episode_1/observations"]
    layout = h5py.VirtualLayout((13, 3), "f4")
    layout[:] = h5py.VirtualSource(str(secret), "private", (13, 3))
    file.create_virtual_dataset("episode_1/observations", layout)


def stored_elsewhere(file, secret):
    del file["episode_1/observations"]
    file.create_dataset("episode_1/observations", (13, 3), "f4", external=[(str(secret), 0, 156)])


def huge(file, secret):
    del file["episode_1/observations"]
    file.create_dataset("episode_1/observations", (2**40, 3), "f4", chunks=(1024, 3))


def words(file, secret):
    del file["episode_1/rewards"]
    file["episode_1"].create_dataset("rewards", data=["a"] * 12)


def compound(file, secret):
    del file["episode_1/rewards"]
    file["episode_1"].create_dataset("rewards", data=np.zeros(12, "f4,i2"))


def grouped(file, secret):
    del file["episode_1/observations"]
    file["episode_1"].create_group("observations")["x"] = np.zeros((13, 3))


def missing(file, secret):
    del file["episode_1/actions"]


def nothing(file, secret):
    for name in list(file):
        del file[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (linked, "an external link to"),
        (soft, "a soft link"),
        (group_linked, "an external link to"),
        (virtual, "virtual data set"),
        (stored_elsewhere, "stored in another file"),
        (huge, "too large"),
        (words, "plain numbers"),
        (compound, "plain numbers"),
        (grouped, "a group (a Dict"),
        (missing, "is missing"),
        (nothing, "no `episode_0`"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hdf5_that_reaches_out_or_is_of_another_form(folder, hdf5_file, change, message):
    secret = folder / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["private"] = np.full((13, 3), 4242.0, "f4")
    with h5py.File(hdf5_file, "a") as file:
        change(file, secret)
    assert "4242" not in refused(hdf5_file, message)


# --- kept, and tuned on -------------------------------------------------------------------

SMALL = {"updates": 2, "eval_every": 2, "episodes": 2, "settings": {"batch_size": 4}}


@pytest.fixture
def kept(shipped, demos, folder):
    save(receive(as_pickle(folder / "a.pkl", demos)), "theirs")
    return "own:theirs"


def test_kept_data_are_what_was_brought(toy, demos, kept):
    path = assets.demos_path(toy.task(5), kept)
    assert path == own_sets.FOLDER / "toy" / "5-theirs.safetensors"
    for a, b in zip(assets.demos(toy.task(5), kept), demos, strict=True):
        assert a.observations.tobytes() == b.observations.tobytes()
        assert a.rewards.tobytes() == b.rewards.tobytes()
    assert own_sets.qualities(toy.task(5)) == [kept]
    assert own_sets.qualities(toy.task(2)) == []
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing half-written"


def test_kept_data_are_tuned_on(toy, demos, kept):
    spec = RunSpec("toy", 5, kept, **SMALL)
    *_, last = run(spec)
    shipped_run = RunSpec("toy", 5, "expert", **SMALL)
    *_, other = run(shipped_run)
    prompts = [s.snapshot.policy.prompt.observations for s in (last, other)]
    assert not torch.equal(*prompts)
    (untuned,) = run(spec.untuned)
    rows = np.concatenate([t.observations for t in demos])
    for row in untuned.snapshot.policy.prompt.observations.reshape(-1, 3).numpy():
        assert (rows == row).all(1).any(), "the untuned prompt is cut from the user's file"
    assert f"--quality {kept}" in spec.command
    assert RunSpec(**{k: v for k, v in spec.canonical.items() if k != "assets"}) is not None


def test_other_data_under_the_same_name_are_another_run(toy, kept, fresh_caches):
    before = RunSpec("toy", 5, kept).id
    own_sets.save("theirs", record(toy.task(5), 3, seed=9), overwrite=True)
    assert RunSpec("toy", 5, kept).id != before


def test_a_name_is_taken_only_once(toy, demos, kept):
    with pytest.raises(ValueError, match=r"own:theirs for toy 5 already.*overwrite"):
        own_sets.save("theirs", demos[:1])
    assert len(assets.demos(toy.task(5), kept)) == 3
    both = [*record(toy.task(2), 1), *demos]
    with pytest.raises(ValueError, match="already"):
        own_sets.save("theirs", both)
    assert own_sets.qualities(toy.task(2)) == [], "all tasks of a file or none"
    own_sets.save("theirs", demos[:1], overwrite=True)
    assert len(assets.demos(toy.task(5), kept)) == 1


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "A", "a b", "-a", "x" * 41, "a.b", "$(x)", "é", "a\n"]
)
def test_a_name_that_cannot_be_a_name(toy, demos, name):
    with pytest.raises(ValueError, match=r"1 to 40 of a to z"):
        own_sets.save(name, demos)
    with pytest.raises(ValueError, match=r"1 to 40 of a to z"):
        RunSpec("toy", 5, f"own:{name}")
    assert not own_sets.FOLDER.exists()


def test_what_was_not_imported_says_how(shipped, toy, kept):
    for task, quality, hint in [
        (5, "own:their", "Did you mean 'theirs'"),
        (2, "own:theirs", "It is of toy 5"),
        (2, "own:other", "There is no set own:other for toy 2. Bring one"),
    ]:
        with pytest.raises(ValueError, match="import FILE --save") as caught:
            next(run(RunSpec("toy", task, quality, **SMALL)))
        assert hint in str(caught.value)
    with pytest.raises(ValueError, match=r"expert, medium, random, own:NAME.*'theirs'"):
        RunSpec("toy", 5, "theirs")


def test_a_file_that_was_renamed_by_hand_is_found_out(toy, kept):
    path = assets.demos_path(toy.task(5), kept)
    path.rename(path.with_name("2-theirs.safetensors"))
    with pytest.raises(ValueError, match="holds toy 5, not toy 2"):
        assets.demos(toy.task(2), kept)


def test_other_files_in_the_folder_are_no_sets(toy, kept):
    for name in ("5-theirs.77.partial", "5-Bad Name.safetensors", "notes.txt", "25-x.safetensors"):
        (own_sets.FOLDER / "toy" / name).write_bytes(b"")
    assert own_sets.qualities(toy.task(5)) == [kept]


def test_their_prompts_beside_ours(toy, kept):
    kinds = ("expert", "own:theirs")
    assert [(t.index, k) for t, k in cells(toy, kinds)] == [
        (2, "expert"), (5, "expert"), (5, "own:theirs"),
    ]  # fmt: skip
    own_sets.save("theirs", record(toy.task(5), 3, seed=9, skill=0), overwrite=True)
    rows = list(compare_prompts(toy, 2, 2, 0, kinds, tasks=(5,)))
    assert [(r["task"], r["prompt"]) for r in rows] == [(5, "expert"), (5, "own:theirs")]
    assert rows[0]["return_mean"] != rows[1]["return_mean"]
    for kinds, tasks, message in [
        (("own:nothing",), (), "import FILE"),
        (("own:theirs",), (2,), "It is of toy 5"),
        (("experts",), (), "`kinds`"),
        (("expert",), (0,), "`tasks`"),
    ]:
        with pytest.raises(ValueError, match=message):
            cells(toy, kinds, tasks)


# --- the command line ---------------------------------------------------------------------


def test_import_keeps_and_says_how_to_go_on(shipped, toy, demos, folder, capsys):
    path = as_pickle(folder / "a.pkl", demos)
    data.import_((path,), save="theirs", as_json=True)
    out, err = capsys.readouterr()
    (row,) = json.loads(out)
    assert (row["family"], row["task"], row["episodes"]) == ("toy", 5, 3)
    assert load_trajectories(own_sets.FOLDER.parents[1] / row["saved"])[0].task == toy.task(5)
    assert "python -m workbench tune toy 5 --quality own:theirs" in err
    (folder / "bad.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(SystemExit) as end:
        data.import_((folder / "bad.pkl", path, path), save="theirs", overwrite=True, as_json=True)
    out, err = capsys.readouterr()
    assert end.value.code == 2
    assert len(json.loads(out)) == 1
    assert "refused: " in err
    assert "bad.pkl" in err
    assert "already" in err, "two files of one command do not replace each other"
    with pytest.raises(ValueError, match="1 to 40"):
        data.import_((path,), save="No Name")


def test_import_reports_in_words_and_in_json(shipped, demos, folder, capsys):
    path = as_pickle(folder / "a.pkl", [*demos, demos[0]])
    data.import_((path,), report=True)
    out, err = capsys.readouterr()
    for word in ("accepted, with 1 warning", "returns", "fits", "copies", "speed [m/s]", " sd"):
        assert word in out
    assert "warning: " in err
    bad = as_pickle(folder / "b.pkl", demos, rewards=lambda x: x * np.nan)
    with pytest.raises(SystemExit):
        data.import_((path, bad), report=True, as_json=True)
    reports = json.loads(capsys.readouterr().out)
    assert [r["accepted"] for r in reports] == [True, False]
    assert "finite" in reports[1]["errors"][0]


def test_export_writes_what_import_reads(shipped, toy, demos, kept, folder, capsys):
    data.export("toy", (5,), "medium", as_json=True)
    result = json.loads(capsys.readouterr().out)
    assert (result["name"], result["tasks"]) == ("toy-5-medium-v0", [5])
    the_same(load_minari(folder / result["folder"]), assets.demos(toy.task(5), "medium"))
    data.export("toy", as_json=True)
    assert json.loads(capsys.readouterr().out)["tasks"] == [2, 5]
    data.export("toy", (5,), kept, out=folder / "own-v2")
    data.export(files=(assets.demos_path(toy.task(5), kept),), out=folder / "file-v0")
    the_same(load_minari(folder / "own-v2"), load_minari(folder / "file-v0"))
    for words in ({}, {"family": "toy", "files": (folder / "x",)}):
        with pytest.raises(ValueError, match="one of the two"):
            data.export(**words)


def test_no_module_of_ours_unpickles():
    """The report of a hostile file may not depend on where it was caught."""
    for module in (file_formats, received, own_sets, raw_episodes):
        assert not {"pickle", "torch"} & set(vars(module)), module
    assert "dill" not in sys.modules
