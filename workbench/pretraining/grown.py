"""A larger Prompt-DT that begins as a smaller one: the same function, with more to learn with."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.networks.prompt_dt import PromptDT

_READS = (".qkv.weight", ".out.weight", ".up.weight", ".down.weight")
_ADDS = (".out.weight", ".out.bias", ".down.weight", ".down.bias")


def grown(model: PromptDT, other: PromptDT) -> dict[str, Tensor]:
    """Return weights for ``model`` with which it predicts what a smaller one does.

    As Net2Net (arXiv 1511.05641): each unit stands c times, and heads as wide as before stand for
    the attention's. What reads the c copies reads a c-th of each, and of them besides what
    ``model`` has itself, less its mean over the copies, so that they do not learn the same. Blocks
    that ``other`` lacks add nothing at first. Of equal sizes it is a copy.

    Args:
        model: As initialised. It is not changed.
        other: No larger; its normaliser comes along.

    Returns:
        By name: what ``other`` has, and what its lack of blocks asks for.

    Raises:
        ValueError: if the widths are no multiple, the heads are of another width, or ``other`` has
            more blocks.
    """
    large, small = model.config, other.config
    times = large.width // small.width
    if (times * small.width, times * small.n_heads) != (large.width, large.n_heads) or (
        large.n_layers < small.n_layers
    ):
        raise ValueError(f"{large} is no multiple of {small}.")
    own, weights = model.state_dict(), {}
    for name, weight in other.state_dict().items():
        if name.startswith("normalizer."):
            weights[name] = weight
        elif name.endswith(_READS) or name == "head.weight":
            weights[name] = _split(_repeated(name, weight, times), own.get(name, weight), times)
        else:
            weights[name] = _repeated(name, weight, times)
    for i in range(small.n_layers, large.n_layers):
        names = [n for n in own if n.startswith(f"blocks.{i}.") and n.endswith(_ADDS)]
        weights |= {name: own[name].new_zeros(own[name].shape) for name in names}
    return weights


def _repeated(name: str, weight: Tensor, times: int) -> Tensor:
    """Return weights with each unit that they write ``times``, one whole layer after another."""
    if name.startswith("head."):
        return weight
    if "timesteps" in name:  # units are its columns
        return weight.repeat(1, times)
    parts = weight.chunk(3) if ".qkv." in name else (weight,)
    again = [part.repeat(times, *[1] * (part.dim() - 1)) for part in parts]
    return torch.cat(again)


def _split(weight: Tensor, own: Tensor, times: int) -> Tensor:
    """Return weights (out, c W) that read c copies as ``weight``, (out, W), reads one."""
    apart = own.unflatten(1, (times, -1))
    apart = apart - apart.mean(1, keepdim=True)
    return (weight[:, None] / times + apart).flatten(1)
