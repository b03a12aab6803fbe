"""The clone of the repository that this package runs from, or was installed from.

A wheel holds the package alone; what ships beside it, 30 MB of networks, few-shot sets and runs,
stays in the clone.
"""

from __future__ import annotations

import importlib.metadata
import json
import urllib.parse
import urllib.request
from pathlib import Path

DISTRIBUTION = "prompt-diffuser-workbench"


def clone_of(package: Path) -> Path | None:
    """Return the clone that holds a folder ``workbench``, or None: a wheel was unpacked there."""
    root = package.resolve().parent
    return root if (root / "pyproject.toml").exists() else None


def installed_from() -> Path | None:
    """Return the clone that ``pip install .`` read, or None: pip was given something else.

    pip notes it as ``direct_url.json`` beside the package (PEP 610).
    """
    try:
        noted = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    origin = json.loads(noted) if noted else {}
    if "dir_info" not in origin:
        return None
    folder = urllib.parse.urlsplit(origin["url"]).path
    return Path(urllib.request.url2pathname(folder))


def _there(clone: Path | None) -> Path | None:
    return clone if clone is not None and clone.is_dir() else None


RUNNING = clone_of(Path(__file__).parents[1])
"""The clone whose own files run, or None: a wheel's do."""
CLONE = RUNNING or _there(installed_from())
"""Where what ships lies, or None: it is not known, or gone."""
