"""A run store at a URL (s3://, gs://, memory://, …): runs are made here and delivered there.

Object stores append nothing and rename nothing. So a run is recorded in a folder of this machine
and uploaded when it is complete, its result last: there as here, a result means complete.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from workbench.data.atomic_files import PARTIAL, whole_folder
from workbench.runs.index import Index
from workbench.runs.store import FILES, RunStore

CACHE = Path("build/remote")
"""Where runs of remote stores are recorded, and kept once they are read."""
RESULT = "result.json"
_MINE = ("lock",)  # files that mean something on this machine alone


def open_store(where: str | Path, cache: Path = CACHE, *, numbers_alone: bool = False) -> RunStore:
    """Open a store: a folder, or a URL of any file system that fsspec knows.

    Args:
        where: A path or a URL.
        cache: Folder of this machine for runs of a URL.
        numbers_alone: See ``RunStore``.

    Raises:
        ValueError: if the URL's file system is unknown or needs a package that is not there.
    """
    if "://" not in str(where):
        return RunStore(where, numbers_alone=numbers_alone)
    return RemoteStore(str(where), cache, numbers_alone=numbers_alone)


class RemoteStore(RunStore):
    """Runs at a URL, with a folder of this machine between.

    Presence is that of the remote result. What was made here and not delivered, because the
    process was killed on its way, is delivered when it is asked for: nothing is run twice.
    """

    def __init__(self, url: str, cache: Path = CACHE, *, numbers_alone: bool = False):
        import fsspec

        try:
            self.files, self.base = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise ValueError(f"The store {url} cannot be opened: {error}.") from error
        self.url = url
        name = hashlib.sha256(self.files.unstrip_protocol(self.base).encode()).hexdigest()[:12]
        super().__init__(Path(cache).resolve() / name, numbers_alone=numbers_alone)

    def ids(self) -> list[str]:
        """Return the ids of all complete runs, newest first where the file system knows times."""
        self.files.invalidate_cache()
        found = self.files.glob(f"{self.base}/*/{RESULT}", detail=True)
        names = [path.rsplit("/", 2)[-2] for path in found]
        times = [info.get("mtime") or info.get("LastModified") or 0 for info in found.values()]
        if len({type(time) for time in times}) > 1 or not all(times):
            return names
        return [name for _, name in sorted(zip(times, names, strict=True), reverse=True)]

    def index(self) -> Index:
        """Return what all complete runs say; those that are not here yet are fetched."""
        ids = self.ids()
        for run_id in ids:
            self.folder(run_id)
        found = super().index()
        damaged = {run_id: why for run_id, why in found.damaged.items() if run_id in ids}
        return Index(found.runs[found.runs["run"].isin(ids)], damaged)

    def __contains__(self, run_id: str) -> bool:
        self.files.invalidate_cache()  # another machine may have delivered it since
        return self.files.exists(f"{self.base}/{run_id}/{RESULT}")

    def record(self, spec, steps):
        """Record here, then deliver; see ``RunStore.record``."""
        run_id = spec.id
        self._withdraw(run_id)
        yield from super().record(spec, steps)
        self.deliver(run_id)

    def forget(self, run_id: str) -> None:
        """Make a run incomplete, here and there."""
        self._withdraw(run_id)
        super().forget(run_id)

    def settled(self, run_id: str) -> bool:
        """Return whether a run is complete there, after delivering what is complete here."""
        if run_id in self:
            return True
        if not super().__contains__(run_id):
            return False
        self.deliver(run_id)
        return True

    def deliver(self, run_id: str) -> None:
        """Upload what there is of a run, its result last."""
        here = self.root / run_id
        paths = [p for p in sorted(here.rglob("*")) if p.is_file() and p.name not in _MINE]
        paths = [p for p in paths if p.suffix != PARTIAL]
        for path in sorted(paths, key=lambda p: p.name == RESULT):
            there = f"{self.base}/{run_id}/{path.relative_to(here).as_posix()}"
            self.files.makedirs(there.rpartition("/")[0], exist_ok=True)
            self._put(path, there)

    def give(self, digest: str, path: Path) -> None:
        """See ``RunStore.give``."""
        there = f"{self.base}/{FILES}/{digest}"
        if not self.files.exists(there):
            self.files.makedirs(there.rpartition("/")[0], exist_ok=True)
            self._put(path, there)

    def take(self, digest: str, path: Path) -> None:
        """See ``RunStore.take``."""
        self.files.get_file(f"{self.base}/{FILES}/{digest}", str(path))

    def folder(self, run_id: str) -> Path:
        """Return a folder of this machine with the files of a run, fetched once."""
        here = self.root / run_id
        if (here / RESULT).exists() or run_id not in self:
            return here
        base = f"{self.base}/{run_id}/"
        with whole_folder(here) as partial:
            for path in self.files.find(base):
                target = partial / path.partition(f"{run_id}/")[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(path, str(target))
            shutil.rmtree(here, ignore_errors=True)
        return here

    def _withdraw(self, run_id: str) -> None:
        """Take a remote result away, before anything else of the run changes."""
        if run_id in self:
            self.files.rm_file(f"{self.base}/{run_id}/{RESULT}")

    def _put(self, path: Path, there: str) -> None:
        """Upload a file so that a reader sees all of it or nothing.

        Object stores do so by themselves; on others a half-written result would be one.
        """
        local = self.files.protocol in (("file", "local"), "file")
        if not local or (path.name != RESULT and FILES not in there):
            self.files.put_file(str(path), there)
            return
        self.files.put_file(str(path), f"{there}{PARTIAL}")
        self.files.mv(f"{there}{PARTIAL}", there)
