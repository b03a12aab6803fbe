"""The notebooks run from top to bottom, and what that takes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.shipped.checkout import CLONE

FOLDER = (CLONE or Path.cwd()) / "notebooks"
LESSONS = (
    "1_tasks_and_data",
    "2_prompt_dt",
    "3_denoising",
    "4_gradient_projection",
    "5_ablation",
    "6_your_own_task",
)
"""The lessons, in order."""
NOTEBOOKS = (*LESSONS, "findings")
"""Every notebook, in the order in which a reader takes them."""


@dataclass(frozen=True)
class Cost:
    """What running a notebook takes.

    Attributes:
        seconds: Wall time from top to bottom, the start of its kernel included.
        gigabytes: Peak resident memory of its kernel.
    """

    seconds: float
    gigabytes: float


def ask_once() -> None:
    """Let clients ask a kernel once whether it lives, not every second.

    A ping sent while its kernel ends may wait for ever, and with it whoever stops the client
    (jupyter_client 8.10). nbclient looks at the kernel's process besides.
    """
    from jupyter_client.channels import HBChannel

    HBChannel.time_to_dead = 86_400.0


def cost(name: str, env: Mapping[str, str], folder: Path = FOLDER) -> Cost:
    """Run a notebook and return what that took.

    Args:
        name: Of a notebook of ``folder``, without ending.
        env: Environment of its kernel.
        folder: Where it is, and where it runs.

    Raises:
        ValueError: if there is no such notebook, or a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    path = folder / f"{name}.ipynb"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.ipynb")))
        raise ValueError(f"There is no notebook {name!r}. Choose from {known}.")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(_PEAK))
    place = {"metadata": {"path": folder}}
    ask_once()
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place)
    began = time.perf_counter()
    try:
        client.execute(env=dict(env))
    except CellExecutionError as error:
        raise ValueError(f"{path} stops at a cell: {error.ename}: {error.evalue}") from error
    seconds = time.perf_counter() - began
    return Cost(seconds, float(notebook.cells[-1].outputs[0]["text"]))


_PEAK = """
import resource, sys
unit = 2 ** (30 if sys.platform == "darwin" else 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
"""
