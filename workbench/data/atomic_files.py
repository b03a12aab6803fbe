"""Files and folders that appear whole: whatever fails, a reader finds all of one or nothing.

They are written under a temporary name beside their own, brought onto the disk, and renamed,
which file systems do in one step. A kill in between leaves the temporary file alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

PARTIAL = ".partial"
"""How temporary names end."""


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write what appears as ``path`` when the block ends, in place of what is there.

    An error in the block leaves ``path`` as it was and nothing beside it. Folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        with disk_errors(path):
            yield partial
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)  # the new name itself


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that appears as ``path``, which nothing may be, when the block ends.

    An error in the block leaves nothing behind.
    """
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for written in [*partial.rglob("*"), partial]:
            sync(written)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    sync(path.parent)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Let safetensors, which has an error of its own for a full disk, say it as all others do.

    Raises:
        OSError: if ``path`` cannot be written.
    """
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def ask_for_room(folder: Path, size: int) -> None:
    """Fail now where so many bytes have no room below a folder, as far as the system can tell.

    For writers that do not survive a full disk, as HDF5's library does not.

    Raises:
        OSError: if there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        path = folder / f"room{PARTIAL}"
        try:
            with open(path, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        finally:
            path.unlink(missing_ok=True)


def write_json(path: Path, value: object, *, sort_keys: bool = False) -> None:
    """Write a value as indented JSON, whole."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, indent=1, sort_keys=sort_keys) + "\n")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders; a neighbour's partial file may just have gone
        return
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _partial(path: Path) -> Path:
    # the process is part of the name: two that write the same file do not meet
    return path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
