"""Every form in which demonstrations come, recognised by its first bytes, read without running it.

Our own safetensors, published pickles, Minari data sets (a folder, a zip of one, the HDF5 file
alone), HDF5 of D4RL and robomimic, NumPy archives, LeRobot's tables. What comes out is the same:
episodes, and the task that the file itself names.
"""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.data.trajectory_files import load_trajectories
from workbench.exchange import parquet_reader
from workbench.exchange.flat_arrays import cut, npz_episodes
from workbench.exchange.hdf5_reader import D4RL, MINARI, ROBOMIMIC
from workbench.exchange.minari_format import MAIN, METADATA, MinariFile, read_hdf5, read_minari
from workbench.exchange.other_forms import named, named_archive
from workbench.exchange.pickle_reader import MAX_FILE_BYTES, RefusedFile, refuse
from workbench.exchange.prompt_dt_release import named_task, pickled_episodes
from workbench.exchange.raw_episodes import Episode
from workbench.exchange.separate_process import read_apart

MAX_UNZIPPED_BYTES, MAX_MEMBERS = 256 << 20, 10_000
PUBLISHED = "published pickle"
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
KNOWN = (
    f"our .safetensors, a published .pkl, a Minari data set (its folder, a .zip of it, or {MAIN}), "
    "the .hdf5 of D4RL or robomimic, a NumPy .npz of flat arrays, a LeRobot .parquet"
)


@dataclass(frozen=True, eq=False)
class Recording:
    """What a file holds, checked for no more than its form.

    Attributes:
        form: What kind of file it is, in words.
        episodes: In order, arrays in the file's own types.
        claims: Family and task index that the file names for each episode, or None.
        claimed_by: The part of the file that names them, for errors: its name, its header, ….
        warnings: What is odd about the file.
    """

    form: str
    episodes: tuple[Episode, ...]
    claims: tuple[tuple[str, int] | None, ...]
    claimed_by: str
    warnings: tuple[str, ...] = ()


def read_recording(path: str | Path, name: str | None = None) -> Recording:
    """Read a file of demonstrations of any form.

    Args:
        path: The file or folder.
        name: What the user calls it, if its path does not say; published files are called after
            their task.

    Raises:
        RefusedFile: if it is of no known form, damaged, too large, or would run or reach
            anything; the error says which.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "meta" / "info.json").is_file():
            return _of_flat("LeRobot data set", _parquet(path))
        return _of_minari("Minari data set", read_minari(path))
    if not path.is_file():
        refuse("there is no such file. Give the path of a file of demonstrations.")
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        refuse(f"it cannot be opened: {error.strerror}. Check its permissions.")
    if size > MAX_FILE_BYTES:
        refuse(
            f"it is larger than {MAX_FILE_BYTES >> 20} MiB ({size >> 20} MiB). "
            "Split it into smaller files, a few episodes each."
        )
    if not size:
        refuse("it is empty. Copy it again.")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        layout, read = read_hdf5(path)
        return _of_minari(_HDF5[layout], read)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_zip(path)
    if head.startswith(b"PAR1"):
        return _of_flat("LeRobot table", _parquet(path))
    if known := named(head):
        refuse(known)
    suffix = Path(name or path).suffix.lower()
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or suffix == ".pkl":
        episodes = pickled_episodes(path)
        claims = (named_task(name or path),) * len(episodes)
        return Recording(PUBLISHED, episodes, claims, "its name")
    if head[8:9] == b"{" or suffix == ".safetensors":
        return _of_ours(path)
    refuse(f"it is of no known form. Known: {KNOWN}.")


_HDF5 = {MINARI: "Minari's HDF5 file", D4RL: "D4RL's HDF5 file", ROBOMIMIC: "robomimic's HDF5 file"}


def _of_minari(form: str, read: MinariFile) -> Recording:
    return Recording(form, read.episodes, read.claims, "its metadata", read.warnings)


def _of_flat(form: str, episodes: tuple[Episode, ...]) -> Recording:
    return Recording(form, episodes, (None,) * len(episodes), "it")


def _parquet(path: Path) -> tuple[Episode, ...]:
    arrays, _ = read_apart(parquet_reader, path)
    return cut(arrays, "it, a LeRobot table,")


def _of_zip(path: Path) -> Recording:
    """Tell NumPy's archives, and the zips that hold something else, from a zipped data set."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
    except _DAMAGED as error:
        refuse(_CUT, str(error)[:120])
    if members and all(m.filename.endswith(".npy") for m in members):
        return _of_flat("NumPy archive", npz_episodes(path))
    if not any(_inside(m).name == MAIN for m in members) and (known := named_archive(members)):
        refuse(known)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        read = _unzipped(path, members, Path(folder))
        found = read_minari(read) if read.is_dir() else read_hdf5(read)[1]
    return _of_minari("Minari data set, zipped", found)


def _of_ours(path: Path) -> Recording:
    try:
        trajectories = load_trajectories(path)
    except ValueError as error:
        refuse(str(error).replace(str(path), "it"))
    columns = ("observations", "actions", "rewards", "states")
    episodes = tuple(
        {name: x for name in columns if (x := getattr(t, name)) is not None} for t in trajectories
    )
    claims = tuple((t.task.family, t.task.index) for t in trajectories)
    return Recording("our safetensors", episodes, claims, "its header")


def _inside(member: zipfile.ZipInfo) -> PurePosixPath:
    """Return where in its archive a member lies; some programs of Windows write backslashes."""
    return PurePosixPath(member.filename.replace("\\", "/"))


def _unzipped(path: Path, members: Sequence[zipfile.ZipInfo], folder: Path) -> Path:
    """Copy the one Minari data set of an archive into ``folder``, under names of our own."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check(members)
            mains = [m for m in members if _inside(m).name == MAIN]
            if len(mains) != 1:
                refuse(
                    f"the archive must hold one {MAIN}: it holds {len(mains)}. "
                    "Zip the folder of one Minari data set."
                )
            about = _inside(mains[0]).with_name(METADATA)
            for member in (*mains, *(m for m in members if _inside(m) == about)):
                with archive.open(member) as source, open(folder / _inside(member).name, "xb") as f:
                    _copy(source, f)
    except RefusedFile:
        raise
    except FileExistsError:
        refuse("the archive holds a file twice. Zip the folder again.")
    except _DAMAGED as error:
        refuse(_CUT, str(error)[:120])
    return folder if (folder / METADATA).exists() else folder / MAIN


_CUT = "the archive is truncated or damaged. Zip the folder again."
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def _check(members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse archives that would write elsewhere ("zip slip") or are much larger unpacked."""
    if len(members) > MAX_MEMBERS:
        refuse(f"the archive holds more than {MAX_MEMBERS} files. Zip one data set alone.")
    for member in members:
        name = member.orig_filename
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or not parts[0] or ":" in parts[0] or "\0" in name:
            refuse(
                f"the archive names {name[:80]!r}, a place outside itself. Nothing was unpacked."
            )
        if member.flag_bits & 1 or member.compress_type not in _PLAIN:
            refuse("the archive is encrypted or packed in an unusual way. Zip it plainly.")
        if stat.S_ISLNK(member.external_attr >> 16):
            refuse(f"the archive holds a link, {name[:80]!r}. Zip the files themselves.")
    total = sum(member.file_size for member in members)
    if total > MAX_UNZIPPED_BYTES:
        refuse(
            f"the archive would unpack to {total >> 20} MiB, more than "
            f"{MAX_UNZIPPED_BYTES >> 20}. Nothing was unpacked; zip fewer episodes."
        )


def _copy(source: IO[bytes], file: IO[bytes]) -> None:
    """Copy no more than the limit, whatever size the archive declares: it may lie."""
    left = MAX_UNZIPPED_BYTES
    while chunk := source.read(min(1 << 20, left + 1)):
        left -= len(chunk)
        if left < 0:
            refuse(f"the archive unpacks to more than {MAX_UNZIPPED_BYTES >> 20} MiB.")
        file.write(chunk)
