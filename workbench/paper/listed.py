"""What ``table`` and ``methods`` print of all that ships, kept: so they answer without torch.

It is in ``assets/results/listed.json``, which ``results --write`` writes, and counts as long as
nothing has changed of what it was made of: the files that ship, by the manifest, and the code that
says what a row is. Once something has, the verbs make their answer anew.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.data.atomic_files import write_json
from workbench.shipped import assets
from workbench.tasks import plugins

SEEDS = (0, 1, 2)
"""Seeds of the adaptation that the tables run."""
ALL = "all families, normalised"
"""The column of a table that stands for all of its families."""
NEEDS_GRADIENT = "needs a gradient"
"""What is said of a cell without any runs: its model has none to give to its method."""

_NAME = "results/listed.json"
_ROOMS = ("networks", "methods", "tuning", "paper")


def path() -> Path:
    """Return the file."""
    return assets.ROOT / _NAME


def listed(verb: str, what: str) -> Any:
    """Return what a verb has to say of something that ships, or None where that must be made.

    Args:
        verb: ``table`` or ``methods``.
        what: Name of the table, or the family.
    """
    kept = _kept()
    return None if plugins.plugins() else kept.get(verb, {}).get(what)


def is_fresh() -> bool:
    """Return whether what is kept counts."""
    return bool(_kept())


def _kept() -> dict[str, Any]:
    """Return what the file holds; nothing, where it does not count."""
    try:
        kept = json.loads(path().read_text(encoding="utf-8"))
        return kept if kept["made_of"] == made_of() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write(answers: Mapping[str, Mapping[str, Callable[[], Any]]]) -> None:
    """Make every answer and keep it: verb → what → the answer, plain JSON."""
    made = {verb: {w: make() for w, make in whats.items()} for verb, whats in answers.items()}
    write_json(path(), {"made_of": made_of(), **made})
    assets.record(path(), command="python -m workbench results --write", seed=0)


@functools.cache
def _code() -> str:
    """Return a hash of the code that says what a row is."""
    found = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((Path(__file__).parents[1] / room).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


def made_of() -> str:
    """Return a hash of all that the answers are made of."""
    files = {name: entry["sha256"] for name, entry in assets.manifest().items() if name != _NAME}
    return hashlib.sha256((_code() + json.dumps(files, sort_keys=True)).encode()).hexdigest()
