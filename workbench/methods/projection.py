"""Gradient projection: arXiv 2411.01168, Eq. 8 and 9.

The first two functions are the paper's rule, whole; ``MODES`` are its readings, and what follows
them applies a reading update after update and measures what it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor


def project(g_dt: Tensor, basis: Tensor) -> Tensor:
    """Return Proj(A) = A - A B Bᵀ (Eq. 8): what of A is orthogonal to the subspace of ∇L_DM.

    Args:
        g_dt: ∇L_DT of one parameter, A (..., n); a vector counts as one row.
        basis: Orthonormal basis B of the row space of ∇L_DM, (n, M); see ``row_space``.
    """
    rows = g_dt.reshape(-1, len(basis))
    return (rows - rows @ basis @ basis.T).view_as(g_dt)


def guided_gradient(
    g_dm: Sequence[Tensor], g_dt: Sequence[Tensor], bases: Sequence[Tensor], lam: float
) -> list[Tensor]:
    """Return ∇L (Eq. 9): g_DM + λ Proj(g_DT) if g_DM · g_DT < 0, else g_DM + λ g_DT.

    Args:
        g_dm: ∇L_DM, one tensor per parameter.
        g_dt: ∇L_DT, likewise.
        bases: B of each parameter.
        lam: λ.
    """
    if sum((a * b).sum() for a, b in zip(g_dm, g_dt, strict=True)) < 0:
        g_dt = [project(b, basis) for b, basis in zip(g_dt, bases, strict=True)]
    return [a + lam * b for a, b in zip(g_dm, g_dt, strict=True)]


Mode = Literal["none", "vector", "tensor", "subspace", "published"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""The readings of Eq. 8 and 9; the paper does not say of which vectors or matrices.

* ``none``: the plain sum g_DM + λ g_DT, also when they conflict.
* ``vector``: one dot product over all parameters decides; g_DT loses its part along g_DM (PCGrad,
  arXiv 2001.06782).
* ``tensor``: the same rule, each parameter tensor by itself.
* ``subspace``: each matrix that conflicts loses its part in the row space of its recent ∇L_DM.
* ``published``: the paper to the letter: one dot product over all parameters decides; then every
  matrix loses its part in the row space of its recent ∇L_DM.
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
    # Subspace iteration pays where B has few vectors and need not hold the last of the energy;
    # otherwise the whole decomposition is faster.
    if near is not None and not few and 0 < near.shape[1] < n // 16 and energy <= 0.99:
        basis = _leading(rows, energy, near)
        if basis is not None:
            return basis
    gram = rows @ rows.T if few else rows.T @ rows
    ascending, vectors = _eigh(gram)
    values = ascending.numpy()[::-1].clip(min=0)
    if values[0] == 0:
        return gram.new_zeros(n, 0)
    rounding = len(values) * torch.finfo(gram.dtype).eps
    kept = _kept(values, values.sum(dtype=np.float64), energy - rounding)
    m = min(kept, int((values > values[0] * rounding).sum()))
    basis = vectors[:, -m:]
    return rows.T @ basis / ascending[-m:].sqrt() if few else basis


def _eigh(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return ascending eigenvalues, and eigenvectors, of a symmetric matrix.

    In float32 LAPACK does not converge on some matrices of strongly graded rows, or gives what is
    no number; in float64 it does.
    """
    try:
        values, vectors = torch.linalg.eigh(gram)
        if values.isfinite().all():
            return values, vectors
    except torch.linalg.LinAlgError:
        pass
    values, vectors = torch.linalg.eigh(gram.double())
    return values.to(gram.dtype), vectors.to(gram.dtype)


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
        ascending, turn = _eigh(seen @ seen.T)
        m = _kept(ascending.numpy()[::-1], total, energy)
        if m > len(ascending):
            return None
        basis, image = turn.T @ basis, turn.T @ seen @ rows
        missed = torch.linalg.vector_norm(image - ascending[:, None] * basis, dim=1)[-m:].max()
        if missed <= 1e-4 * ascending[-1]:
            return basis[-m:].T
    return None


class Projection:
    """Combines gradients update after update; remembers recent g_DM for the subspaces.

    Proj(g_DT) never opposes g_DM. A basis of earlier gradients, or one that keeps less than all of
    their energy, may leave some of today's g_DM: then the basis is computed anew, and what still
    opposes is taken out along g_DM itself, as ``vector`` does.

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
        self._fresh = self._kept_now = False  # do bases, or memory, know the present g_DM?

    def combine(self, g_dm: Sequence[Tensor], g_dt: Sequence[Tensor]) -> Combined:
        """Combine the gradients of L_DM and L_DT, one tensor per parameter each (Eq. 9)."""
        a, b = ([g.reshape(-1) for g in gradients] for gradients in (g_dm, g_dt))
        dm_dm, dm_dt, dt_dt = _dots([*a, *a, *b], [*a, *b, *b]).reshape(3, -1)
        dot, norm_dm, norm_dt = dm_dt.sum(), dm_dm.sum() ** 0.5, dt_dt.sum() ** 0.5
        # g_DT - Proj(g_DT), of the parameters where there is any
        lost = self._removed(g_dm, g_dt, dm_dm, dm_dt, dt_dt)
        gradient = [torch.add(x, y, alpha=self.lam) for x, y in zip(g_dm, g_dt, strict=True)]
        lost_lost, dm_lost, dt_lost = np.zeros((3, len(a)))
        if lost:
            for i, part in lost.items():
                gradient[i].sub_(part, alpha=self.lam)
            flat = [part.reshape(-1) for part in lost.values()]
            others = [*flat, *(a[i] for i in lost), *(b[i] for i in lost)]
            where = list(lost)
            lost_lost[where], dm_lost[where], dt_lost[where] = _dots(flat * 3, others).reshape(
                3, -1
            )
        kept = dm_dt - dm_lost, dt_dt - dt_lost, dt_dt - 2 * dt_lost + lost_lost
        sums = [float(d.sum()) for d in (dm_dm, dm_dt, dt_dt, *kept)]
        return Combined(
            gradient=tuple(g.contiguous() for g in gradient),
            cosine=float(np.clip(dot / max(norm_dm * norm_dt, 1e-30), -1, 1)),
            conflict=bool(dot < 0),
            removed=min(float(lost_lost.sum() ** 0.5 / max(norm_dt, 1e-30)), 1.0),
            plane=_plane(*sums, by_tensor=self.mode not in ("none", "vector")),
            tensors=tuple(map(_agreement, *(d.tolist() for d in (dm_dm, dm_dt, dt_dt, lost_lost)))),
        )

    def state(self) -> dict[str, Tensor]:
        """Return all that ``combine`` remembers, as copies, for ``restore``."""
        counts = torch.tensor([self._updates, self._remembered])
        recent = {f"recent.{i}": g for i, g in enumerate(self._recent)}
        bases = {f"basis.{i}": b for i, b in enumerate(self._bases)}
        return {k: v.clone() for k, v in {"counts": counts, **recent, **bases}.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Remember what another one did when its ``state`` was taken."""
        self._updates, self._remembered = state["counts"].tolist()
        n = sum(name.startswith("recent.") for name in state)
        self._recent = tuple(state[f"recent.{i}"] for i in range(n))
        self._bases = tuple(state[f"basis.{i}"] for i in range(n))

    def _removed(self, g_dm, g_dt, dm_dm, dm_dt, dt_dt) -> dict[int, Tensor]:
        """Return g_DT - Proj(g_DT) of the parameters that lose something, by their index.

        ``dm_dm``, ``dm_dt``, ``dt_dt``: the dot products of each parameter's gradients.
        """
        if self.mode in ("none", "vector", "tensor"):
            shares = np.zeros(len(g_dm))  # of g_DM that g_DT of each parameter loses
            if self.mode == "vector" and dm_dt.sum() < 0 < dm_dm.sum():
                shares += dm_dt.sum() / dm_dm.sum()
            elif self.mode == "tensor":
                seen = dm_dm > 0  # the square of a tiny gradient may be none
                shares[seen] = np.minimum(dm_dt, 0.0)[seen] / dm_dm[seen]
            return {i: g_dm[i] * share for i, share in enumerate(shares.tolist()) if share}
        self._remember(g_dm)
        by_tensor = self.mode == "subspace"
        groups = [[i] for i in range(len(g_dm))] if by_tensor else [list(range(len(g_dm)))]
        lost: dict[int, Tensor] = {}
        for group in groups:
            if dm_dt[group].sum() < 0:
                norms = (dm_dm[group].sum() * dt_dt[group].sum()) ** 0.5
                lost |= self._without_bases(group, g_dm, g_dt, dm_dm, dm_dt, norms)
        return lost

    def _without_bases(self, group, g_dm, g_dt, dm_dm, dm_dt, norms) -> dict[int, Tensor]:
        """Return what ``group`` loses to its bases; they are made anew if it is not enough.

        ``norms``: ‖g_DM‖ ‖g_DT‖ of the group; a dot product far smaller is rounding.
        """
        n = sum(g_dm[i].numel() for i in group)
        rounding = n**0.5 * torch.finfo(g_dm[0].dtype).eps * norms
        left = 0.0
        for attempt in ("as remembered", "anew"):
            if attempt == "anew" and not self._fresh:
                self._renew(g_dm)
            elif attempt == "anew":
                break
            lost = {i: g_dt[i] - project(g_dt[i], self._bases[i]) for i in group}
            parts = [lost[i].reshape(-1) for i in group]
            left = float((dm_dt[group] - _dots(parts, [g_dm[i].reshape(-1) for i in group])).sum())
            if left >= -rounding:
                return lost
        total = dm_dm[group].sum()
        share = left / total if total > 0 else 0.0
        return {i: lost[i].add(g_dm[i], alpha=share) for i in group}

    def _remember(self, g_dm: Sequence[Tensor]) -> None:
        """Keep g_DM where the next basis is to span it, and compute the basis where it is time."""
        now, self._updates = self._updates, self._updates + 1
        self._fresh = self._kept_now = False
        if not now:
            self._recent = tuple(g.new_empty(self.memory, *g.shape) for g in g_dm)
        due = now < self.memory or now % self.refresh == 0
        if due or -now % self.refresh < self.memory:
            self._keep(g_dm)
        if due:
            self._span()

    def _renew(self, g_dm: Sequence[Tensor]) -> None:
        """Compute bases that know the present gradient before it is time."""
        if not self._kept_now:
            self._keep(g_dm)
        self._span()

    def _keep(self, g_dm: Sequence[Tensor]) -> None:
        for recent, g in zip(self._recent, g_dm, strict=True):
            recent[self._remembered % self.memory] = g.detach()
        self._remembered += 1
        self._kept_now = True

    def _span(self) -> None:
        known = min(self._remembered, self.memory)
        near = self._bases or (None,) * len(self._recent)
        self._bases = tuple(
            row_space([recent[:known]], self.energy, basis).contiguous()
            for recent, basis in zip(self._recent, near, strict=True)
        )
        self._fresh = True


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
    if by_tensor:  # otherwise Proj(g_DT) lies in the plane, and the rest is rounding
        outside = max(kept_kept - kept_along**2 - kept_across**2, 0.0) ** 0.5
    return Plane(norm_dm, along, across, kept_along, kept_across, outside)
