"""Many runs: those that the store lacks, in this process or in several. Killed, it goes on."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from workbench import assets
from workbench.store import RunStore
from workbench.tune import RunSpec, run

MADE, ERROR = "made.json", "error.txt"
"""Beside a run: where, by which code and how fast it was made; why it failed."""


@dataclass(frozen=True)
class Done:
    """A spec that a sweep has dealt with.

    Attributes:
        run: Its id.
        spec: What was run.
        seconds: Wall time; 0 where another process made the run meanwhile.
        error: Why it failed, one line; None if it did not. All of it is in ``<id>/error.txt``.
    """

    run: str
    spec: RunSpec
    seconds: float
    error: str | None = None


def missing(specs: Iterable[RunSpec], store: RunStore) -> list[RunSpec]:
    """Return the specs that ``store`` has no complete run of, each once, family by family.

    A process keeps the networks it has loaded, so neighbours should share a family.
    """
    lacking = {spec.id: spec for spec in specs}
    lacking = [spec for run_id, spec in lacking.items() if run_id not in store]
    families = list(dict.fromkeys(spec.family for spec in lacking))
    return sorted(lacking, key=lambda spec: families.index(spec.family))


def sweep(specs: Iterable[RunSpec], store: RunStore, *, workers: int = 1) -> Iterator[Done]:
    """Run what ``store`` lacks of ``specs``, in any order, and yield each as it ends.

    A failing spec does not end the sweep. An incomplete run is made anew. Several sweeps may
    share a store: they share the work.

    Args:
        specs: What to run; equal ones are run once.
        store: Where runs are kept.
        workers: Processes; 1 is this one. Each computes in one thread.

    Raises:
        ValueError: if ``workers`` is not positive.
        ChildProcessError: if a worker process was killed.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be a whole number from 1 up: got {workers}.")
    made = {"commit": assets.commit(), "machine": machine()}
    due, wait = missing(specs, store), False
    while due:
        attempt = functools.partial(_attempt, root=store.root, made=made, wait=wait)
        busy: list[RunSpec] = []
        results = map(attempt, due) if workers == 1 else _in_processes(attempt, due, workers)
        for result in results:
            if isinstance(result, Done):
                yield result
            else:
                busy.append(result)
        # another process is making these: wait for it, and take over where it failed
        due, wait = busy, True


def machine() -> str:
    """Return what this machine computes with, in words."""
    name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} CPUs, torch {torch.__version__}"


def _attempt(spec: RunSpec, *, root: Path, made: Mapping[str, str], wait: bool) -> Done | RunSpec:
    """Run one spec in one thread; return the spec itself if another process is at it."""
    store, run_id, threads = RunStore(root), spec.id, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _claim(store.root / run_id, wait) as ours:
            if not ours:
                return spec
            if run_id in store:
                return Done(run_id, spec, 0.0)
            return _recorded(spec, store, made)
    finally:
        torch.set_num_threads(threads)


def _recorded(spec: RunSpec, store: RunStore, made: Mapping[str, str]) -> Done:
    run_id, began = spec.id, time.perf_counter()
    folder = store.root / run_id
    try:
        for step in store.record(spec, run(spec)):
            if step.update == spec.updates:  # before the result, whose presence means complete
                seconds = round(time.perf_counter() - began, 2)
                (folder / MADE).write_text(json.dumps({**made, "seconds": seconds}) + "\n")
    except Exception as error:
        (folder / ERROR).write_text(traceback.format_exc())
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return Done(run_id, spec, time.perf_counter() - began, text)
    (folder / ERROR).unlink(missing_ok=True)
    return Done(run_id, spec, time.perf_counter() - began)


def _in_processes(
    attempt: Callable[[RunSpec], Done | RunSpec], specs: Sequence[RunSpec], workers: int
) -> Iterator[Done | RunSpec]:
    """Call ``attempt`` in processes of their own; closing this stream ends them."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(_uninterrupted)(attempt, spec) for spec in specs)
    except TerminatedWorkerError as error:
        raise ChildProcessError(
            "A worker process was killed, perhaps for want of memory. What was finished is kept: "
            f"start again, with fewer workers than {workers}."
        ) from error


def _uninterrupted(attempt: Callable[[RunSpec], Done | RunSpec], spec: RunSpec) -> Done | RunSpec:
    """Leave Ctrl-C, which reaches every process of a terminal, to the one that began the sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return attempt(spec)


@contextlib.contextmanager
def _claim(folder: Path, wait: bool) -> Iterator[bool]:
    """Hold a run's folder against other processes; its end, however it comes, gives it free.

    Yields:
        False if another one holds it and we do not ``wait``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl

        lock = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, which locks otherwise: one sweep at a time there
        yield True
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        ours = True
    except BlockingIOError:
        ours = False
    except OSError:  # a file system without locks
        ours = True
    try:
        yield ours
    finally:
        os.close(lock)
