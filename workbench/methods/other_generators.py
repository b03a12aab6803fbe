"""A VAE, a GAN and an informed diffuser in the diffuser's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from workbench.methods.prompt_diffuser import GeneratorTuning
from workbench.networks.informed_diffusion import InformedConfig, InformedDiffuser
from workbench.networks.vae_gan import GANConfig, PromptGAN, PromptVAE, VAEConfig


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
    label: ClassVar[str] = "Prompt Diffuser, told the task (ours)"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "informed"}


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
