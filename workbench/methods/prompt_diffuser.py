"""Prompt Diffuser (arXiv 2411.01168): generate the prompt by diffusion, guided by the task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.diffusion import DiffuserConfig, PromptDiffuser
from workbench.methods.generated import GeneratorTuning


@dataclass(frozen=True)
class PromptDiffusion(GeneratorTuning):
    """Tune a diffuser on L_DM + λ L_DT with projected gradients.

    Attributes:
        diffuser: Pretrained diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    diffuser: PromptDiffuser | None = None
    config: DiffuserConfig = DiffuserConfig()

    kind: ClassVar[type] = PromptDiffuser
    label: ClassVar[str] = "Prompt Diffuser"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "diffuser"}
