"""Locks between processes, also of several machines on a shared file system.

The operating system gives a lock free when its holder ends, however it ends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

_TURN = 0.05


@contextlib.contextmanager
def held(path: Path, patience: float | None = None) -> Iterator[bool]:
    """Hold a file against everybody else who does; it is made if it is not there.

    Args:
        path: The file. It is opened for writing, as network file systems ask; nothing is written.
        patience: Seconds to wait for another holder; None waits for ever.

    Yields:
        False if another one still holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which locks otherwise: one writer at a time there
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = None if patience is None else time.monotonic() + patience
    with open(path, "ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
                ours = True
            except BlockingIOError:
                ours = False
            except OSError:  # a file system without locks
                ours = True
            if ours or (deadline is not None and time.monotonic() >= deadline):
                break
            time.sleep(_TURN)
        yield ours
