"""Pretrained networks by name, loaded once."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from workbench.networks.critic import Critic
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.hyper_network import HyperNetwork
from workbench.networks.informed_diffusion import InformedDiffuser
from workbench.networks.models import MODELS, PROMPT_DT
from workbench.networks.prompt_dt import PromptDT
from workbench.networks.vae_gan import PromptGAN, PromptVAE
from workbench.networks.variants import holder
from workbench.shipped import assets
from workbench.tasks.splits import TEST

NETWORKS: dict[str, type] = {
    **MODELS,
    "mt-orl": PromptDT,
    "diffuser": PromptDiffuser,
    "vae": PromptVAE,
    "gan": PromptGAN,
    "informed": InformedDiffuser,
    "hyper": HyperNetwork,
    "critic": Critic,
}
"""The kinds of pretrained networks, by the name of their files."""


def load_model(
    family: str, split: str = TEST, variant: str = "", name: str = PROMPT_DT
) -> PromptDT:
    """Load a family's pretrained Prompt-DT, or another model, frozen; once, unless it changes."""
    return load_network(family, name, split, variant)


def load_diffuser(family: str, split: str = TEST) -> PromptDiffuser:
    """Load a family's pretrained diffuser, once unless the file changes; learners copy it."""
    return load_network(family, "diffuser", split)


def load_network(family: str, name: str, split: str = TEST, variant: str = "") -> torch.nn.Module:
    """Load a pretrained network by its name (see ``NETWORKS``), once unless the file changes.

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    return network_at(assets.pretrained_path(family, name, split, variant), variant)


def load_all(family: str) -> None:
    """Load every network that ships for a family, so that nobody waits for it later."""
    for name in NETWORKS:
        if assets.pretrained_path(family, name).exists():
            load_network(family, name)


def network_at(path: Path, variant: str = "") -> torch.nn.Module:
    """Load the pretrained network that ``assets.pretrained_path`` found: ``<family>/<name>.…``.

    Raises:
        ValueError: if it is not there, with the command that makes it.
    """
    family, name = path.parent.name, path.stem
    if (variant := holder(variant, name)) and not path.exists():
        verb = "pretrain" if name in MODELS else name
        which = f" --model {name}" if name in MODELS and name != PROMPT_DT else ""
        raise ValueError(
            f"The variant {variant} of {family}'s {name} was not made yet. Make it: `python -m "
            f"workbench collect {family}`, then `python -m workbench {verb} {family} "
            f"--variant {variant}{which}` (prompt-dt before the others)."
        )
    if name in MODELS and name != PROMPT_DT and not path.exists():
        raise ValueError(
            f"No {MODELS[name].kind} ships for {family}. Make it: `python -m workbench collect "
            f"{family}`, then `python -m workbench pretrain {family} --model {name}`."
        )
    if name == "critic" and not path.exists():
        raise ValueError(
            f"No critic ships for {family}, so that value cannot guide. Make one: `python -m "
            f"workbench collect {family}`, then `python -m workbench critic {family}`."
        )
    return _load(NETWORKS[name], path, path.stat().st_mtime_ns if path.exists() else 0)


@functools.lru_cache(maxsize=64)  # more than ship: a shared server keeps all
def _load(kind: type, path: Path, _changed: int):
    return kind.load(path).requires_grad_(False)
