"""A network in one file: tensors and a JSON header as safetensors; nothing is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_checkpoint(
    path: Path, state: Mapping[str, Tensor], header: Mapping[str, object], *, half: bool
) -> None:
    """Write tensors and a JSON header as safetensors.

    Args:
        path: The file.
        state: Weights and buffers by name.
        header: Plain JSON.
        half: Keep matrices in float16: half the bytes, numbers rounded to 11 bits.
    """
    kept = {
        k: (v.half() if half and v.ndim > 1 and v.dtype == torch.float32 else v).contiguous()
        for k, v in state.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(kept, path, {"workbench": json.dumps(header)})


def read_checkpoint(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """Return the JSON header and the tensors of a safetensors checkpoint.

    Raises:
        ValueError: if the file is missing, truncated or without our header.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(
            f"There is no checkpoint {path}. Make it with `pretrain` (a Prompt-DT) or with the "
            "verb that has the file's name; `python -m workbench --help` tells the order."
        )
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["workbench"])
            state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            return header, {k: v.float() if v.dtype == torch.half else v for k, v in state.items()}
    except Exception as error:
        raise ValueError(f"{path} is no checkpoint of this workbench: {error}.") from error
