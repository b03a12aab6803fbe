"""Gradient combination: arXiv 2411.01168, Eq. 8 and 9, nothing else.

Eq. 8: ∇L = g_DM + λ Proj(g_DT) when the two conflict (g_DM · g_DT < 0), else g_DM + λ g_DT.
Eq. 9: Proj removes from g_DT its part in the subspace of ∇L_DM. The paper does not say of which
vectors or matrices, so there are three readings; see ``MODES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def row_space(recent: Sequence[Tensor], energy: float, near: Tensor | None = None) -> Tensor:
    """Return an orthonormal basis B of the row space of stacked matrices, (n, M).

    M is the smallest number of right singular vectors that keep the share ``energy`` of the
    squared singular values; those that are rounding beside the largest never count.

    Args:
        recent: Matrices of n columns; a vector counts as one row.
        energy: Share to keep, in (0, 1].
        near: A basis that may lie near B, (n, m), such as that of a moment ago: where a few
            steps lead from it to B, as in training, they are taken; a vector on which neither
            ``near`` nor the rows that are tried touch at all is then not found.
    """
    matrices = [g.reshape(-1, g.shape[-1]) for g in recent]
    rows = matrices[0] if len(matrices) == 1 else torch.cat(matrices)
    n_rows, n = rows.shape
    # The smaller of the two Gram matrices says it all: that of rows, or that of columns, which
    # has the right singular vectors themselves.
    few = n_rows < n
    # few vectors lead, and do not ask for the last of the energy: else all is decomposed sooner
    if near is not None and not few and 0 < near.shape[1] < n // 16 and energy <= 0.99:
        basis = _leading(rows, energy, near)
        if basis is not None:
            return basis
    gram = rows @ rows.T if few else rows.T @ rows
    ascending, vectors = torch.linalg.eigh(gram)
    values = ascending.numpy()[::-1].clip(min=0)
    if values[0] == 0:
        return gram.new_zeros(n, 0)
    rounding = len(values) * torch.finfo(gram.dtype).eps
    kept = _kept(values, values.sum(dtype=np.float64), energy - rounding)
    m = min(kept, int((values > values[0] * rounding).sum()))
    basis = vectors[:, -m:]
    return rows.T @ basis / ascending[-m:].sqrt() if few else basis


def _kept(values: np.ndarray, total: float, energy: float) -> int:
    """Return how many of the descending ``values`` make up the share ``energy`` of ``total``."""
    return int((values.cumsum(dtype=np.float64) < energy * total).sum()) + 1


def _leading(rows: Tensor, energy: float, near: Tensor) -> Tensor | None:
    """Return what ``row_space`` does by subspace iteration, or None where that is not enough.

    Halko, Martinsson and Tropp (2011), algorithm 4.4, from ``near`` and some of the last rows. A
    vector counts as found once G v - λ v is below 1e-4 of the largest λ, G = rowsᵀ rows.
    """
    flat = rows.reshape(-1)
    total = float(flat @ flat)
    if not total:
        return None
    image = torch.cat([near.T, rows[-3:]]) @ rows.T @ rows  # vectors as rows: that is faster
    for _ in range(3):
        basis = torch.linalg.qr(image.T).Q.T
        seen = basis @ rows.T
        ascending, turn = torch.linalg.eigh(seen @ seen.T)
        m = _kept(ascending.numpy()[::-1], total, energy)
        if m > len(ascending):
            return None
        basis, image = turn.T @ basis, turn.T @ seen @ rows
        missed = torch.linalg.vector_norm(image - ascending[:, None] * basis, dim=1)[-m:].max()
        if missed <= 1e-4 * ascending[-1]:
            return basis[-m:].T
    return None


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
        self.memory = memory
        self._recent: tuple[Tensor, ...] = ()  # (memory, ...) of each parameter, in no order
        self._bases: tuple[Tensor, ...] = ()
        self._updates = self._remembered = 0

    def combine(self, g_dm: Sequence[Tensor], g_dt: Sequence[Tensor]) -> Combined:
        """Combine the gradients of L_DM and L_DT, one tensor per parameter each (Eq. 8)."""
        a, b = ([g.reshape(-1) for g in gradients] for gradients in (g_dm, g_dt))
        dm_dm, dm_dt, dt_dt = _dots([*a, *a, *b], [*a, *b, *b]).reshape(3, -1)
        dot, norm_dm, norm_dt = dm_dt.sum(), dm_dm.sum() ** 0.5, dt_dt.sum() ** 0.5
        gradient = tuple(
            torch.add(a, b, alpha=self.lam).contiguous() for a, b in zip(g_dm, g_dt, strict=True)
        )
        away = self._project(gradient, g_dm, g_dt, dm_dm, dm_dt)
        dots = dm_dm, dm_dt, dt_dt, *away.of_kept(dm_dt, dt_dt)
        sums, by_tensor = [float(d.sum()) for d in dots], self.mode in ("tensor", "subspace")
        return Combined(
            gradient=gradient,
            cosine=float(np.clip(dot / max(norm_dm * norm_dt, 1e-30), -1, 1)),
            conflict=bool(dot < 0),
            removed=min(float(away.away.sum() ** 0.5 / max(norm_dt, 1e-30)), 1.0),
            plane=_plane(*sums, by_tensor=by_tensor),
            tensors=tuple(map(_agreement, *(d.tolist() for d in (dm_dm, dm_dt, dt_dt, away.away)))),
        )

    def _project(self, gradient, g_dm, g_dt, dm_dm, dm_dt) -> _Away:
        """Take λ (g_DT - Proj(g_DT)) from g_DM + λ g_DT where the rule asks for it (Eq. 9).

        ``dm_dm``, ``dm_dt``: the dot products of each tensor's gradients.
        """
        shares = np.zeros(len(g_dm))  # of g_DM that each tensor of g_DT loses
        if self.mode == "vector" and dm_dt.sum() < 0 < dm_dm.sum():
            shares += dm_dt.sum() / dm_dm.sum()
        elif self.mode == "tensor":
            seen = dm_dm > 0  # the square of a tiny gradient may be none
            shares[seen] = np.minimum(dm_dt, 0.0)[seen] / dm_dm[seen]
        elif self.mode == "subspace":
            return self._without_bases(gradient, g_dm, g_dt, dm_dt)
        for g, a, share in zip(gradient, g_dm, shares, strict=True):
            if share:
                g.sub_(a, alpha=self.lam * float(share))
        return _Away(shares**2 * dm_dm, shares * dm_dm, shares * dm_dt)

    def _without_bases(self, gradient, g_dm, g_dt, dm_dt) -> _Away:
        self._remember(g_dm)
        away, dm_away = np.zeros(len(g_dt)), np.zeros(len(g_dt))
        if len(where := np.flatnonzero(dm_dt < 0)):
            of_dm, of_dt = [], []  # coordinates in the basis, which is orthonormal
            for i in where:
                basis = self._bases[i]
                rows = gradient[i].view(-1, len(basis))
                dm, dt = (g[i].reshape(rows.shape) @ basis for g in (g_dm, g_dt))
                rows.addmm_(dt, basis.T, alpha=-self.lam)
                of_dm.append(dm.reshape(-1))
                of_dt.append(dt.reshape(-1))
            away[where], dm_away[where] = _dots(of_dt + of_dm, of_dt + of_dt).reshape(2, -1)
        return _Away(away, dm_away, away)

    def _remember(self, g_dm: Sequence[Tensor]) -> None:
        """Keep g_DM where the next basis is to span it, and compute the basis where it is time."""
        now, self._updates = self._updates, self._updates + 1
        if not now:
            self._recent = tuple(g.new_empty(self.memory, *g.shape) for g in g_dm)
        if now < self.memory or -now % self.refresh < self.memory:
            for recent, g in zip(self._recent, g_dm, strict=True):
                recent[self._remembered % self.memory] = g.detach()
            self._remembered += 1
        if now < self.memory or now % self.refresh == 0:
            known = min(self._remembered, self.memory)
            near = self._bases or (None,) * len(g_dm)
            self._bases = tuple(
                row_space([recent[:known]], self.energy, basis)
                for recent, basis in zip(self._recent, near, strict=True)
            )


@dataclass(frozen=True, eq=False)
class _Away:
    """Dot products of a = g_DT - Proj(g_DT), for each tensor: with itself, g_DM and g_DT."""

    away: np.ndarray
    dm_away: np.ndarray
    dt_away: np.ndarray

    def of_kept(self, dm_dt: np.ndarray, dt_dt: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return those of Proj(g_DT): with g_DM, with g_DT, with itself."""
        kept = dt_dt - 2 * self.dt_away + self.away
        return dm_dt - self.dm_away, dt_dt - self.dt_away, kept


def _dots(a: Iterable[Tensor], b: Iterable[Tensor]) -> np.ndarray:
    """Return the dot product of each pair of vectors, (pairs,)."""
    pairs = zip(a, b, strict=True)
    return torch.stack([torch.dot(x, y) for x, y in pairs]).double().numpy()


def _agreement(dm_dm: float, dm_dt: float, dt_dt: float, lost: float) -> Agreement:
    norm_dm, norm_dt = float(dm_dm**0.5), float(dt_dt**0.5)
    return Agreement(
        cosine=float(np.clip(dm_dt / max(norm_dm * norm_dt, 1e-30), -1, 1)),
        norm_dm=norm_dm,
        norm_dt=norm_dt,
        removed=min(float(lost**0.5 / max(norm_dt, 1e-30)), 1.0),
    )


def _plane(
    dm_dm: float,
    dm_dt: float,
    dt_dt: float,
    dm_kept: float,
    dt_kept: float,
    kept_kept: float,
    *,
    by_tensor: bool,
) -> Plane:
    """Return where the gradients lie, from the dot products over all parameters."""
    norm_dm = dm_dm**0.5
    along, kept_along = dm_dt / max(norm_dm, 1e-30), dm_kept / max(norm_dm, 1e-30)
    across = max(dt_dt - along**2, 0.0) ** 0.5
    kept_across = (dt_kept - along * kept_along) / max(across, 1e-30)
    outside = 0.0
    if by_tensor:  # else it lies in the plane, and what is left of squares is rounding
        outside = max(kept_kept - kept_along**2 - kept_across**2, 0.0) ** 0.5
    return Plane(norm_dm, along, across, kept_along, kept_across, outside)
