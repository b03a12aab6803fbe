"""Memory that is freed is kept for the next update, and given back when there is time.

By default the C library gives large blocks back to the system when they are freed, and fetches
them anew, page by page, a moment later: a tuning update has thousands of such page faults.

This is a setting of the whole process. So it is left to those who own one (the command line, the
app, a sweep's workers, a notebook's first cell); importing the library changes nothing.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # M_… of malloc.h
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes
LITTLE_MEMORY = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}
"""Environment of a server that many share, read by the libraries at their first use.

oneDNN keeps the code and the buffers of 64 shapes instead of 1,024: some 200 MB less, and a rollout
takes a tenth longer. Tables take their memory from the C library, which gives it back, and not from
a pool of their own, which held 60 MB more after the first look at the runs that ship. And all
threads share one heap from the first on: each of the six that importing starts kept one of its
own, with holes."""


def keep_freed_memory(most: int = _KEPT, largest: int = _LARGEST) -> bool:
    """Let this process keep what it has freed.

    Blocks of up to ``largest`` then come from the heap, whose end is given back only once more than
    ``most`` of it is free; whatever lies below a living block stays. It matters where torch
    allocates through the C library, as on x86; elsewhere it is of no effect.

    Args:
        most: Bytes.
        largest: Bytes, up to 32 MiB.

    Returns:
        Whether the C library can do so (glibc can) and the environment does not say otherwise.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, most) and mallopt(_MMAP_THRESHOLD, largest))


def share_the_heap() -> bool:
    """Let all threads of this process take memory from two heaps, not from one each.

    To be called before there are threads: those of a server of pages come and go with its
    visitors, and each would leave a heap with holes of its own.

    Returns:
        Whether the C library can do so and the environment does not say otherwise.
    """
    if {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"} & os.environ.keys():
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, 2))
    except (AttributeError, OSError, TypeError):  # another C library
        return False


def give_back_freed_memory() -> bool:
    """Give back to the system what lies free anywhere in the heap; it takes milliseconds.

    Many threads that take and free blocks of all sizes leave holes that nobody would ever give
    back by himself: a server of pages grows by them for as long as it runs.

    Returns:
        Whether the C library can do so, as glibc can.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return True
