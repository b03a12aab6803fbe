"""What this processor and this build of torch can do."""

from __future__ import annotations

import functools
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

onednn: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""oneDNN's x Wᵀ + b, which adds a tensor or a ReLU in the same pass; None in a build without."""

_BF16 = {"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"}  # the last two are Arm's
_CEILINGS = ("ALL", "DEFAULT", "BF16", "FP16", "AMX", "AVX10")  # of oneDNN, with bf16 below them


def has_onednn() -> bool:
    """Return whether float32 products can be given to oneDNN."""
    return onednn is not None and torch.backends.mkldnn.is_available()


@functools.cache
def has_bf16() -> bool:
    """Return whether bfloat16 is fast here; no, where that is unknown.

    The processor must have instructions for it, and a product, timed once a process, must not take
    longer than in float32: by half as much again, so that no noise of a clock decides.
    """
    return bool(bf16_instructions()) and product_seconds(torch.bfloat16) < 1.5 * product_seconds(
        torch.float32
    )


def product_seconds(dtype: torch.dtype) -> float:
    """Return the CPU time of a product of a usual size, the best of some; under 10 ms in all."""
    x, y = torch.ones(512, 128, dtype=dtype), torch.ones(128, 512, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(8):
            began = time.thread_time()
            x @ y
            best = min(best, time.thread_time() - began)
    return best


@functools.cache
def bf16_instructions() -> tuple[str, ...]:
    """Return which bfloat16 instructions this processor has and torch uses, by name.

    torch's own test (`_is_mkldnn_bf16_supported`) is also true on AVX-512 without them, where
    oneDNN emulates: 2 to 20 times the time of float32. `ONEDNN_MAX_CPU_ISA` limits oneDNN to older
    instructions, https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html.
    """
    if not has_onednn() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return ()
    ceiling = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    if not any(name in ceiling for name in _CEILINGS):
        return ()
    return tuple(sorted(_BF16 & _flags()))


_TOLD = ("avx2", "avx512_f", "avx512f", "amx_tile", "neon", "asimd", *sorted(_BF16))
"""Features that decide how fast a transformer acts here."""


def described() -> str:
    """Return the processor's name, and which of the features it has that matter here."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = {n.strip(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
    name = told.get("model name") or platform.processor() or platform.machine()
    if "model" in told:
        name += f" (family {told.get('cpu family', '?')}, model {told['model']})"
    flags = _flags()
    return ", ".join([name, *(flag for flag in _TOLD if flag in flags)])


def _flags() -> set[str]:
    """Return the processor's features; an older torch does not tell them, but Linux does."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    cpuinfo = Path("/proc/cpuinfo")
    return set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
