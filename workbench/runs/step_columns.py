"""The updates of a complete run as compressed columns, as a store of very many runs keeps them.

``pandas.read_json("steps.json.xz")`` reads them as a table, with one row per update.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FILE = "steps.json.xz"
"""In a run's folder."""
TENSORS = 20
"""At how many updates, about, the numbers of every parameter tensor are kept."""
DIGITS, FEW_DIGITS = 7, 4
"""Significant digits of a loss, those that a float32 has, and of what is told of gradients."""


def packed(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """Return lines of ``steps.jsonl`` as columns; ``unpacked`` gives them back as they were.

    A nested number has a column named by its path, ``gradients.plane.norm_dm``; ``null`` stands
    where a line has none.
    """
    rows = [dict(_flat(line)) for line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return lzma.compress(json.dumps(columns, separators=(",", ":")).encode())


def unpacked(packed: bytes) -> list[dict[str, Any]]:
    """Return the lines that ``packed`` was made of.

    Raises:
        ValueError: if it is damaged.
    """
    try:
        columns = json.loads(lzma.decompress(packed))
        rows = zip(*columns.values(), strict=True)
        return [_nested(zip(columns, row, strict=True)) for row in rows]
    except (lzma.LZMAError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from error


def lean(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return lines of fewer digits, with the numbers of every tensor in evenly spread ones alone.

    Losses, and how the whole gradients agree, stay in all of them.
    """
    every, kept = max(1, len(lines) // TENSORS), []
    for whole in lines:
        line = _short(whole, DIGITS)
        if "gradients" in line:
            line["gradients"] = _short(line["gradients"], FEW_DIGITS)
            if line["update"] % every:
                line["gradients"]["tensors"] = {}
        kept.append(line)
    return kept


def _short(numbers: Mapping[str, Any], digits: int) -> dict[str, Any]:
    return {n: float(f"{v:.{digits}g}") if isinstance(v, float) else v for n, v in numbers.items()}


def _flat(line: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return a line's entries under dotted names."""
    for name, value in line.items():
        if name != "gradients":
            yield name, value
            continue
        told = dict(value)
        plane, tensors = told.pop("plane") or {}, told.pop("tensors")
        yield from ((f"gradients.{n}", v) for n, v in told.items())
        yield from ((f"gradients.plane.{n}", v) for n, v in plane.items())
        for tensor, agreed in tensors.items():
            yield from ((f"gradients.tensors.{tensor}.{n}", v) for n, v in agreed.items())


def _nested(row: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a line again from its entries under dotted names."""
    line: dict[str, Any] = {}
    for name, value in row:
        if value is None:
            continue
        if not name.startswith("gradients."):
            line[name] = value
            continue
        gradients = line.setdefault("gradients", {"plane": None, "tensors": {}})
        kind, _, rest = name.removeprefix("gradients.").partition(".")
        if kind == "plane":
            gradients["plane"] = {**(gradients["plane"] or {}), rest: value}
        elif kind == "tensors":
            tensor, _, number = rest.rpartition(".")
            gradients["tensors"].setdefault(tensor, {})[number] = value
        else:
            gradients[kind] = value
    return line
