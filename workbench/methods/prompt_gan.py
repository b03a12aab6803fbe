"""A GAN in the diffuser's place: the comparison that arXiv 2411.01168 claims and does not show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.generators import GANConfig, PromptGAN
from workbench.methods.generated import GeneratorTuning


@dataclass(frozen=True)
class PromptGANTuning(GeneratorTuning):
    """Tune a conditional GAN on its critic + λ L_DT; everything else as the diffuser.

    Attributes:
        generator: Pretrained GAN to start from, critic included; None starts from random weights.
        config: Size of the GAN when there is no pretrained one.
    """

    generator: PromptGAN | None = None
    config: GANConfig = GANConfig()

    kind: ClassVar[type] = PromptGAN
    label: ClassVar[str] = "Prompt GAN"
    needs: ClassVar[Mapping[str, str]] = {"generator": "gan"}
