"""Freed memory is kept, where the C library can."""

import json
import os
import platform
import subprocess
import sys

import pytest

MEASURE = """
import json, resource
import torch
from workbench.networks.fast.memory import keep_freed_memory
kept = keep_freed_memory()
def faults():
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [torch.ones(1 << 20) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begun
faults()
print(json.dumps([kept, faults()]))
"""


def measured(**environment):
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, env={**ours, **environment}, capture_output=True, check=True)
    return json.loads(done.stdout)


of_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64",
    reason="torch does not allocate through a C library that has mallopt",
)


@of_glibc
def test_freed_memory_is_not_fetched_anew():
    kept, faults = measured()
    assert kept
    # 20 times 8 blocks of 4 MiB are 163,840 pages of 4 KiB; the heap may still grow by some blocks
    assert faults < 163_840 / 20


@of_glibc
def test_the_environment_has_the_last_word():
    kept, faults = measured(MALLOC_MMAP_THRESHOLD_="131072", MALLOC_TRIM_THRESHOLD_="131072")
    assert not kept
    assert faults > 10_000


LIBRARY = """
import workbench.networks.fast.memory as memory
called = []
memory.keep_freed_memory = lambda: called.append(1)
import workbench.networks.prompt_dt, workbench.pretraining.prompt_dt, workbench.runs.sweep
print(called)
import workbench.__main__, sys
sys.argv = ["workbench", "tasks", "--json"]
workbench.__main__.main()
print(called)
"""


def test_importing_the_library_changes_no_process_and_the_command_line_its_own():
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, check=True)
    first, *_, last = done.stdout.decode().splitlines()
    assert (first, last) == ("[]", "[1]")


HOLES = """
import json
from pathlib import Path
import torch
from workbench.networks.fast.memory import (
    give_back_freed_memory, keep_freed_memory, share_the_heap
)
held = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
said = [keep_freed_memory(), share_the_heap()]
blocks = [torch.ones(1 << 18) for _ in range(200)]  # a MiB each
del blocks[:-1]  # the last one holds the end of the heap
before = held()
said.append(give_back_freed_memory())
print(json.dumps([said, before - held()]))
"""


@of_glibc
def test_holes_below_a_living_block_are_given_back():
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, check=True)
    said, less = json.loads(done.stdout)
    assert said == [True, True, True]
    assert less > 150, "MB"
