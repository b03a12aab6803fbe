"""LeRobot's Parquet tables → arrays, in a process of its own as ``hdf5_reader`` is.

One row per step: lists ``observation.state`` and ``action``, numbers ``next.reward`` (or
``reward``), ``next.done``, ``episode_index``. Format:
https://huggingface.co/docs/lerobot/lerobot-dataset-v3

``python parquet_reader.py PATH MAX_BYTES`` writes safetensors to stdout; PATH is a table, or a
folder with tables below ``data``.
"""

from __future__ import annotations

from pathlib import Path

from workbench.exchange.hdf5_reader import Refused, answer

# Their names, in order of preference, and ours.
_COLUMNS = (
    (("observation.state", "observation", "observations"), "observations"),
    (("action", "actions"), "actions"),
    (("next.reward", "reward", "rewards"), "rewards"),
    (("next.done", "done", "terminals"), "terminals"),
    (("episode_index",), "episode_index"),
)
_MUST = ("observations", "actions", "rewards", "episode_index")


def _values(column, name: str):
    """Return a column of numbers, or of lists of as many numbers each, as an array."""
    import numpy as np
    import pyarrow as pa

    column, kind, width = column.combine_chunks(), column.type, 0
    if column.null_count:
        raise Refused(f"`{name}` lacks a value in {column.null_count} row(s). Fill or drop them.")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = set(np.unique(column.value_lengths().to_numpy(zero_copy_only=False)).tolist())
        if len(lengths) > 1:
            raise Refused(f"`{name}` must hold lists of one length: got {sorted(lengths)[:4]}.")
        width, column = (lengths or {1}).pop(), column.flatten()
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)) and not (
        pa.types.is_boolean(column.type)
    ):
        raise Refused(f"`{name}` must hold numbers: got {str(kind)[:80]}.")
    values = column.to_numpy(zero_copy_only=False)
    return values.reshape(-1, width) if width else values


def read(path: str, max_bytes: int) -> tuple[dict, dict]:
    """Return flat arrays by name, rows in the tables' order, and nothing else to say."""
    import numpy as np
    import pyarrow.parquet as pq

    files = sorted(Path(path).glob("data/**/*.parquet")) if Path(path).is_dir() else [Path(path)]
    if not files:
        raise Refused("the folder holds no table below `data/`. Copy the whole data set.")
    parts: dict[str, list] = {}
    for file in files:
        table = pq.ParquetFile(file)
        there = table.schema_arrow.names
        found = {ours: next((n for n in names if n in there), None) for names, ours in _COLUMNS}
        if lacking := [names[0] for names, ours in _COLUMNS if ours in _MUST and not found[ours]]:
            got = ", ".join(f"`{name[:40]}`" for name in there[:12])
            raise Refused(
                "it is a Parquet table, read as LeRobot writes them, without "
                f"{' and '.join(f'`{n}`' for n in lacking)}: got {got or 'nothing'}. Write one row "
                "per step with the lists `observation.state` and `action`, and `next.reward`."
            )
        read = table.read([name for name in found.values() if name], use_threads=False)
        for ours, name in found.items():
            if name:
                parts.setdefault(ours, []).append(_values(read[name], name))
                max_bytes -= parts[ours][-1].nbytes
        if max_bytes < 0:
            raise Refused("its tables are too large when read. Give fewer episodes.")
    try:
        return {name: np.concatenate(x) for name, x in parts.items()}, {}
    except ValueError:
        raise Refused("its tables have different columns. Give one of them.") from None


if __name__ == "__main__":
    import pyarrow.parquet  # noqa: F401  (before the limits: loading takes address space)

    answer(read)
