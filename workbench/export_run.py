"""Runs to take along: their files as a zip, and what makes them again."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Iterable

from workbench.store import RunStore
from workbench.tune import RunSpec

_HOW = """\
Runs of the Prompt Diffuser Workbench.

Unpack this file in a folder of runs, such as runs/, and the workbench shows them.
ID/reproduce.py makes a run again, and so does, on a command line:
"""


def snippet(spec: RunSpec) -> str:
    """Return Python that makes a run again and prints its returns.

    Args:
        spec: The run.
    """
    plain = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    plain["settings"] = dict(plain["settings"])
    fields = "".join(f"    {name}={value!r},\n" for name, value in plain.items())
    return (
        "from workbench import RunSpec, RunStore, run\n\n"
        f"spec = RunSpec(\n{fields})\n"
        'store = RunStore("runs")\n'
        "for step in store.record(spec, run(spec)):\n"
        "    if step.evaluation is not None:\n"
        '        print(f"after {step.update} updates: {step.evaluation.returns.mean():.2f}")\n'
    )


def command(spec: RunSpec) -> str:
    """Return the command line that makes a run again.

    The untuned prompt is what every tuning is compared with: a tuning of no updates makes it.
    """
    if spec.method == "prompt-dt":
        spec = dataclasses.replace(spec, method="prompt-diffuser", settings={}, updates=0)
    return spec.command


def zipped(runs: Iterable[tuple[RunStore, str]]) -> bytes:
    """Return complete runs as a zip: their folders as the stores keep them, and how to make them.

    Unpacked in the folder of another store, they are runs there.

    Args:
        runs: Stores and ids.

    Raises:
        ValueError: if a store has no such complete run.
    """
    packed, how = io.BytesIO(), _HOW
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for store, run_id in runs:
            store.result(run_id)
            spec, folder = store.spec(run_id), store.folder(run_id)
            how += f"\n{run_id}\n  {command(spec)}\n"
            file.writestr(f"{run_id}/reproduce.py", snippet(spec))
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name != "lock":
                    file.write(path, f"{run_id}/{path.relative_to(folder).as_posix()}")
        file.writestr("README.txt", how)
    return packed.getvalue()
