"""What the command line takes from its surroundings: Ctrl-C, pipes, variables, the home folder."""

from __future__ import annotations

import os
import signal
from pathlib import Path

STOPPED = "stopped; what was finished is kept"


def stop_at_once(*_: object) -> None:
    """End this process on Ctrl-C where nothing is begun yet, or nothing is left to be finished."""
    try:
        os.write(2, f"{STOPPED}\n".encode())
    finally:
        os._exit(130)


def begun() -> None:
    """Let Ctrl-C interrupt from now on, so that what was begun can be put in order."""
    if signal.getsignal(signal.SIGINT) is stop_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def drop_output() -> None:
    """Send what is still to be written nowhere: nobody reads it, as after ``| head``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def at_home(word: str) -> str:
    """Return a word of the command line with ``~/`` resolved, which no shell does after a ``=``."""
    flag, equals, value = word.rpartition("=")
    if value.startswith("~/") and (not equals or flag.startswith("--")):
        return f"{flag}{equals}{Path(value).expanduser()}"
    return word


def under_torchrun() -> bool:
    """Return whether torchrun started several of these; a scheduler may set ``WORLD_SIZE`` too."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def threads(usual: int = 1) -> int:
    """Return how many threads torch may use.

    Args:
        usual: How many where nobody says.

    Raises:
        ValueError: if ``WORKBENCH_THREADS`` is neither a number from 1 up nor ``auto``.
    """
    asked = os.environ.get("WORKBENCH_THREADS", "").strip() or f"{usual}"
    if asked.lower() == "auto":
        return os.cpu_count() or 1
    if not asked.isdecimal() or not 1 <= int(asked) <= 1024:
        raise ValueError(f"WORKBENCH_THREADS must be a number from 1 up, or auto: got {asked!r}.")
    return int(asked)


def load_torch() -> None:
    """Import torch, and have it compute as in every verb; for verbs that often do without it."""
    import torch

    from workbench.networks.fast.memory import keep_freed_memory

    # One thread is faster than two for models this small, and leaves a core free.
    torch.set_num_threads(threads())
    keep_freed_memory()
