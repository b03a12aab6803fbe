"""Memory that is freed is kept for the next update.

By default the C library gives large blocks back to the system when they are freed, and fetches
them anew, page by page, a moment later: a tuning update has thousands of such page faults.

This is a setting of the whole process. So it is left to those who own one (the command line, the
app, a sweep's workers, a notebook's first cell); importing the library changes nothing.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… of malloc.h
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes


def keep_freed_memory() -> bool:
    """Let this process keep what it has freed.

    Blocks of up to 32 MiB then come from the heap, whose end is given back only once more than
    256 MiB of it are free; whatever lies below a living block stays. It matters where torch
    allocates through the C library, as on x86; elsewhere it is of no effect.

    Returns:
        Whether the C library can do so (glibc can) and the environment does not say otherwise.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST))
