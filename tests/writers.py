"""Which processes write a run: what a test waits for before it kills one."""

import contextlib
import os
from pathlib import Path


def writers_of(folder):
    """Return the processes that write the steps of a run in ``folder`` or below."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            for handle in os.listdir(f"/proc/{entry}/fd"):
                with contextlib.suppress(OSError):  # another file of it, closed meanwhile
                    name = Path(os.readlink(f"/proc/{entry}/fd/{handle}"))
                    if name.is_relative_to(folder) and name.name == "steps.jsonl":
                        found.add(int(entry))
    return found
