"""Other networks than those that ship: of N steps, of K* rows, with a band, of another seed.

All are of pretrained networks, so each needs networks of its own (``pretrain`` and ``diffuser``
with ``--variant``). Those of ``SHIPPED`` ship; the others are made on demand, kept below
``data/variants``, and only what they did ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from workbench.tasks import did_you_mean

_OF_THE_CHAIN = ("diffuser", "informed")
_OF_THE_TRANSFORMER = ("prompt-dt", "hyper")


@dataclass(frozen=True)
class Variant:
    """What is different from the shipped networks.

    Attributes:
        n_diffusion_steps: N, None where it is as shipped.
        prompt_length: K*, None where it is as shipped.
        attention: Of the transformer, None where it is as shipped.
        seed: Of all pretraining, None where it is as shipped.
    """

    n_diffusion_steps: int | None = None
    prompt_length: int | None = None
    attention: Literal["banded"] | None = None
    seed: int | None = None

    def changes(self, network: str) -> bool:
        """Return whether a network is another one than the one that ships."""
        if self.seed is not None:
            return True
        if self.prompt_length is not None:
            return network not in ("mt-orl", "critic")
        if self.attention is not None:
            return network in _OF_THE_TRANSFORMER
        return self.n_diffusion_steps is not None and network in _OF_THE_CHAIN

    def sizes(self) -> dict[str, Any]:
        """Return what differs, by name, as the networks' configurations call it."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        told.pop("seed", None)
        return told


VARIANTS: dict[str, Variant] = {
    **{f"n-{n}": Variant(n_diffusion_steps=n) for n in (5, 10, 50)},
    **{f"k-{k}": Variant(prompt_length=k) for k in (2, 10)},
    "banded": Variant(attention="banded"),
    **{f"seed-{n}": Variant(seed=n) for n in (1, 2)},
}
"""What is not named as one has N = 20, K* = 5, a sliding context and seed 0."""
SHIPPED = ("seed-1",)
"""Variants that ship: every model of the table of models, pretrained from another seed."""


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
