"""Killed, without room, beside others: every store stays readable, nothing is falsely complete."""

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import time
import traceback
import types

import numpy as np
import pandas as pd
import pytest
import torch

from tests.campaign import FULL
from workbench.data.rollout import Evaluation
from workbench.data.trajectory import Trajectories
from workbench.methods import Snapshot
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.runs.compare import watch
from workbench.runs.jobs import JobQueue
from workbench.runs.run_folder import FORMAT, MADE, WITH_LINES
from workbench.runs.store import BeingWrittenError, RunStore
from workbench.runs.sweep import commit, sweep
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec

KILLS = 200
KILLS_OF_A_SWEEP, MEETINGS = (200, 20) if FULL else (12, 2)
UPDATES = 6


@pytest.fixture
def spec(shipped):
    return RunSpec("toy", 5, settings={"batch_size": 4}, updates=UPDATES, eval_every=3, episodes=2)


@pytest.fixture
def synthetic(model, demos, toy):
    """A stream that costs nothing: what is tested is the writing."""
    prompt = Trajectories(demos).segments(np.array([0]), np.array([2]), 3)
    chain = torch.randn(5, 1, 3, 6)
    trace = DenoisingTrace(chain, chain.clone(), torch.zeros(1, 3, 2))
    snapshot = Snapshot(PromptedPolicy(model, prompt), trace)
    evaluation = Evaluation(toy.task(5), (1, 2), np.array([1.0, 2.0]), demos[:1])

    def steps():
        for update in range(UPDATES + 1):
            step = TuneStep(update, {"loss_dm": 1 / (1 + update)}, 1e-4, n_trainable=7)
            if update % 3 == 0:
                step = dataclasses.replace(step, snapshot=snapshot, evaluation=evaluation)
            yield dataclasses.replace(step, trace=trace)

    return steps


def test_a_killed_writer_never_leaves_a_false_result(
    spec, synthetic, model, tmp_path, monkeypatch, tally
):
    """Every other kill meets a recording over an older run, complete or not, of either kind."""
    spare_the_disk(monkeypatch)
    stores = [RunStore(tmp_path / "runs", numbers_alone=alone) for alone in (False, True)]
    draw, usual = random.Random(5), 0.1
    seen = {"complete": 0, "incomplete": 0}
    for kill in range(KILLS):
        store = draw.choice(stores)
        if kill % 2 and store.root.exists():  # an early kill may have left nothing
            shutil.rmtree(store.root)
        ready, begin = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(begin, b"!")
                for _ in store.record(spec, synthetic()):
                    pass
            finally:
                os._exit(0)
        os.read(ready, 1)
        time.sleep(draw.uniform(0, usual))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(begin)
        found = check(store, spec, model, either_kind=True)
        seen[found] += 1
        usual *= 0.9 if found == "complete" else 1.1  # whatever else this machine does
    assert min(seen.values()) >= KILLS // 20, f"the kills were not spread: {seen}"
    assert len(list(store.record(spec, synthetic()))) == UPDATES + 1
    assert check(store, spec, model) == "complete"
    tally("kills of the run store", KILLS)


def spare_the_disk(monkeypatch):
    for module in ("data.atomic_files", "runs.store"):  # a kill spares the caches
        monkeypatch.setattr(f"workbench.{module}.sync", lambda path: None)


@pytest.fixture
def several(spec, synthetic, monkeypatch):
    """Some specs, of which sweeps and pages make streams that cost nothing."""
    monkeypatch.setattr("workbench.runs.sweep.run", lambda spec: synthetic())
    monkeypatch.setattr("workbench.runs.compare.run_resolved", lambda spec: synthetic())
    monkeypatch.setattr("workbench.runs.compare.preview", lambda spec: TuneStep(0, {}, 0.0))
    commit()  # asks git, once a process
    return [dataclasses.replace(spec, seed=seed) for seed in range(4)]


def in_a_process(work):
    """Do something in a child process, which ends without the tests' own cleaning; return it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except OSError:
            status = 2
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def test_a_killed_sweep_goes_on(several, model, tmp_path, monkeypatch, tally):
    spare_the_disk(monkeypatch)
    store, draw, usual, seen = RunStore(tmp_path / "runs"), random.Random(6), 0.3, set()
    for _ in range(KILLS_OF_A_SWEEP):
        child = in_a_process(lambda: list(sweep(several, store)))
        time.sleep(draw.uniform(0, usual))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done = [one for one in several if check(store, one, model) == "complete"]
        for one in done:
            assert json.loads((store.root / one.id / MADE).read_text())["seconds"] >= 0
        assert not store.index().damaged
        usual *= 0.8 if len(done) == len(several) else 1.1  # whatever else this machine does
        seen.add(len(done))
        if len(done) == len(several):
            shutil.rmtree(store.root)
    assert seen - {len(several)}, "no kill found a sweep at work"
    assert all(done.error is None for done in sweep(several, store))
    assert {check(store, one, model) for one in several} == {"complete"}
    tally("kills of a sweep", KILLS_OF_A_SWEEP)


def test_two_servers_and_a_sweep_share_a_store(several, model, tmp_path, monkeypatch, tally):
    """Each makes every run, one server is killed: what is complete stays, the others make it."""
    spare_the_disk(monkeypatch)
    monkeypatch.setattr("workbench.runs.store._PATIENCE", 0.05)
    draw = random.Random(8)
    for meeting in range(MEETINGS):
        store = RunStore(tmp_path / f"runs{meeting}")

        def serve(seed, store=store):
            queue, order = JobQueue(2), random.Random(seed).sample(several, len(several))
            entries = [queue.submit(one.id, "", lambda one=one: watch(one, store)) for one in order]
            while any(entry.active for entry in entries):
                time.sleep(0.01)
            wrong = [entry.job.error for entry in entries if entry.job.error]
            assert all(isinstance(error, BeingWrittenError) for error in wrong), wrong
            assert all("\n" not in str(error) for error in wrong)

        def sweeping(store=store):
            assert all(done.error is None for done in sweep(several, store))

        servers = [in_a_process(lambda seed=seed, serve=serve: serve(seed)) for seed in (1, 2)]
        others, complete = {in_a_process(sweeping), servers[1]}, set()
        killed_at = draw.randrange(len(several))
        while others:
            now = set(store.ids())
            assert complete <= now, "a run was complete, and is lost"
            complete = now
            if servers[0] and len(complete) >= killed_at:
                os.kill(servers[0], signal.SIGKILL)
                os.waitpid(servers.pop(0), 0)
                servers.insert(0, None)
            for child in list(others):
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    assert os.waitstatus_to_exitcode(status) == 0
                    others.remove(child)
        if servers[0]:
            os.kill(servers[0], signal.SIGKILL)
            os.waitpid(servers[0], 0)
        assert {check(store, one, model) for one in several} == {"complete"}
    tally("two servers and a sweep on one store", MEETINGS)


def test_a_run_that_another_process_completes_meanwhile_is_not_written_again(
    spec, synthetic, tmp_path, monkeypatch
):
    store, other = RunStore(tmp_path / "runs"), RunStore(tmp_path / "runs")
    first = store.record(spec, synthetic())
    next(first)
    waited = []

    def finish(seconds):
        waited.append(seconds)
        assert len(list(first)) == UPDATES

    patient = types.SimpleNamespace(monotonic=time.monotonic, sleep=finish)
    monkeypatch.setattr("workbench.runs.locks.time", patient)  # no other thread's
    second = other.record(spec, synthetic())
    next(second)
    assert waited
    second.close()
    assert spec.id in store, "it was complete, and stays so"


def test_a_full_disk_leaves_an_incomplete_run_and_room_makes_it(
    spec, synthetic, model, tmp_path, tally
):
    store, usual = RunStore(tmp_path / "runs"), RunStore(tmp_path / "usual")
    list(usual.record(spec, synthetic()))
    largest = max(path.stat().st_size for path in usual.root.rglob("*.*"))

    def work(room):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        list(store.record(spec, synthetic()))

    for room in (0, 100, largest // 2, largest - 1):
        _, status = os.waitpid(in_a_process(lambda room=room: work(room)), 0)
        assert os.waitstatus_to_exitcode(status) == 2, "no room is said"
        assert check(store, spec, model) == "incomplete"
    assert len(list(store.record(spec, synthetic()))) == UPDATES + 1
    assert check(store, spec, model) == "complete"
    tally("full disks", 4)


def test_a_clock_that_jumps_back_hides_no_run(several, model, tmp_path, tally):
    store = RunStore(tmp_path / "runs")
    list(sweep(several[:2], store))
    assert len(store.index().runs) == 2
    for path in store.root.rglob("*"):
        os.utime(path, (time.time() + 10**8,) * 2)  # written before the jump
    list(sweep(several, store))
    list(store.record(several[0], store.load(several[0].id, model)))
    assert set(store.index().runs["run"]) == {one.id for one in several}
    assert {check(store, one, model) for one in several} == {"complete"}
    tally("clocks that jump back", 1)


def check(store, spec, model, either_kind=False):
    """Read everything that there is; return whether the run says that it is complete."""
    folder = store.root / spec.id
    complete = spec.id in store
    assert store.ids().count(spec.id) == complete
    if not (folder / "steps.jsonl").exists():  # killed before anything was written
        assert not complete
        return "incomplete"
    lines = store.lines(spec.id)
    assert [line["update"] for line in lines] == list(range(len(lines)))
    if (folder / "spec.json").exists():
        assert store.spec(spec.id).canonical == spec.canonical
    there = not lines or not either_kind or (folder / "evaluated" / "0.safetensors").exists()
    if store.whole(spec.id) or (not complete and there and (folder / "spec.json").exists()):
        assert len(store.load(spec.id, model)) == len(lines), "every line has its files"
    if not complete:
        return "incomplete"
    assert len(lines) == UPDATES + 1
    assert store.result(spec.id)["format"] == (WITH_LINES if store.whole(spec.id) else FORMAT)
    assert len(store.returns(spec.id)) == UPDATES // 3 + 1
    assert len(store.result(spec.id)["evaluations"]) == UPDATES // 3 + 1
    return "complete"


def test_a_torn_last_line_is_left_out_of_an_incomplete_run_alone(spec, synthetic, model, tmp_path):
    store = RunStore(tmp_path / "runs")
    list(store.record(spec, synthetic()))
    path = store.root / spec.id / "steps.jsonl"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match="damaged"):
        store.lines(spec.id)
    store.forget(spec.id)
    assert [line["update"] for line in store.lines(spec.id)] == list(range(UPDATES))
    assert len(store.load(spec.id, model)) == UPDATES
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")  # as a file system may leave it
    assert len(store.lines(spec.id)) == UPDATES


def test_nothing_of_an_older_attempt_stays_beside_a_newer_one(spec, synthetic, tmp_path):
    store = RunStore(tmp_path / "runs")
    list(store.record(spec, synthetic()))
    folder = store.root / spec.id
    (folder / "made.json").write_text("{}")
    stream = store.record(spec, synthetic())
    next(stream)
    left = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert left == {"spec.json", "steps.jsonl", "evaluated/0.safetensors"}
    stream.close()


def test_everything_is_on_the_disk_before_the_result(spec, synthetic, tmp_path, monkeypatch):
    """A power cut may lose what was not synchronised: no result before all that it sums up."""
    store, order = RunStore(tmp_path / "runs"), []
    fsync, replace = os.fsync, type(tmp_path).replace

    def synchronised(file):
        order.append(os.readlink(f"/proc/self/fd/{file}"))
        fsync(file)

    def renamed(path, target):
        order.append(f"renamed {target}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synchronised)
    monkeypatch.setattr(type(tmp_path), "replace", renamed)
    list(store.record(spec, synthetic()))
    folder = store.root / spec.id
    last = order.index(f"renamed {folder / 'result.json'}")
    for path in [p for p in folder.rglob("*") if p.name != "result.json"]:
        assert str(path) in order[:last], path
    assert str(folder) in order[:last]
    assert order[last + 1 :] == [str(folder)], "and then the name of the result"


def test_a_second_writer_is_refused_while_the_first_one_writes(
    spec, synthetic, tmp_path, monkeypatch
):
    monkeypatch.setattr("workbench.runs.store._PATIENCE", 0.1)
    store = RunStore(tmp_path / "runs")
    first = store.record(spec, synthetic())
    next(first)
    with pytest.raises(ValueError, match="being written by another process"):
        next(store.record(spec, synthetic()))
    assert len(list(first)) == UPDATES
    assert spec.id in store
    assert len(list(store.record(spec, synthetic()))) == UPDATES + 1


def test_runs_without_a_format_are_read_and_later_ones_refused(spec, synthetic, model, tmp_path):
    store = RunStore(tmp_path / "runs")
    list(store.record(spec, synthetic()))
    path = store.root / spec.id / "result.json"
    plain = json.loads(path.read_text())
    assert plain.pop("format") == WITH_LINES
    path.write_text(json.dumps(plain))
    assert len(store.load(spec.id, model)) == UPDATES + 1
    path.write_text(json.dumps({**plain, "format": FORMAT + 1}))
    for read in (store.spec, store.result, lambda run: store.load(run, model)):
        with pytest.raises(ValueError, match=rf"format {FORMAT + 1}.*update it"):
            read(spec.id)


def test_pandas_reads_a_run_without_us(spec, synthetic, tmp_path):
    store = RunStore(tmp_path / "runs")
    list(store.record(spec, synthetic()))
    folder = store.root / spec.id
    steps = pd.read_json(folder / "steps.jsonl", lines=True)
    assert steps["loss_dm"].to_numpy() == pytest.approx([1 / (1 + u) for u in range(UPDATES + 1)])
    assert steps["returns"].dropna().map(len).eq(2).all()
    assert pd.read_json(folder / "spec.json", typ="series")["family"] == "toy"
    result = pd.read_json(folder / "result.json", typ="series")
    assert pd.DataFrame(result["evaluations"])["return_mean"].tolist() == [1.5] * 3
