"""What `Projection` refuses and remembers. Its equations: test_equations.py."""

import numpy as np
import pytest
import torch

from workbench.methods.projection import MODES, Projection, row_space


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"mode": "vectr"},
            "must be one of none, vector, tensor, subspace, published",
        ),
        ({"lam": -0.1}, "`lam`"),
        ({"lam": float("nan")}, "`lam`"),
        ({"energy": 0.0}, "`energy`"),
        ({"energy": 1.01}, "`energy`"),
        ({"memory": 0}, "`memory`"),
        ({"refresh": 0}, "`refresh`"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Projection(**{"mode": "subspace", **options})


@pytest.mark.parametrize("mode", MODES)
def test_gradients_passed_in_are_not_changed(mode, rng):
    dm = [torch.randn(3, 4, generator=rng), torch.randn(4, generator=rng)]
    dt = [torch.randn(3, 4, generator=rng) - 2 * dm[0], -dm[1]]
    kept = [g.clone() for g in (*dm, *dt)]
    Projection(mode).combine(dm, dt)
    assert all(torch.equal(a, b) for a, b in zip(kept, (*dm, *dt), strict=True))


def test_what_is_remembered_is_a_copy(rng):
    """An optimiser that overwrites its gradients must not change the subspace."""
    results = []
    for overwrite in (False, True):
        projection = Projection("subspace", memory=3, refresh=1, energy=1.0)
        draw = torch.Generator().manual_seed(0)
        for _ in range(3):
            dm = [torch.randn(1, 6, generator=draw)]
            dt = [-dm[0] + 0.1 * torch.randn(1, 6, generator=draw)]
            combined = projection.combine(dm, dt)
            if overwrite:
                dm[0].zero_()
        results.append(combined.gradient[0])
    assert torch.equal(*results)


def test_two_projections_do_not_share_memory(rng):
    def run(first):
        projection = Projection("subspace", memory=5, refresh=1, energy=1.0)
        if first is not None:
            first.combine(*other)
        return projection.combine(*own).gradient[0]

    own = ([torch.randn(2, 6, generator=rng)], [torch.randn(2, 6, generator=rng)])
    own = (own[0], [own[1][0] - 3 * own[0][0]])
    other = ([torch.randn(2, 6, generator=rng)], [torch.randn(2, 6, generator=rng)])
    assert torch.equal(run(None), run(Projection("subspace")))


def test_single_precision_is_orthogonal_enough(rng):
    dm = [torch.randn(224, 160, generator=rng)]
    dt = [torch.randn(224, 160, generator=rng) - 0.5 * dm[0]]
    kept = Projection("vector").combine(dm, dt).gradient[0] - dm[0]
    assert abs((kept * dm[0]).sum() / (kept.norm() * dm[0].norm())) < 1e-6


def test_gradients_of_different_number_are_refused():
    with pytest.raises(ValueError, match="zip"):
        Projection("none").combine([torch.zeros(1)], [])


@pytest.mark.parametrize("mode", MODES)
def test_the_plane_and_the_tensors_say_where_the_gradients_lie(mode):
    rng = torch.Generator().manual_seed(5)
    g_dm = [torch.randn(4, 3, generator=rng), torch.randn(4, generator=rng)]
    g_dt = [torch.randn(4, 3, generator=rng) - g_dm[0], torch.randn(4, generator=rng) - g_dm[1]]
    combined = Projection(mode, lam=2.0).combine(g_dm, g_dt)
    kept = [(c - a) / 2 for c, a in zip(combined.gradient, g_dm, strict=True)]
    a, b, c = (np.concatenate([t.double().numpy().ravel() for t in g]) for g in (g_dm, g_dt, kept))
    along = a / np.linalg.norm(a)
    across = b - (b @ along) * along
    across /= np.linalg.norm(across)
    want = {
        "norm_dm": np.linalg.norm(a),
        "dt_along": b @ along,
        "dt_across": b @ across,
        "kept_along": c @ along,
        "kept_across": c @ across,
        "kept_outside": np.linalg.norm(c - (c @ along) * along - (c @ across) * across),
    }
    assert vars(combined.plane) == pytest.approx(want, abs=1e-3)
    if mode in ("none", "vector"):
        assert combined.plane.kept_outside == pytest.approx(0, abs=1e-3)
    for agreement, x, y, z in zip(combined.tensors, g_dm, g_dt, kept, strict=True):
        cosine = torch.nn.functional.cosine_similarity(x.flatten(), y.flatten(), dim=0)
        assert agreement.cosine == pytest.approx(float(cosine), abs=1e-5)
        assert agreement.norm_dm == pytest.approx(float(x.norm()), abs=1e-5)
        assert agreement.norm_dt == pytest.approx(float(y.norm()), abs=1e-5)
        assert agreement.removed == pytest.approx(float((y - z).norm() / y.norm()), abs=1e-4)


@pytest.mark.parametrize("failure", ["not a number", "no convergence"])
def test_what_fails_in_single_precision_is_decomposed_in_double(monkeypatch, draw, failure):
    rows = torch.from_numpy(draw.normal(size=(6, 9))).float()
    wanted, eigh = row_space([rows], 0.9), torch.linalg.eigh

    def failing(matrix):
        if matrix.dtype == torch.float64:
            return eigh(matrix)
        if failure == "no convergence":
            raise torch.linalg.LinAlgError("did not converge")
        values, vectors = eigh(matrix)
        return values * torch.nan, vectors

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    basis = row_space([rows], 0.9)
    assert basis.dtype == torch.float32
    torch.testing.assert_close(basis @ basis.T, wanted @ wanted.T, atol=1e-5, rtol=0)
