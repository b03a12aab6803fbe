"""Many runs: the store's gaps are filled, whatever happens on the way."""

import contextlib
import fcntl
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from tests.tasks.test_plugins import METHOD
from workbench.runs.run_table import rows
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

sweeping = importlib.import_module("workbench.runs.sweep")
missing, sweep = sweeping.missing, sweeping.sweep
ROOT = Path(assets.__file__).parents[2]
SAME = ("run", "returns", "n_trainable", "loss_dm_last", "loss_dt_last", "spec")


@pytest.fixture
def specs(shipped):
    """Four specs of the toy family and one of them twice."""
    found = [
        RunSpec("toy", task, settings={"batch_size": 4}, updates=3, eval_every=0, episodes=2)
        for task in (2, 5)
    ]
    return [*found, *(spec.untuned for spec in found), found[0]]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "swept")


def test_every_spec_is_run_once_and_only_what_is_missing(specs, store):
    list(store.record(specs[0], run(specs[0])))
    written = (store.root / specs[0].id / "steps.jsonl").stat().st_mtime_ns
    done = list(sweep(specs, store))
    assert [d.run for d in done] == [s.id for s in specs[1:4]]
    assert all(d.error is None and d.seconds > 0 for d in done)
    assert (store.root / specs[0].id / "steps.jsonl").stat().st_mtime_ns == written
    assert set(store.ids()) == {s.id for s in specs}
    assert list(sweep(specs, store)) == []


def test_a_swept_run_is_the_run(specs, store, tmp_path):
    other = RunStore(tmp_path / "plain")
    list(other.record(specs[0], run(specs[0])))
    list(sweep(specs[:1], store))
    assert store.returns(specs[0].id)[0].tolist() == other.returns(specs[0].id)[0].tolist()
    made = json.loads((store.root / specs[0].id / "made.json").read_text())
    assert made["commit"] == sweeping.commit()
    assert made["machine"] == sweeping.machine()
    assert made["seconds"] >= 0


def test_families_are_neighbours(shipped, store):
    wanted = [
        RunSpec(family, task, method="prompt-dt", updates=0)
        for task, family in ((2, "toy"), (0, "cheetah-dir"), (5, "toy"), (1, "cheetah-dir"))
    ]
    assert [s.family for s in missing(wanted, store)] == ["toy"] * 2 + ["cheetah-dir"] * 2


def test_a_failure_is_kept_and_does_not_end_the_sweep(specs, store, toy):
    whole = assets.demos_path(toy.task(5), "medium")
    content = whole.read_bytes()
    whole.unlink()
    done = {d.spec.task: d for d in sweep(specs[:2], store)}
    assert done[2].error is None
    assert "few-shot" in done[5].error
    assert done[5].run not in store
    text = (store.root / done[5].run / "error.txt").read_text()
    assert "Traceback" in text
    assert done[5].error.partition(": ")[2][:20] in text
    # the same spec over the file that is back has another id: its hash is part of the spec
    whole.write_bytes(content)
    again = list(sweep(specs[:2], store))
    assert [d.error for d in again] == [None]


def test_only_the_first_line_of_an_error_is_yielded(specs, store, monkeypatch):
    def failing(spec):
        yield from list(run(spec))[:2]
        raise RuntimeError("power\ncut")

    monkeypatch.setattr(sweeping, "run", failing)
    (done,) = sweep(specs[:1], store)
    assert done.error == "RuntimeError: power"
    assert "power\ncut" in (store.root / done.run / "error.txt").read_text()


def test_the_error_is_removed_on_success(specs, store, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sweeping, "run", lambda spec: 1 / 0)
        (done,) = sweep(specs[:1], store)
        assert "ZeroDivisionError" in done.error
    (done,) = sweep(specs[:1], store)
    assert done.error is None
    assert not (store.root / done.run / "error.txt").exists()
    assert done.run in store


def test_an_interrupt_leaves_an_incomplete_run_and_the_next_sweep_makes_it(
    specs, store, monkeypatch
):
    def interrupted(spec):
        yield from list(run(spec))[:2]
        if spec == specs[1]:
            raise KeyboardInterrupt

        yield from list(run(spec))[2:]

    with monkeypatch.context() as patched:
        patched.setattr(sweeping, "run", interrupted)
        stream = sweep(specs, store)
        assert next(stream).run == specs[0].id
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    assert store.ids() == [specs[0].id]
    assert (store.root / specs[1].id / "steps.jsonl").exists()
    assert [d.run for d in sweep(specs, store)] == [s.id for s in specs[1:4]]


def test_it_computes_in_one_thread_and_leaves_their_number_alone(specs, store, monkeypatch):
    seen = []

    def counting(spec):
        seen.append(torch.get_num_threads())
        yield from run(spec)

    monkeypatch.setattr(sweeping, "run", counting)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in sweep(specs[:2], store):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1]


def taken(store, spec):
    """Hold a run as another process would; closing what is returned lets go."""
    folder = store.root / spec.id
    folder.mkdir(parents=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def test_what_another_process_is_making_is_left_to_it(specs, store):
    """The other one holds the second run, does it and lets go: it is not done twice."""
    lock = taken(store, specs[1])
    stream = sweep(specs, store)
    assert [next(stream).run for _ in range(3)] == [specs[i].id for i in (0, 2, 3)]
    list(store.record(specs[1], run(specs[1])))
    threading.Timer(0.2, os.close, [lock]).start()
    (last,) = stream
    assert (last.run, last.seconds, last.error) == (specs[1].id, 0.0, None)


def test_what_another_process_gave_up_is_taken_over(specs, store):
    lock = taken(store, specs[1])
    threading.Timer(0.2, os.close, [lock]).start()
    (last,) = sweep(specs[1:2], store)
    assert last.seconds > 0
    assert specs[1].id in store


def test_workers_must_be_positive(specs, store):
    with pytest.raises(ValueError, match="workers"):
        list(sweep(specs, store, workers=0))


# ---- processes: the real simulator and what ships, since these know no toy family ----


def real_specs(n=2, updates=1):
    tasks = [0, 1][:n]
    few = {"eval_every": 0, "episodes": 1, "quality": "expert"}
    return [
        spec
        for task in tasks
        for spec in (
            RunSpec("cheetah-dir", task, method="prompt-dt", updates=0, **few),
            RunSpec("cheetah-dir", task, updates=updates, settings={"batch_size": 2}, **few),
        )
    ]


def test_processes_give_the_same_rows_as_this_one(tmp_path):
    alone, many = RunStore(tmp_path / "alone"), RunStore(tmp_path / "many")
    specs = real_specs()
    assert all(d.error is None for d in sweep(specs, alone))
    assert {d.run for d in sweep(specs, many, workers=2)} == {s.id for s in specs}
    ids = [s.id for s in specs]
    a, b = rows(alone, ids), rows(many, ids)
    for name in SAME:
        assert a[name].astype(str).tolist() == b[name].astype(str).tolist(), name


def test_a_failure_in_a_process_is_reported_too(tmp_path):
    (good, *_), store = real_specs(1), RunStore(tmp_path / "runs")
    bad = RunSpec("cheetah-vel", 0, method="prompt-dt", updates=0)  # no few-shot set
    done = {d.run: d.error for d in sweep([good, bad], store, workers=2)}
    assert done[good.id] is None
    assert "few-shot" in done[bad.id]
    assert (store.root / bad.id / "error.txt").exists()


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run behind a shell too
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep
from workbench.tuning.loop import RunSpec
few = {"eval_every": 0, "episodes": 1, "quality": "expert"}
long = {"updates": 10**9, "settings": {"batch_size": 2}}
specs = [RunSpec("cheetah-dir", 0, method="prompt-dt", updates=0, **few)]
specs += [RunSpec("cheetah-dir", task, **long, **few) for task in (0, 1)]
for done in sweep(specs, RunStore(sys.argv[1]), workers=int(sys.argv[2])):
    print(done.run, done.error, flush=True)
"""


@pytest.mark.parametrize(("workers", "kill"), [(1, signal.SIGKILL), (2, signal.SIGINT)])
def test_a_killed_sweep_leaves_whole_runs_alone(tmp_path, workers, kill):
    """It ends at once, and what is missing afterwards is what was not finished."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path / "runs", str(workers)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    first = child.stdout.readline().split()
    assert first[1] == "None"
    store = RunStore(tmp_path / "runs")
    deadline = time.monotonic() + 900  # the event counts, not the time
    while len(list(store.root.glob("*/steps.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(child.pid, kill)
    child.communicate(timeout=900)
    assert child.returncode not in (0, None)
    assert store.ids() == [first[0]]
    assert len(list(store.root.glob("*/steps.jsonl"))) >= 2, "one was in the middle"
    again = RunSpec(
        "cheetah-dir", 0, "expert", method="prompt-dt", updates=0, eval_every=0, episodes=1
    )
    assert again.id == first[0]
    assert list(sweep([again], store)) == []


def test_an_interrupt_that_ends_a_starting_worker_is_no_killed_worker(specs, store, monkeypatch):
    """It must stop the sweep, and not be taken for a want of memory and tried again."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    rounds = []

    def broken(self, attempt, due):
        rounds.append(due)
        with contextlib.suppress(KeyboardInterrupt):  # as if it came within a callback
            signal.raise_signal(signal.SIGINT)
        raise TerminatedWorkerError("a worker ended")
        yield

    monkeypatch.setattr(sweeping.Processes, "_in_parallel", broken)
    # behind a shell that runs it in the background Ctrl-C is ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(sweep(specs, store, workers=2))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(rounds) == 1


def test_killed_workers_are_replaced_so_often_and_no_more(specs, store, monkeypatch):
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    rounds = []

    def dying(self, attempt, due):
        rounds.append(len(due))
        if len(due) > 2:
            yield attempt(due[0])
        raise TerminatedWorkerError("killed")

    monkeypatch.setattr(sweeping.Processes, "_in_parallel", dying)
    with pytest.raises(ChildProcessError, match="fewer workers than 2"):
        list(sweep(specs, store, workers=2))
    assert rounds == [4, 3, 2, 2], "what was finished is not run again"
    assert len(store.ids()) == 2


def test_what_may_pass_is_tried_again_after_the_others(specs, store, monkeypatch):
    tries = []

    def flaky(spec):
        tries.append(spec.id)
        if spec == specs[0] and tries.count(spec.id) < 3:
            raise RuntimeError("the disk was away")
        yield from run(spec)

    monkeypatch.setattr(sweeping, "run", flaky)
    done = list(sweep(specs, store, retries=2))
    assert [d.run for d in done] == [specs[i].id for i in (1, 2, 3, 0)]
    assert [d.error for d in done] == [None] * 4
    assert tries.count(specs[0].id) == 3
    assert not (store.root / specs[0].id / "error.txt").exists()


def test_other_files_than_those_of_the_sweep_are_told(specs, store):
    attempt = sweeping.Attempt(store, False, os.getpid())
    done = attempt(("0123456789abcdef", specs[0]))
    assert "holds other files of toy" in done.error
    assert not done.again


def test_workers_have_the_plugin_as_it_is_now(plugged, tmp_path):
    """They live on between two sweeps: also one that came, or was edited, meanwhile."""
    store = RunStore(tmp_path / "runs")
    for text in (METHOD, METHOD + "\nEDITED = True\n"):
        plugged(text, "method.py")
        specs = [
            RunSpec("cheetah-dir", task, "expert", method="my-soft-prompt", updates=1,
                    settings={"batch_size": 2}, eval_every=0, episodes=1)
            for task in (0, 1)
        ]  # fmt: skip
        done = {d.run: d.error for d in sweep(specs, store, workers=2)}
        assert done == {spec.id: None for spec in specs}
    assert len(store.ids()) == 4
