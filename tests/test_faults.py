"""Every writer under faults: killed, without power, on a full disk, where it may not write.

`make campaign` runs this with the counts of `docs/trust.md`; a short part runs with the tests. The
store of runs has the same in `tests/runs/test_crash.py`.
"""

import dataclasses
import errno
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.campaign import FULL
from tests.conftest import record
from workbench.data import own_sets
from workbench.data.atomic_files import PARTIAL, write_json
from workbench.exchange.minari_format import load_minari, save_minari
from workbench.networks.prompt_dt import PromptDT
from workbench.pretraining.resumable import Checkpoint, TrainingState
from workbench.runs.library import Library
from workbench.runs.run_table import COLUMNS, load_results, save_results
from workbench.runs.store import RunStore
from workbench.shipped import assets

KILLS = 200 if FULL else 12
"""Of each writer."""


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes its n-th version below a folder; ``read`` returns the version that is there or None.

    ``read`` raises if what is there is none of the versions.
    """

    write: Callable[[Path, int], None]
    read: Callable[[Path], int | None]


def trajectories(version):
    """Episodes whose number says which version they are, 40 episodes of 12 rows."""
    return [
        dataclasses.replace(t, rewards=np.full(len(t), version, np.float32))
        for t in record(TASK[0], 40)
    ]


TASK = []


def version_of(items):
    assert len(items) == 40
    (version,) = {float(r) for t in items for r in t.rewards}
    return int(version)


def write_own(folder, version):
    own_sets.save("theirs", DATA[version], overwrite=True)


def read_own(folder):
    there = own_sets.qualities(TASK[0])
    return version_of(own_sets.load(TASK[0], "theirs")) if there else None


def write_labels(folder, version):
    library = Library(RunStore(folder / "runs"))
    library.rename("a" * 16, f"name {version}")
    library.tag(["a" * 16], [f"tag{version}"])


def read_labels(folder):
    labels = Library(RunStore(folder / "runs")).labels()
    return int(labels["a" * 16].name.split()[1]) if labels else None


def write_export(folder, version):
    save_minari(folder / f"mine-{os.getpid()}-{next(NUMBERS)}-v0", DATA[version])


def read_export(folder):
    """Return the version of the newest export, all of which must be whole, and take them away."""
    version = None
    for path in sorted(folder.glob("mine-*"), key=lambda path: int(path.name.split("-")[2])):
        if not path.name.endswith(PARTIAL):
            version = version_of(load_minari(path))
        shutil.rmtree(path)
    return version


def write_manifest(folder, version):
    write_json(assets.MANIFEST, {f"file{i}": {"sha256": str(version)} for i in range(2000)})


def read_manifest(folder):
    if not assets.MANIFEST.exists():
        return None
    entries = json.loads(assets.MANIFEST.read_text())
    assert len(entries) == 2000
    (version,) = {entry["sha256"] for entry in entries.values()}
    return int(version)


def write_checkpoint(folder, version):
    tensors = {"network.w": torch.full((200, 300), float(version))}
    kept = Checkpoint(folder / "build", MADE_FROM)
    kept._write(TrainingState(version, MADE_FROM, tensors, {}))


def read_checkpoint(folder):
    state = Checkpoint(folder / "build", MADE_FROM).state
    if state is None:
        return None
    assert (state.tensors["network.w"] == state.step).all()
    return state.step


def write_network(folder, version):
    model = MODEL[0]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(version)
    model.save(folder / "net" / "a.safetensors")


def read_network(folder):
    path = folder / "net" / "a.safetensors"
    if not path.exists():
        return None
    (version,) = {float(x) for p in PromptDT.load(path).parameters() for x in p.unique()}
    return int(version)


def write_table(folder, version):
    import pandas as pd

    row = dict.fromkeys(COLUMNS, "x") | {"returns": [float(version)], "seed": version}
    save_results(folder / "results" / "a.parquet", pd.DataFrame([row] * 500))


def read_table(folder):
    path = folder / "results" / "a.parquet"
    if not path.exists():
        return None
    table = load_results(path)
    assert len(table) == 500
    (version,) = set(table["seed"])
    return int(version)


WRITERS = {
    "own sets": Writer(write_own, read_own),
    "names and tags": Writer(write_labels, read_labels),
    "exports": Writer(write_export, read_export),
    "manifest": Writer(write_manifest, read_manifest),
    "training checkpoints": Writer(write_checkpoint, read_checkpoint),
    "networks": Writer(write_network, read_network),
    "tables of runs": Writer(write_table, read_table),
}
NUMBERS = itertools.count()
DATA, MODEL, MADE_FROM = {}, [], {"family": "toy", "seed": 0}


@pytest.fixture(params=WRITERS)
def writer(request, toy, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "own")
    monkeypatch.setattr(assets, "MANIFEST", tmp_path / "assets" / "manifest.json")
    TASK[:], MODEL[:] = [toy.task(5)], [model]
    DATA.update({version: trajectories(version) for version in (1, 2)})
    torch.set_num_threads(1)
    WRITERS[request.param].write(tmp_path, 1)  # whatever is loaded, is loaded before a fork
    return WRITERS[request.param]


def forked(work):
    """Run ``work`` in a child process; return the child."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except OSError as error:
            status = min(error.errno or 1, 100)
        finally:
            os._exit(status)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_killed_writer_leaves_the_old_or_the_new(writer, tmp_path, request, tally):
    began = time.perf_counter()
    for _ in range(3):
        assert ended(forked(lambda: writer.write(tmp_path, 2))) == 0
    usual, draw, seen = (time.perf_counter() - began) / 3, random.Random(7), set()
    for kill in range(KILLS):
        version = 1 + kill % 2
        child = forked(lambda v=version: writer.write(tmp_path, v))
        time.sleep(draw.uniform(0, 1.2 * usual))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        seen.add(writer.read(tmp_path))
    assert seen <= {None, 1, 2}
    writer.write(tmp_path, 1)
    assert writer.read(tmp_path) == 1, "and it goes on"
    tally(f"kills of {request.node.callspec.params['writer']}", KILLS)


def test_a_power_cut_finds_the_content_before_the_name(writer, tmp_path, monkeypatch, tally):
    """Every rename: the content is on the disk before it, and the new name after it."""
    order, fsync = [], os.fsync

    def synchronised(file):
        order.append(("on the disk", os.readlink(f"/proc/self/fd/{file}")))
        fsync(file)

    monkeypatch.setattr(os, "fsync", synchronised)
    for name in ("replace", "rename"):
        original = getattr(Path, name)

        def renamed(path, target, original=original):
            parts = [path, *path.rglob("*")] if path.is_dir() else [path]
            order.append(("renamed", [str(p) for p in parts], str(target)))
            return original(path, target)

        monkeypatch.setattr(Path, name, renamed)
    writer.write(tmp_path, 2)
    names = [i for i, entry in enumerate(order) if entry[0] == "renamed"]
    assert names
    for i in names:
        _, parts, target = order[i]
        before = {entry[1] for entry in order[:i] if entry[0] == "on the disk"}
        after = {entry[1] for entry in order[i:] if entry[0] == "on the disk"}
        assert set(parts) <= before
        assert str(Path(target).resolve().parent) in after
    tally("power cuts, in the order of what reaches the disk", len(names))


def test_a_full_disk_leaves_the_old(writer, tmp_path, tally):
    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        writer.write(tmp_path, 2)

    before = writer.read(tmp_path)
    assert ended(forked(work)) == errno.EFBIG, "said as every full disk is"
    # an export is a new folder each time, and reading took the old one away
    assert writer.read(tmp_path) == (None if writer.write is write_export else before)
    assert not list(tmp_path.rglob(f"*{PARTIAL}"))
    tally("full disks", 1)


def test_a_clock_that_jumps_back_changes_nothing(writer, tmp_path, tally):
    old = time.time() - 10**8
    for path in tmp_path.rglob("*"):
        os.utime(path, (old + 2 * 10**8,) * 2)
    writer.write(tmp_path, 2)
    assert writer.read(tmp_path) == 2
    tally("clocks that jump back", 1)


@pytest.mark.parametrize(
    "words",
    [
        "tune cheetah-dir 0 --updates 1 --store /proc/nowhere",
        "import {set} --save mine",
        "export cheetah-dir 0 --out /proc/mine-v0",
        "sweep --family cheetah-dir --task 0 --updates 1 --store /proc/nowhere",
    ],
)
def test_a_folder_that_may_not_be_written_is_one_line(words, tmp_path, monkeypatch, tally):
    from tests.commands.test_environment import run

    shipped = assets.ROOT / "cheetah-dir" / "demos" / "0-expert.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("a file where the folder of own sets would be")
    done = run(*words.format(set=shipped).split())
    assert done.returncode in (1, 2), done.stderr
    assert b"Traceback" not in done.stderr
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith((b"error: ", b"failed: ", b"refused: ")), said
    tally("folders that may not be written", 1)


VERB = "runpy.run_module('workbench', run_name='__main__')"


@pytest.mark.parametrize(
    "words",
    [
        "tune cheetah-dir 0 --updates 1 --store runs",
        "import {set} --save mine",
        "export cheetah-dir 0 --out mine-v0",
        "sweep --family cheetah-dir --task 0 --updates 1 --store runs",
    ],
)
def test_a_full_disk_is_one_line(words, tmp_path, tally):
    shipped = assets.ROOT / "cheetah-dir" / "demos" / "0-expert.safetensors"
    limit = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    done = subprocess.run(
        [sys.executable, "-c", f"{limit}{VERB}", *words.format(set=shipped).split()],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode in (1, 2), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"File too large" in done.stderr
    assert not list((tmp_path / "runs").glob("*/result.json"))
    tally("full disks", 1)
