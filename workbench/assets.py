"""The shipped files: where they are, and the one manifest that says what made each of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from workbench.behaviour import BehaviourPolicy, Quality
from workbench.dataset import load_trajectories
from workbench.tasks import Task
from workbench.trajectory import Trajectory

ROOT = Path(__file__).resolve().parents[1] / "assets"
MANIFEST = ROOT / "manifest.json"


def policy_path(family: str, quality: Quality) -> Path:
    """Where the behaviour policy of a quality ships."""
    return ROOT / family / f"behaviour-{quality}.safetensors"


def model_path(family: str) -> Path:
    """Where the pretrained Prompt-DT ships."""
    return ROOT / family / "prompt-dt.safetensors"


def diffuser_path(family: str) -> Path:
    """Where the pretrained diffuser ships."""
    return ROOT / family / "diffuser.safetensors"


def demos_path(task: Task, quality: Quality) -> Path:
    """Where the few-shot set of a task and quality ships."""
    return ROOT / task.family / "demos" / f"{task.index}-{quality}.safetensors"


def behaviour(family: str, quality: Quality) -> BehaviourPolicy:
    """Load a shipped behaviour policy.

    Raises:
        ValueError: if the family ships none.
    """
    path = policy_path(family, quality)
    if not path.exists():
        raise ValueError(
            f"No {quality} behaviour policy ships for {family}: "
            f"make one with `python -m workbench behaviour {family}`."
        )
    return BehaviourPolicy.load(path)


def demos(task: Task, quality: Quality) -> tuple[Trajectory, ...]:
    """Load the few-shot set of a task and quality: 5 trajectories.

    Raises:
        ValueError: if it does not ship.
    """
    path = demos_path(task, quality)
    if not path.exists():
        raise ValueError(
            f"No {quality} few-shot set ships for {task}: few-shot sets exist for test tasks. "
            f"Make them with `python -m workbench demos {task.family}`."
        )
    return load_trajectories(path)


def manifest() -> dict[str, dict]:
    """Return the manifest: file name below ``assets/`` → what made it."""
    return json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}


def record(path: Path, *, command: str, seed: int, **measured: object) -> None:
    """Enter a file into the manifest, with its size, hash and the code's commit.

    Entries of files that no longer exist are dropped.
    """
    entries = {name: entry for name, entry in manifest().items() if (ROOT / name).exists()}
    entries[path.relative_to(ROOT).as_posix()] = {
        "command": command,
        "seed": seed,
        "commit": _commit(),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "measured": measured,
    }
    MANIFEST.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _commit() -> str:
    """Return the commit of the code, ``+`` appended when files of the package differ from it."""
    git = ["git", "-C", str(ROOT.parent)]
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
