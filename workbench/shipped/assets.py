"""The shipped files: where they are, and the one manifest that says what made each of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.data import own_sets
from workbench.data.atomic_files import write_json
from workbench.data.qualities import QUALITIES, Quality
from workbench.networks import variants
from workbench.shipped.checkout import CLONE, RUNNING
from workbench.tasks import FAMILIES, Task, find, plugins
from workbench.tasks.splits import TEST

if TYPE_CHECKING:  # loading needs torch, which takes seconds; saying what ships does not
    from workbench.data.behaviour import BehaviourPolicy
    from workbench.data.trajectory import Trajectory


def _root() -> Path:
    """Return the folder of the shipped files.

    Raises:
        FileNotFoundError: from a wheel, if nothing says where it is.
    """
    if named := os.environ.get("WORKBENCH_ASSETS"):
        return Path(named).resolve()
    if CLONE is None:
        raise FileNotFoundError(
            "The shipped files are not here: a wheel does not hold them. Name the folder `assets` "
            "of a clone of the repository, `export WORKBENCH_ASSETS=CLONE/assets`, or install "
            "from a clone, `python -m pip install CLONE`, and leave it in its place."
        )
    return CLONE / "assets"


ROOT = _root()
"""The folder of the shipped files; ``WORKBENCH_ASSETS`` names another one."""
ON_DEMAND = (CLONE or Path.cwd()) / "data"
"""The folder of networks that are made on demand and do not ship."""
MANIFEST = ROOT / "manifest.json"
OTHER = "other:"
"""Before the index of another task of the family, where a quality is asked for."""


def home_of(family: str) -> Path:
    """The folder of a family's files: what ships, or the user's own for one of a plug-in."""
    if not family or dict.__contains__(FAMILIES, family):  # which is of no plug-in
        return ROOT
    plugin = plugins.of_family(family)
    return ROOT if plugin is None else plugin.home


def holding(path: Path) -> Path | None:
    """The folder of assets that a file is below; None where it is below none."""
    folders = [ROOT, *(plugin.home for plugin in plugins.plugins() if plugin.families)]
    return next((folder for folder in folders if path.is_relative_to(folder)), None)


def policy_path(family: str, quality: Quality) -> Path:
    """Where the behaviour policy of a quality ships."""
    return home_of(family) / family / f"behaviour-{quality}.safetensors"


def root_of(split: str = TEST, family: str = "") -> Path:
    """The folder of the files of a split: ``validation`` is made on demand and does not ship."""
    home = home_of(family)
    if split == TEST:
        return home
    return (ON_DEMAND if split == "validation" else home) / split


def pretrained_path(family: str, name: str, split: str = TEST, variant: str = "") -> Path:
    """Where a pretrained network is kept: ``prompt-dt``, ``diffuser``, ``mt-orl`` and so on."""
    root = root_of(split, family)
    if variant := variants.holder(variant, name):
        ships = variant in variants.SHIPPED and split == TEST
        root = home_of(family) if ships else ON_DEMAND / "variants"
        root = root / variant / ("" if split == TEST else split)
    return root / family / f"{name}.safetensors"


def model_path(family: str, split: str = TEST, variant: str = "") -> Path:
    """Where the pretrained Prompt-DT ships."""
    return pretrained_path(family, "prompt-dt", split, variant)


def diffuser_path(family: str, split: str = TEST) -> Path:
    """Where the pretrained diffuser ships."""
    return pretrained_path(family, "diffuser", split)


def check_quality(quality: str) -> None:
    """Check that there can be few-shot sets of a quality.

    Raises:
        ValueError: if it is neither a quality that ships, nor ``own:<name>`` or ``other:<task>``.
    """
    if quality.startswith(own_sets.PREFIX):
        own_sets.name_of(quality)  # says what is wrong with the name
    elif other_task(quality) is None and quality not in QUALITIES:
        raise ValueError(
            f"`quality` must be one of {', '.join(QUALITIES)}, {own_sets.PREFIX}NAME for a set of "
            f"your own, or {OTHER}TASK for the expert set of another task: got {quality!r}."
        )


def other_task(quality: str) -> int | None:
    """Return 17 for ``other:17``: nothing of the task itself is used, but task 17's expert set."""
    index = quality.removeprefix(OTHER)
    return int(index) if index != quality and index.isdecimal() and index.isascii() else None


def demos_path(task: Task, quality: str, split: str = TEST) -> Path:
    """Where the few-shot set of a task and quality ships, or is kept if it is ``own:<name>``."""
    if quality.startswith(own_sets.PREFIX):
        return own_sets.path_of(task, own_sets.name_of(quality))
    if (index := other_task(quality)) is not None:
        task, quality = find(task.family).task(index), "expert"
    return (
        root_of(split, task.family) / task.family / "demos" / f"{task.index}-{quality}.safetensors"
    )


def behaviour(family: str, quality: Quality) -> BehaviourPolicy:
    """Load a shipped behaviour policy.

    Raises:
        ValueError: if the family ships none.
    """
    from workbench.data.behaviour import BehaviourPolicy

    path = policy_path(family, quality)
    if not path.exists():
        raise ValueError(
            f"No {quality} behaviour policy ships for {family}: "
            f"make one with `python -m workbench behaviour {family}`."
        )
    return BehaviourPolicy.load(path)


def demos(task: Task, quality: str, split: str = TEST) -> tuple[Trajectory, ...]:
    """Load the few-shot set of a task and quality: 5 trajectories, or what ``own:<name>`` holds.

    Raises:
        ValueError: if it does not ship, or was not imported.
    """
    return demos_at(demos_path(task, quality, split), task, quality, split)


def demos_at(path: Path, task: Task, quality: str, split: str = TEST) -> tuple[Trajectory, ...]:
    """Load the few-shot set that ``demos_path`` found.

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    from workbench.data.trajectory_files import load_trajectories

    if quality.startswith(own_sets.PREFIX):
        return own_sets.load(task, own_sets.name_of(quality))
    if not path.exists():
        raise ValueError(
            f"No {quality} few-shot set ships for {task}: few-shot sets exist for test tasks. "
            f"Make them with `python -m workbench demos {task.family}"
            f"{'' if split == TEST else f' --split {split}'}`."
        )
    return load_trajectories(path)


def has_models(family: str) -> bool:
    """Return whether a family's Prompt-DT, diffuser and few-shot sets ship."""
    paths = model_path(family), diffuser_path(family), home_of(family) / family / "demos"
    return all(path.exists() for path in paths)


def manifest_of(root: Path) -> Path:
    """Where a folder of assets says what made its files."""
    return MANIFEST if root == ROOT else root / MANIFEST.name


def manifest(root: Path | None = None) -> dict[str, dict]:
    """Return the manifest: file name below ``assets/`` (or ``root``) → what made it.

    Raises:
        ValueError: if the file is no manifest.
    """
    path = manifest_of(root or ROOT)
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_bytes())
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise ValueError("not a table of files")
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Restore it: `git checkout -- assets/manifest.json`."
        ) from error
    return entries


def record(path: Path, *, command: str, seed: int, **measured: object) -> None:
    """Enter a file into the manifest, with its size, hash and the code's commit.

    Entries of files that no longer exist are dropped. Processes that record at the same time
    take turns, and a reader sees the manifest before or after, never half of it.
    """
    root = holding(path) or ROOT
    name = path.relative_to(root).as_posix()
    entry = {
        "command": command,
        "seed": seed,
        "commit": commit(),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "measured": measured,
    }
    with _turn(root):
        entries = {n: e for n, e in manifest(root).items() if (root / n).exists()} | {name: entry}
        _write(root, entries)


def measure(path: Path, **measured: object) -> None:
    """Add figures to the entry of a shipped file.

    Raises:
        ValueError: if the manifest has no such file, or the file has changed since.
    """
    root = holding(path) or ROOT
    name = path.relative_to(root).as_posix()
    with _turn(root):
        entries = manifest(root)
        if name not in entries or entries[name]["sha256"] != sha256(path):
            raise ValueError(
                f"{name} is not the file of the manifest: make it again with its command."
            )
        entries[name]["measured"] |= measured
        _write(root, entries)


def _write(root: Path, entries: dict[str, dict]) -> None:
    write_json(manifest_of(root), dict(sorted(entries.items())))


@contextlib.contextmanager
def _turn(root: Path) -> Iterator[None]:
    """Wait for our turn to write; the folder itself is the lock, so no lock file is left."""
    try:
        import fcntl

        folder = os.open(root, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, which locks otherwise: nobody to take turns with
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # which ends the turn


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit() -> str:
    """Return the commit of the code, ``+`` appended when files of the package differ from it."""
    if RUNNING is None:
        return "unknown"
    git = ["git", "-C", str(RUNNING)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "workbench"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")
