"""Many runs: those that the store lacks, on any engine. Killed, it goes on."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch

from workbench.data.atomic_files import write_json
from workbench.networks.fast.memory import keep_freed_memory
from workbench.runs.asset_delivery import fetch, offered
from workbench.runs.locks import held
from workbench.runs.run_folder import MADE
from workbench.runs.store import BeingWrittenError, RunStore
from workbench.shipped import assets
from workbench.tasks import plugins
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

ERROR = "error.txt"
"""Beside a run: why it failed."""
RETRIES = 2


Due = tuple[str, RunSpec]
"""A run that is to be made: the id that the sweep knows it by, and its spec."""


@dataclass(frozen=True)
class Done:
    """A spec that a sweep has dealt with.

    Attributes:
        run: Its id.
        spec: What was run.
        seconds: Wall time; 0 where another process made the run meanwhile.
        error: Why it failed, one line; None if it did not. All of it is in ``<id>/error.txt``.
        again: Whether to come back to it: it failed, but not for bad input, or, without an error,
            another process is at it.
    """

    run: str
    spec: RunSpec
    seconds: float
    error: str | None = None
    again: bool = False


class Engine(Protocol):
    """What runs specs.

    Attributes:
        workers: Runs at the same time.
        elsewhere: Whether they may be made on other machines, which then get the files they lack.
    """

    workers: int
    elsewhere: bool

    def outcomes(self, attempt: Attempt, due: Sequence[Due]) -> Iterator[Done]:
        """Call ``attempt`` on each, in any order; closing this stream ends what runs."""


def missing(specs: Iterable[RunSpec], store: RunStore) -> list[RunSpec]:
    """Return the specs that ``store`` has no complete run of, each once, family by family.

    A process keeps the networks it has loaded, so neighbours should share a family.
    """
    wanted = {spec.id: spec for spec in specs}
    lacking = [spec for run_id, spec in wanted.items() if not store.settled(run_id)]
    families = list(dict.fromkeys(spec.family for spec in lacking))
    return sorted(lacking, key=lambda spec: families.index(spec.family))


def sweep(
    specs: Iterable[RunSpec],
    store: RunStore,
    *,
    workers: int = 1,
    engine: Engine | None = None,
    retries: int = RETRIES,
) -> Generator[Done]:
    """Run what ``store`` lacks of ``specs``, in any order, and yield each as it ends.

    A failing spec does not end the sweep: it is tried again after the others, unless its input is
    bad. An incomplete run is made anew. Several sweeps may share a store: they share the work.

    Args:
        specs: What to run; equal ones are run once.
        store: Where runs are kept.
        workers: Processes; 1 is this one. Each computes in one thread.
        engine: What runs them; ``Processes(workers)`` by default.
        retries: Further attempts at a run that failed.

    Raises:
        ValueError: if ``workers`` is not positive or ``retries`` is negative.
        ChildProcessError: if worker processes are killed again and again.
    """
    if workers < 1:
        raise ValueError(f"`workers` must be a whole number from 1 up: got {workers}.")
    if retries < 0:
        raise ValueError(f"`retries` must be a whole number from 0 up: got {retries}.")
    running = engine or Processes(workers, retries)
    due, wait, tried = missing(specs, store), False, Counter[str]()
    files = offered(due, store) if running.elsewhere else {}
    while due:
        failed: list[RunSpec] = []
        busy: list[RunSpec] = []
        attempt = Attempt(store, wait, os.getpid(), files)
        for done in running.outcomes(attempt, [(spec.id, spec) for spec in due]):
            if done.again and done.error is None:
                busy.append(done.spec)
            elif done.again and tried[done.run] < retries:
                tried[done.run] += 1
                failed.append(done.spec)
            else:
                yield done
        # another process is making the busy ones: wait for it, and take over where it failed
        due, wait = failed + busy, True


@functools.cache
def machine() -> str:
    """Return what this machine computes with, in words."""
    name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} CPUs, torch {torch.__version__}"


@functools.cache
def commit() -> str:
    """Return the commit of the code when this process began, as what it runs is of."""
    return assets.commit()


@dataclass(frozen=True)
class Attempt:
    """One try at a run, wherever an engine calls it: plain data, so that it travels.

    Attributes:
        store: Where the run is kept.
        wait: Whether to wait for another process that is at the same run.
        parent: The process that began the sweep.
        files: What it put into the store for machines that lack it; see ``asset_delivery``.
    """

    store: RunStore
    wait: bool
    parent: int
    files: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, due: Due) -> Done:
        """Run a spec in one thread."""
        (run_id, spec), threads = due, torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            try:
                fetch(spec, self.files, self.store)
            except Exception as error:
                again = not isinstance(error, ValueError)
                return self.failed(due, 0.0, traceback.format_exc(), again, error)
            if spec.id != run_id:
                return self.failed(due, 0.0, _other_files(spec), again=False)
            folder = self.store.root / run_id
            with held(folder / "lock", None if self.wait else 0.0) as ours:
                if not ours:
                    return Done(run_id, spec, 0.0, again=True)
                if self.store.settled(run_id):
                    return Done(run_id, spec, 0.0)
                return self._recorded(due)
        finally:
            torch.set_num_threads(threads)

    def _recorded(self, due: Due) -> Done:
        (run_id, spec), began = due, time.perf_counter()
        folder = self.store.root / run_id
        try:
            for step in self.store.record(spec, run(spec)):
                if step.update == spec.updates:  # before the result, which means complete
                    seconds = round(time.perf_counter() - began, 2)
                    made = {"commit": commit(), "machine": machine(), "seconds": seconds}
                    write_json(folder / MADE, made)
        except BeingWrittenError:  # by the pages: a sweep would have held the lock
            return Done(run_id, spec, 0.0, again=True)
        except Exception as error:
            again, spent = not isinstance(error, ValueError), time.perf_counter() - began
            return self.failed(due, spent, traceback.format_exc(), again, error)
        (folder / ERROR).unlink(missing_ok=True)
        return Done(run_id, spec, time.perf_counter() - began)

    def failed(
        self, due: Due, seconds: float, text: str, again: bool, error: Exception | None = None
    ) -> Done:
        """Keep the error beside the spec, also where that cannot be delivered."""
        run_id, spec = due
        path = self.store.root / run_id / ERROR
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        with contextlib.suppress(Exception):  # the run's own error is the one to tell
            self.store.deliver(run_id)
        said = text if error is None else f"{type(error).__name__}: {error}"
        return Done(run_id, spec, seconds, said.splitlines()[0], again)


def _other_files(spec: RunSpec) -> str:
    return (
        f"This machine holds other files of {spec.family} than the one that began the sweep. "
        "Put the same version of the workbench and its assets on all of them."
    )


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, by joblib; 1 is this very process.

    Attributes:
        workers: How many. Each computes in one thread.
        retries: How often to go on after worker processes were killed, none finishing between.
    """

    workers: int = 1
    retries: int = RETRIES
    elsewhere: ClassVar[bool] = False

    def outcomes(self, attempt: Attempt, due: Sequence[Due]) -> Iterator[Done]:
        """See ``Engine``.

        Raises:
            ChildProcessError: if worker processes are killed again and again.
        """
        if self.workers == 1:
            yield from map(attempt, due)
            return
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        left, killed = dict(due), 0
        while left:
            try:
                with _interrupts() as interrupted:
                    for done in self._in_parallel(attempt, list(left.items())):
                        del left[done.run]
                        killed = 0
                        yield done
            except TerminatedWorkerError as error:
                if interrupted:  # Ctrl-C, which ended workers that were just starting
                    raise KeyboardInterrupt from error
                killed += 1
                if killed > self.retries:
                    raise ChildProcessError(
                        "Worker processes were killed, perhaps for want of memory. What was "
                        f"finished is kept: start again, with fewer workers than {self.workers}."
                    ) from error

    def _in_parallel(self, attempt: Attempt, due: Sequence[Due]) -> Iterator[Done]:
        """Call ``attempt`` in processes of their own; closing this stream ends them."""
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1):
            parallel = Parallel(n_jobs=self.workers, return_as="generator_unordered", batch_size=1)
        known = plugins.seen()
        yield from parallel(delayed(_in_worker)(attempt, one, known) for one in due)


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note the interrupts that come, besides what is done about them; in the main thread alone."""
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield seen
        return

    def note(number, frame):
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _in_worker(attempt: Attempt, due: Due, known: tuple[str, ...]) -> Done:
    # Ctrl-C reaches every process of a terminal: leave it to the one that began the sweep
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with(attempt.parent)
    keep_freed_memory()
    plugins.agree(known)  # a worker lives on after a sweep: a plug-in may be new, or another
    return attempt(due)


@functools.cache
def _end_with(parent: int) -> None:
    """End this process soon after its parent: one killed by force takes nobody along."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # a run in flight stays incomplete, as after any kill

    threading.Thread(target=watch, daemon=True).start()
