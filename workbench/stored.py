"""A pretrained network in one file: its weights, its size and the family it belongs to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import nn

from workbench.checkpoint import read_checkpoint, write_checkpoint
from workbench.tasks import Family, find


class Stored(nn.Module):
    """A network that is built from a configuration and a family, and kept in one file.

    Attributes:
        kind: What it is, for errors.
        sizes: Class of its configuration, a dataclass of plain values.
        config: Its configuration.
        family: The family whose prompts or demonstrations it knows.
        n_evidence: Few-shot transitions that a generator reads besides its condition; see
            ``informed``.
    """

    kind: ClassVar[str]
    sizes: ClassVar[type]
    n_evidence = 0

    def __init__(self, config: Any, family: Family):
        super().__init__()
        self.config, self.family = config, family

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Return the numbers that a training or a tuning changes."""
        return tuple(self.parameters())

    @property
    def n_parameters(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.trainable())

    def save(self, path: Path, *, half: bool = False, **metadata: object) -> None:
        """Write weights, size and family as safetensors; see ``write_checkpoint``."""
        header = {"config": dataclasses.asdict(self.config), "family": self.family.name, **metadata}
        write_checkpoint(path, self.state_dict(), header, half=half)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a checkpoint; nothing in it is executed.

        Raises:
            ValueError: if the file is missing or is no checkpoint of this kind.
        """
        header, state = read_checkpoint(path)
        try:
            network = cls(cls.sizes(**header["config"]), find(header["family"]))
            network.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is no checkpoint of a {cls.kind}: {error}.") from error
        return network
