"""Other networks than those that ship: of other lengths, pretrained otherwise, of another seed.

All are of pretrained networks, so each needs networks of its own (``pretrain`` and ``diffuser``
with ``--variant``). Those of ``SHIPPED`` ship; the others are made on demand, kept below
``data/variants``, and only what they did ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from workbench.data.qualities import QUALITIES
from workbench.tasks import did_you_mean

_OF_THE_CHAIN = ("diffuser", "informed")
_OF_THE_TRANSFORMER = ("prompt-dt", "hyper")
_MADE_FOR_IT = ("diffuser", "informed", "vae", "gan")  # and sized on their own
_LEARNT_PROMPTS = {"diffuser": QUALITIES, "informed": ("expert",)}  # of what ships


@dataclass(frozen=True)
class Variant:
    """What is different from the shipped networks.

    Attributes:
        n_diffusion_steps: N, None where it is as shipped.
        prompt_length: K*, None where it is as shipped.
        attention: Of the transformer, None where it is as shipped.
        n_layers, n_heads, width: Of the transformer, None where it is as shipped.
        seed: Of all pretraining, None where it is as shipped.
        lam: λ of Eq. 9 while a diffuser is pretrained, None where it is as shipped.
        projection: Reading of Eq. 8 and 9 there, None where it is as shipped.
        prompt_qualities: Of the data whose prompts a diffuser learns to make, None where they are
            as shipped.
        of: The variant that it is one of: there is what it leaves as it is, and what it begins
            with. ``""`` is what ships.
    """

    n_diffusion_steps: int | None = None
    prompt_length: int | None = None
    attention: Literal["banded"] | None = None
    n_layers: int | None = None
    n_heads: int | None = None
    width: int | None = None
    seed: int | None = None
    lam: float | None = None
    projection: str | None = None
    prompt_qualities: tuple[str, ...] | None = None
    of: str = ""

    def changes(self, network: str) -> bool:
        """Return whether a network is another one than the one that ships."""
        if self.seed is not None:
            return True
        if self.prompt_length is not None or self.width is not None:
            return network not in ("mt-orl", "critic")
        if self.attention is not None:
            return network in _OF_THE_TRANSFORMER
        if self.lam is not None:
            ships = (self.lam, self.projection) == (1.0, "published")
            return network == "informed" or (network == "diffuser" and not ships)
        if self.prompt_qualities is not None:
            return self.prompt_qualities != _LEARNT_PROMPTS.get(network, self.prompt_qualities)
        return self.n_diffusion_steps is not None and network in _OF_THE_CHAIN

    def sizes(self, network: str) -> dict[str, Any]:
        """Return what differs of a network, by name, as its configuration calls it."""
        sized: tuple[str, ...] = ("n_diffusion_steps", "prompt_length", "attention")
        if network not in _MADE_FOR_IT:
            sized += ("n_layers", "n_heads", "width")
        return {name: vars(self)[name] for name in sized if vars(self)[name] is not None}

    def training(self) -> dict[str, Any]:
        """Return what differs in a generator's pretraining, as ``GeneratorPretrainConfig`` does."""
        named = ("lam", "projection", "prompt_qualities")
        return {name: vars(self)[name] for name in named if vars(self)[name] is not None}


_PLAIN_AND_PUBLISHED = [(lam, p) for lam in (0.3, 1.0, 3.0, 10.0) for p in ("none", "published")]
VARIANTS: dict[str, Variant] = {
    **{f"n-{n}": Variant(n_diffusion_steps=n) for n in (5, 10, 50)},
    **{f"k-{k}": Variant(prompt_length=k) for k in (2, 10)},
    "banded": Variant(attention="banded"),
    **{f"banded-{n}": Variant(attention="banded", of=f"seed-{n}") for n in (1, 2)},
    **{f"seed-{n}": Variant(seed=n) for n in (1, 2)},
    "paper-size": Variant(n_layers=4, n_heads=4, width=512),
    "lam-0": Variant(lam=0.0, projection="none"),
    **{
        f"lam-{lam:g}-{projection}": Variant(lam=lam, projection=projection)
        for lam, projection in _PLAIN_AND_PUBLISHED
    },
    "prompts-expert": Variant(prompt_qualities=("expert",)),
    "prompts-all": Variant(prompt_qualities=QUALITIES),
}
"""What is not named as one has N = 20, K* = 5, a sliding context, seed 0 and λ = 1 as published.

``prompts-…`` is what a diffuser learns to make: prompts of expert data alone, as the one that is
told the task does where it ships, or of every quality, as Prompt Diffuser does. ``paper-size`` has
the transformer of ``ModelConfig.paper``, which has as many parameters as the paper's."""
SHIPPED = ("seed-1", "seed-2", "lam-0", "lam-1-none", "prompts-expert")
"""Variants that ship: the models of the table of models, pretrained from other seeds, the diffusers
that were pretrained without guidance and without projection, and the one of expert prompts."""


def variant_of(name: str) -> Variant:
    """Return a variant by name; ``""`` is what ships.

    Raises:
        ValueError: if there is none of that name.
    """
    if not name:
        return Variant()
    if name not in VARIANTS:
        raise ValueError(f"There is no variant {name!r}.{did_you_mean(name, list(VARIANTS))}")
    return VARIANTS[name]


def holder(name: str, network: str) -> str:
    """Return the variant whose network a variant takes; ``""`` is what ships.

    Raises:
        ValueError: if there is no variant of that name.
    """
    known = variant_of(name)
    if not name or known.changes(network):
        return name
    return holder(known.of, network)


def with_attention(name: str, attention: str) -> str:
    """Return the variant of a variant with another attention, itself where there is none."""
    same = (n for n, v in VARIANTS.items() if v.attention == attention and v.of == name)
    return next(same, name)


def pretraining_seed(name: str) -> int | None:
    """Return the pretraining seed that a variant's name says, None where it says none."""
    known = variant_of(name)
    return pretraining_seed(known.of) if known.of else known.seed
