"""Prompt Diffuser with a diffuser that reads a few transitions of the task: ours, not published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.informed import InformedConfig, InformedDiffuser
from workbench.methods.generated import GeneratorTuning
from workbench.tasks import Family


@dataclass(frozen=True)
class InformedDiffusion(GeneratorTuning):
    """Tune an informed diffuser as Prompt Diffuser is tuned; see ``informed``.

    Attributes:
        diffuser: Pretrained informed diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    diffuser: InformedDiffuser | None = None
    config: InformedConfig = InformedConfig()

    label: ClassVar[str] = "Prompt Diffuser, informed"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "informed"}

    def pretrained(self) -> InformedDiffuser | None:
        """Return the pretrained diffuser, or None."""
        return self.diffuser

    def untrained(self, family: Family) -> InformedDiffuser:
        """Return a diffuser with random weights."""
        return InformedDiffuser(self.config, family)
