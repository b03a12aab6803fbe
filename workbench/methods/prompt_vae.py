"""A VAE in the diffuser's place: the comparison that arXiv 2411.01168 claims and does not show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.generators import PromptVAE, VAEConfig
from workbench.methods.generated import GeneratorTuning


@dataclass(frozen=True)
class PromptVAETuning(GeneratorTuning):
    """Tune a conditional VAE on its evidence bound + λ L_DT; everything else as the diffuser.

    Attributes:
        generator: Pretrained VAE to start from; None starts from random weights.
        config: Size of the VAE when there is no pretrained one.
    """

    generator: PromptVAE | None = None
    config: VAEConfig = VAEConfig()

    kind: ClassVar[type] = PromptVAE
    label: ClassVar[str] = "Prompt VAE"
    needs: ClassVar[Mapping[str, str]] = {"generator": "vae"}
