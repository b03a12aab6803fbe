"""Algorithm 1: what one update is made of. Its equations: test_equations.py."""

import pytest
import torch

from tests.conftest import record
from workbench.data.trajectory import Trajectories
from workbench.methods.guided_update import guided_update
from workbench.methods.projection import Projection
from workbench.networks.prompt_dt import action_loss


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch(toy, model, draw):
    data = Trajectories(record(toy.task(5), 3))
    x0, y = model.normalizer.pack(data.sample(draw, 8, 3, whole=True))
    return x0, y, data.sample(draw, 8, 4, whole=False)


@pytest.mark.parametrize("lam", [0.0, 2.0])
def test_an_update_is_both_losses_of_one_prompt_combined(diffuser, model, batch, lam):
    x0, y, context = batch
    found = guided_update(
        diffuser, model, x0, y, context, seeded(), Projection("none", lam), temperature=0.7
    )
    rng, parameters = seeded(), diffuser.trainable()
    loss_dm = diffuser.own_loss(x0, y, rng)
    made = model.normalizer.unpack(diffuser.sample(y, rng, 0.7), y)
    loss_dt = action_loss(model, made, context)
    assert (found.loss_dm, found.loss_dt) == (loss_dm.item(), loss_dt.item())
    want = torch.autograd.grad(loss_dm + lam * loss_dt, parameters)
    for a, b in zip(found.gradient, want, strict=True):
        torch.testing.assert_close(a, b)
    assert found.measured.keys() == {"loss_dm", "loss_dt", "cosine", "conflict", "removed"}


@pytest.mark.parametrize(
    ("guidance", "name"), [("diffusion", "loss_dm"), ("downstream", "loss_dt")]
)
def test_one_loss_alone_may_guide(diffuser, model, batch, guidance, name):
    x0, y, context = batch
    both, one = (
        guided_update(
            diffuser, model, x0, y, context, seeded(), Projection("none"), temperature=0.0,
            guidance=g,
        )
        for g in ("both", guidance)
    )  # fmt: skip
    assert one.measured.keys() == {name}
    assert one.combined is None
    assert not all(torch.equal(a, b) for a, b in zip(one.gradient, both.gradient, strict=True))
