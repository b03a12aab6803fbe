"""Files that only a large C library reads are read by a process of its own, see ``hdf5_reader``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from safetensors.numpy import load

from workbench.exchange import hdf5_reader
from workbench.exchange.pickle_reader import MAX_ARRAY_BYTES, refuse

_SECONDS = 30


def read_apart(reader: ModuleType, path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Let a reader's program read a file; whatever becomes of that process, this one goes on.

    Args:
        reader: ``hdf5_reader`` or ``parquet_reader``.
        path: What it reads.

    Returns:
        Arrays by name, and what else it says.

    Raises:
        RefusedFile: for the reader's reason, or if it broke down or took too long.
    """
    assert reader.__file__ is not None
    program = [sys.executable, "-P", reader.__file__]
    command = [*program, str(path.resolve()), str(MAX_ARRAY_BYTES)]
    places = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    # No plug-ins: a compression filter that the file names would be loaded as code.
    settings = {
        "HDF5_PLUGIN_PRELOAD": "::",
        "HDF5_PLUGIN_PATH": "",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
    }
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, env=os.environ | settings
        )
    except subprocess.TimeoutExpired:
        refuse(f"reading it takes more than {_SECONDS} s: it is damaged or far too large.")
    if done.returncode == hdf5_reader.REFUSED:
        refuse(" ".join(done.stderr.decode(errors="replace").split()))
    if done.returncode:
        refuse(
            "the library that reads this form broke down on it: it is damaged, or made to do so. "
            "Nothing else was affected.",
            f"status {done.returncode}",
        )
    size = int.from_bytes(done.stdout[:8], "little")
    header = json.loads(done.stdout[8 : 8 + size])
    return load(done.stdout), json.loads(header["__metadata__"]["about"])
