"""Gradient combination: arXiv 2411.01168, Eq. 8 and 9, nothing else.

Eq. 8: ∇L = g_DM + λ Proj(g_DT) when the two conflict (g_DM · g_DT < 0), else g_DM + λ g_DT.
Eq. 9: Proj removes from g_DT its part in the subspace of ∇L_DM. The paper does not say of which
vectors or matrices, so there are three readings; see ``MODES``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Mode = Literal["none", "vector", "tensor", "subspace"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""The readings of Eq. 8 and 9.

* ``none``: the plain sum g_DM + λ g_DT, also when they conflict.
* ``vector``: one dot product over all parameters; g_DT loses its part along g_DM (PCGrad's rule).
* ``tensor``: the same rule, each parameter tensor by itself.
* ``subspace``: for each weight matrix that conflicts, B is an orthonormal basis of the row space
  of its recent ∇L_DM, and g_DT loses its part in it: ``g_DT - g_DT B Bᵀ``.
"""


@dataclass(frozen=True)
class Agreement:
    """How two gradients of one parameter tensor agree.

    Attributes:
        cosine: Between g_DM and g_DT, in [-1, 1].
        norm_dm: ‖g_DM‖.
        norm_dt: ‖g_DT‖.
        removed: ‖g_DT - Proj(g_DT)‖ / ‖g_DT‖, in [0, 1].
    """

    cosine: float
    norm_dm: float
    norm_dt: float
    removed: float


@dataclass(frozen=True)
class Plane:
    """The gradients of an update in the plane that g_DM and g_DT span.

    The first axis points along g_DM; the second stands upright on it, on the side of g_DT.

    Attributes:
        norm_dm: ‖g_DM‖: g_DM is (norm_dm, 0).
        dt_along, dt_across: g_DT.
        kept_along, kept_across: Proj(g_DT), what of it lies in the plane.
        kept_outside: ‖Proj(g_DT)‖ off the plane; 0 unless a projection works tensor by tensor.
    """

    norm_dm: float
    dt_along: float
    dt_across: float
    kept_along: float
    kept_across: float
    kept_outside: float


@dataclass(frozen=True, eq=False)
class Combined:
    """The combined gradient of one update and what led to it.

    Attributes:
        gradient: One tensor per parameter.
        cosine: Between g_DM and g_DT over all parameters, in [-1, 1].
        conflict: Whether g_DM · g_DT < 0 over all parameters.
        removed: ‖g_DT - Proj(g_DT)‖ / ‖g_DT‖ over all parameters, in [0, 1].
        plane: Where the three lie in the plane that g_DM and g_DT span.
        tensors: The same numbers of each parameter tensor, in order.
    """

    gradient: tuple[Tensor, ...]
    cosine: float
    conflict: bool
    removed: float
    plane: Plane
    tensors: tuple[Agreement, ...]


def without(g: Tensor, direction: Tensor) -> Tensor:
    """Return ``g`` minus its part along ``direction``: g - (g·d / ‖d‖²) d, any equal shapes."""
    norm = direction.square().sum()
    return g - (g * direction).sum() / norm * direction if norm > 0 else g


def row_space(recent: Sequence[Tensor], energy: float) -> Tensor:
    """Return an orthonormal basis B of the row space of stacked matrices, (n, M).

    M is the smallest number of right singular vectors that keep the share ``energy`` of the
    squared singular values.

    Args:
        recent: Matrices of n columns; a vector counts as one row.
        energy: Share to keep, in (0, 1].
    """
    rows = torch.cat([g.reshape(-1, g.shape[-1]) for g in recent])
    # The Gram matrix has the same right singular vectors and at most n x n numbers.
    wide = rows.double()
    values, vectors = torch.linalg.eigh(wide.T @ wide)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    if values[0] == 0:
        return vectors[:, :0].to(rows.dtype)
    share = values.cumsum(0) / values.sum()
    m = min(int((share < energy - 1e-12).sum()) + 1, int((values > values[0] * 1e-12).sum()))
    return vectors[:, :m].to(rows.dtype)


class Projection:
    """Combines gradients update after update; remembers recent g_DM for ``subspace``.

    Args:
        mode: One of ``MODES``.
        lam: λ, weight of the downstream gradient; the paper uses 1.
        energy: Share of energy that the subspace keeps; not published.
        memory: How many recent g_DM span the subspace; not published.
        refresh: Updates between two computations of the basis; not published.

    Raises:
        ValueError: if ``mode`` is unknown or a number is out of range.
    """

    def __init__(
        self,
        mode: Mode,
        lam: float = 1.0,
        *,
        energy: float = 0.9,
        memory: int = 5,
        refresh: int = 10,
    ):
        if mode not in MODES:
            raise ValueError(f"`projection` must be one of {', '.join(MODES)}: got {mode!r}.")
        if not 0 <= lam < float("inf"):
            raise ValueError(f"`lam` must be a finite number from 0 up: got {lam}.")
        if not 0 < energy <= 1:
            raise ValueError(f"`energy` must lie in (0, 1]: got {energy}.")
        for name, value in (("memory", memory), ("refresh", refresh)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1: got {value}.")
        self.mode, self.lam, self.energy, self.refresh = mode, lam, energy, refresh
        self._recent: deque[tuple[Tensor, ...]] = deque(maxlen=memory)
        self._bases: tuple[Tensor, ...] = ()
        self._updates = 0

    def combine(self, g_dm: Sequence[Tensor], g_dt: Sequence[Tensor]) -> Combined:
        """Combine the gradients of L_DM and L_DT, one tensor per parameter each (Eq. 8)."""
        dot = sum((a * b).sum() for a, b in zip(g_dm, g_dt, strict=True))
        norm_dm, norm_dt = _norm(g_dm), _norm(g_dt)
        conflict = bool(dot < 0)
        kept = self._projected(g_dm, g_dt, conflict)
        lost = torch.zeros(())
        if kept is not g_dt:
            lost = _norm([a - b for a, b in zip(g_dt, kept, strict=True)])
        products = _products(g_dm, g_dt, kept)
        return Combined(
            gradient=tuple(a + self.lam * b for a, b in zip(g_dm, kept, strict=True)),
            cosine=float(dot / (norm_dm * norm_dt).clamp(min=1e-30)),
            conflict=conflict,
            removed=float(lost / norm_dt.clamp(min=1e-30)),
            plane=_plane(products.sum(0)),
            tensors=tuple(_agreement(row) for row in products),
        )

    def _projected(self, g_dm, g_dt, conflict: bool) -> Sequence[Tensor]:
        """Return Proj(g_DT) where the rule asks for it (Eq. 9)."""
        if self.mode == "vector" and conflict:
            share = sum((a * b).sum() for a, b in zip(g_dm, g_dt, strict=True)) / _norm(g_dm) ** 2
            return [b - share * a for a, b in zip(g_dm, g_dt, strict=True)]
        if self.mode == "tensor":
            return [
                without(b, a) if (a * b).sum() < 0 else b for a, b in zip(g_dm, g_dt, strict=True)
            ]
        if self.mode == "subspace":
            self._recent.append(tuple(g.detach().clone() for g in g_dm))
            if self._updates % self.refresh == 0 or self._updates < self._recent.maxlen:
                self._bases = tuple(
                    row_space(recent, self.energy) for recent in zip(*self._recent, strict=True)
                )
            self._updates += 1
            return [
                b - (b @ basis) @ basis.T if (a * b).sum() < 0 else b
                for a, b, basis in zip(g_dm, g_dt, self._bases, strict=True)
            ]
        return g_dt


def _products(g_dm: Sequence[Tensor], g_dt: Sequence[Tensor], kept: Sequence[Tensor]) -> np.ndarray:
    """Return the dot products of each tensor's three gradients with each other, (tensors, 3, 3)."""
    rows = [
        torch.stack([g.reshape(-1) for g in three]).double()
        for three in zip(g_dm, g_dt, kept, strict=True)
    ]
    return torch.stack([r @ r.T for r in rows]).numpy()


def _agreement(products: np.ndarray) -> Agreement:
    norm_dm, norm_dt = (float(np.sqrt(products[i, i])) for i in (0, 1))
    lost = products[1, 1] + products[2, 2] - 2 * products[1, 2]
    return Agreement(
        cosine=float(products[0, 1] / max(norm_dm * norm_dt, 1e-30)),
        norm_dm=norm_dm,
        norm_dt=norm_dt,
        removed=float(np.sqrt(max(lost, 0.0)) / max(norm_dt, 1e-30)),
    )


def _plane(products: np.ndarray) -> Plane:
    norm_dm = float(np.sqrt(products[0, 0]))
    along, kept_along = (float(products[0, i]) / max(norm_dm, 1e-30) for i in (1, 2))
    across = float(np.sqrt(max(products[1, 1] - along**2, 0.0)))
    kept_across = float(products[1, 2] - along * kept_along) / max(across, 1e-30)
    outside = float(products[2, 2]) - kept_along**2 - kept_across**2
    return Plane(norm_dm, along, across, kept_along, kept_across, float(np.sqrt(max(outside, 0.0))))


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    return torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
