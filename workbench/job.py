"""A job: one thread owns one stream, everybody else reads what it has yielded so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

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
            if hasattr(stream, "close"):
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
