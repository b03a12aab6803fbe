"""What trials of doubles have shown on this machine, so that every process takes the same way.

A double's numbers differ from the plain way's in their last digits, and a simulator blows these up
within an episode. Where both ways take about as long, processes that each judged by their own clock
would not give the same run twice. So the first verdict holds, in a small file, until torch, the
processor's instructions or the code of the networks are others.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
from collections.abc import Hashable
from pathlib import Path

import platformdirs
import torch

CACHE = "WORKBENCH_CACHE"
"""The environment variable that names another folder than the user's usual one for caches."""

_NETWORKS = Path(__file__).parents[1]


def folder() -> Path:
    """Return where verdicts are kept; without it, they are tried anew."""
    named = os.environ.get(CACHE)
    usual = platformdirs.user_cache_path("prompt-diffuser-workbench")
    return (Path(named).expanduser() if named else usual) / "doubles"


def recalled(double: str, case: Hashable) -> tuple[bool, str] | None:
    """Return whether a double is used and why, or None where no trial of it was remembered."""
    try:
        kept = json.loads(_path(double, case).read_text(encoding="utf-8"))
        used, why = kept["used"], kept["why"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return (used, why) if isinstance(used, bool) and isinstance(why, str) else None


def first(double: str, case: Hashable, used: bool, why: str) -> tuple[bool, str]:
    """Remember a verdict, and return the one that holds: another process may have been quicker."""
    path = _path(double, case)
    text = json.dumps({"double": double, "case": repr(case), "used": used, "why": why})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if (there := recalled(double, case)) is not None:
            return there
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # cut off or spoiled: tried anew by the next process
    except OSError:
        pass  # nowhere to write: the verdict holds for this process alone
    return used, why


def _path(double: str, case: Hashable) -> Path:
    key = repr((_here(), torch.get_num_threads(), double, case))
    return folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


@functools.cache
def _here() -> tuple[str, ...]:
    """Return all that a verdict depends on besides its case: it holds for nothing else."""
    code = hashlib.sha256()
    for path in sorted(_NETWORKS.rglob("*.py")):
        code.update(path.read_bytes())
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return (
        torch.__version__,
        platform.machine(),
        platform.processor(),
        torch.backends.cpu.get_cpu_capability(),
        repr(sorted(able.items())),
        os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        code.hexdigest(),
    )
