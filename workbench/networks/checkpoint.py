"""A network in one file: weights, size and family; nothing is executed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.data.atomic_files import whole_file
from workbench.tasks import Family, find


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
    with whole_file(path) as partial:
        save_file(kept, partial, {"workbench": json.dumps(header)})


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


ADDED_LATER = {"added later": True}
"""Metadata of a field that files and trainings of before do not name."""


def plain_sizes(config: Any) -> dict[str, Any]:
    """Return a configuration as plain JSON.

    What was added later is left out where it is as it was before, so that what is made again has
    the bytes that it had.
    """
    usual = {f.name: f.default for f in dataclasses.fields(config) if f.metadata == ADDED_LATER}
    return {n: v for n, v in dataclasses.asdict(config).items() if v != usual.get(n, ...)}


class SavedNetwork(nn.Module):
    """A network that is built from a configuration and a task family, and kept in one file.

    Attributes:
        kind: What it is, for errors.
        sizes: Class of its configuration, a dataclass of plain values.
        config: Its configuration.
        family: The family whose prompts or demonstrations it knows.
    """

    kind: ClassVar[str]
    sizes: ClassVar[type]

    def __init__(self, config: Any, family: Family):
        super().__init__()
        self.config, self.family = config, family

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Return the parameters that training or tuning changes."""
        return tuple(self.parameters())

    @property
    def n_transitions(self) -> int:
        """Few-shot transitions that are read besides a condition: 0 but for informed diffusers."""
        return 0

    @property
    def n_parameters(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.trainable())

    def save(self, path: Path, *, half: bool = False, **metadata: object) -> None:
        """Write weights, size and family as safetensors; see ``write_checkpoint``."""
        header = {"config": plain_sizes(self.config), "family": self.family.name, **metadata}
        write_checkpoint(path, self.state_dict(), header, half=half)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a checkpoint; nothing in it is executed.

        Raises:
            ValueError: if the file is missing or is no checkpoint of this kind.
        """
        header, state = read_checkpoint(path)
        try:
            network = cls(cls.sizes(**cls.upgraded(header["config"])), find(header["family"]))
            network.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is no checkpoint of a {cls.kind}: {error}.") from error
        return network

    @classmethod
    def upgraded(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration in a file by today's names, whenever it was written."""
        return dict(config)
