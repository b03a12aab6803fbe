"""Prompt Diffuser with a diffuser that reads a few transitions of the task: ours, not published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.informed import InformedConfig, InformedDiffuser
from workbench.methods.generated import GeneratorTuning


@dataclass(frozen=True)
class InformedDiffusion(GeneratorTuning):
    """Tune an informed diffuser as Prompt Diffuser is tuned; see ``informed``.

    Attributes:
        diffuser: Pretrained informed diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    diffuser: InformedDiffuser | None = None
    config: InformedConfig = InformedConfig()

    kind: ClassVar[type] = InformedDiffuser
    label: ClassVar[str] = "Prompt Diffuser, informed"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "informed"}
