"""The files that runs read, on their way to machines that lack them: by hash, beside the runs.

Whoever begins a sweep on a cluster puts them into the store once; a worker takes what it has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from workbench.data import own_sets
from workbench.data.atomic_files import whole_file
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tuning.spec import RunSpec


def offered(specs: Iterable[RunSpec], store: RunStore) -> dict[str, str]:
    """Put into a store what some specs read and it has not.

    Returns:
        Name of each file → its SHA-256. Files of plug-ins, which every node installs, are not
        among them.
    """
    paths = {path for spec in specs for path in spec.files.values() if path.exists()}
    found = {name: path for path in sorted(paths) if (name := _name(path)) is not None}
    files = {name: assets.sha256(path) for name, path in found.items()}
    for name, path in found.items():
        store.give(files[name], path)
    return files


def fetch(spec: RunSpec, files: Mapping[str, str], store: RunStore) -> None:
    """Bring here what a spec reads and this machine lacks; what is here stays as it is.

    Args:
        spec: What is to be run.
        files: What ``offered`` returned on another machine.
        store: Where that put them.

    Raises:
        ValueError: if the store's file is another one than was offered.
    """
    for path in spec.files.values():
        digest = files.get(_name(path) or "")
        if digest is None or path.exists():
            continue
        with whole_file(path) as partial:
            store.take(digest, partial)
            if assets.sha256(partial) != digest:
                raise ValueError(
                    f"The store's copy of {path.name} is damaged: begin the sweep again after "
                    f"deleting {digest} from its folder `.files`."
                )


def _name(path: Path) -> str | None:
    """Return what a file is called on every machine; None if it belongs to a plug-in."""
    places = {"assets": assets.ROOT, "data": assets.ON_DEMAND, "own": own_sets.FOLDER}
    for place, folder in places.items():
        if path.is_relative_to(folder):
            return f"{place}/{path.relative_to(folder).as_posix()}"
    return None
