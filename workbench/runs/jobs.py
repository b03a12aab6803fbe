"""Jobs: a thread owns a stream, and a queue lets so many run at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Consumes a stream in a thread of its own; readers see a growing list.

    Args:
        make: Builds the stream; called in the thread, so that loading does not block a page.
    """

    def __init__(self, make: Callable[[], Iterator[T]]):
        self._make = make
        self._items: list[T] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.error: Exception | None = None
        self.began = time.perf_counter()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stream = None
        try:
            stream = self._make()
            for item in stream:
                with self._lock:
                    if self._stop.is_set():
                        return
                    self._items.append(item)
        except Exception as error:
            self.error = error
        finally:
            if isinstance(stream, Generator):
                stream.close()

    @property
    def items(self) -> list[T]:
        """What has been yielded so far, a copy."""
        with self._lock:
            return list(self._items)

    @property
    def running(self) -> bool:
        """Whether more items may come."""
        return self._thread.is_alive() and not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End at once for every reader; what was yielded stays, the item in flight is dropped."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; return whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


ENDED = 8


_TURN = 0.5


class Entry(Generic[T]):
    """One job of a queue, waiting, running or ended.

    Attributes:
        key: What finds it again, such as the id of a run.
        label: What a reader calls it.
        job: The job; None while it waits.
        seen: When somebody last looked at it, in the queue's seconds.
        patience: Seconds without anybody looking until it is stopped; None for ever.
        abandoned: Whether it was stopped because nobody looked.
        owner: Whose it is; None for nobody's in particular.
    """

    def __init__(
        self,
        key: Hashable,
        label: str,
        make: Callable[[], Iterator[T]],
        patience: float | None,
        before: Job | None,
        owner: Hashable = None,
    ):
        self.owner = owner
        self.key, self.label, self.patience = key, label, patience
        self.job: Job[T] | None = None
        self.seen = 0.0
        self.abandoned = False
        self._make, self._before = make, before

    @property
    def items(self) -> list[T]:
        """What has been yielded so far, a copy."""
        return self.job.items if self.job is not None else []

    @property
    def active(self) -> bool:
        """Whether it waits or runs: more may come."""
        return self.job is None or self.job.running

    @property
    def ready(self) -> bool:
        """Whether it may start: it waits, and an earlier job of its key has put its files away."""
        return self.job is None and (self._before is None or self._before.wait(0))

    def start(self) -> Job[T]:
        """Run it in a thread of its own."""
        self.job, self._before = Job(self._make), None
        return self.job


class JobQueue:
    """Jobs of one process, for every reader that knows their keys.

    Who submits a key that waits or runs gets the job that is there. A job goes on for as long as
    somebody looks at it; one that nobody has looked at for ``patience`` seconds is stopped.
    The last ended ones are kept with what they yielded.

    Args:
        limit: Jobs that run at a time.
        patience: Seconds, unless ``submit`` says otherwise.
        clock: Returns seconds.
    """

    def __init__(
        self, limit: int, patience: float = 300.0, clock: Callable[[], float] = time.monotonic
    ):
        if limit < 1:
            raise ValueError(f"`limit` must be at least 1: got {limit}.")
        self.limit, self.patience, self._clock = limit, patience, clock
        self._lock = threading.RLock()
        self._entries: dict[Hashable, Entry] = {}  # in the order they came
        self._threads: list[Job] = []  # also of stopped jobs, while they put their files away
        self._tender: threading.Thread | None = None

    def submit(
        self,
        key: Hashable,
        label: str,
        make: Callable[[], Iterator[T]],
        *,
        watched: bool = True,
        owner: Hashable = None,
        each: int | None = None,
    ) -> Entry[T]:
        """Let a job run as soon as there is room, or return the one that this key has already.

        Args:
            key: What finds it again.
            label: What a reader calls it.
            make: Builds the stream, in the job's own thread.
            watched: Whether it is stopped when nobody looks at it.
            owner: Whose it is: owners take turns.
            each: Jobs that an owner may have waiting or running, if there is a limit.

        Raises:
            ValueError: if the owner has as many already.
        """
        with self._lock:
            old = self._entries.get(key)
            if old is not None and old.active:
                old.seen = self._clock()
                return old
            theirs = sum(e.active for e in self._entries.values() if e.owner == owner)
            if each is not None and owner is not None and theirs >= each:
                raise ValueError(
                    f"You have {theirs} jobs waiting or running, as many as each may have here. "
                    "Stop one, or wait until one ends."
                )
            self._entries.pop(key, None)
            patience = self.patience if watched else None
            entry = Entry(key, label, make, patience, old.job if old else None, owner)
            entry.seen = self._clock()
            self._entries[key] = entry
            self.tend()
            if self._tender is None or not self._tender.is_alive():
                self._tender = threading.Thread(target=self._keep_tending, daemon=True)
                self._tender.start()
            return entry

    def find(self, key: Hashable) -> Entry[Any] | None:
        """Return the job of a key and remember that somebody looked; None if there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                entry.seen = self._clock()
            return entry

    def stop(self, key: Hashable) -> None:
        """Stop a job, keeping what it has yielded, or take it off the queue if it waits."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._end(entry)
                self.tend()

    @property
    def running(self) -> list[Entry[Any]]:
        """The jobs that run."""
        with self._lock:
            return [e for e in self._entries.values() if e.job is not None and e.job.running]

    @property
    def waiting(self) -> list[Entry[Any]]:
        """The jobs that wait, the next one first: owners take turns, each in its own order."""
        with self._lock:
            ahead: dict[Hashable, int] = {}
            for entry in self.running:
                if entry.owner is not None:
                    ahead[entry.owner] = ahead.get(entry.owner, 0) + 1
            turns = []
            for entry in self._entries.values():
                if entry.job is None:
                    turns.append((ahead.get(entry.owner, 0), entry))
                    if entry.owner is not None:
                        ahead[entry.owner] = ahead.get(entry.owner, 0) + 1
            return [entry for _, entry in sorted(turns, key=lambda turn: turn[0])]

    def place(self, key: Hashable) -> int:
        """Return 1 for the job that is next, 2 for the one after it; 0 if it does not wait."""
        keys = [entry.key for entry in self.waiting]
        return keys.index(key) + 1 if key in keys else 0

    def tend(self) -> None:
        """Stop what nobody looks at, start what there is room for, forget what ended long ago."""
        with self._lock:
            now = self._clock()
            for entry in [*self.running, *self.waiting]:
                if entry.patience is not None and now - entry.seen > entry.patience:
                    entry.abandoned = True
                    self._end(entry)
            self._threads = [job for job in self._threads if not job.wait(0)]
            for entry in self.waiting:
                if len(self._threads) < self.limit and entry.ready:
                    self._threads.append(entry.start())
            ended = [key for key, entry in self._entries.items() if not entry.active]
            for key in ended[: max(0, len(ended) - ENDED)]:
                del self._entries[key]

    def _end(self, entry: Entry[Any]) -> None:
        if entry.job is None:
            self._entries.pop(entry.key, None)
        else:
            entry.job.stop()

    def _keep_tending(self) -> None:
        while True:
            time.sleep(_TURN)
            with self._lock:
                self.tend()
                if not (self._threads or self.waiting):
                    self._tender = None
                    return
