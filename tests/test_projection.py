"""What `Projection` refuses and remembers. Its equations: test_equations.py."""

import pytest
import torch

from workbench.projection import MODES, Projection


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "vectr"}, "`projection` must be one of none, vector, tensor, subspace"),
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
