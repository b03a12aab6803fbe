"""Algorithm 1: what one update is made of. Its equations: test_equations.py."""

import pytest
import torch

from tests.conftest import TOY_CRITIC, build_other, record
from workbench.data.trajectory import Trajectories
from workbench.methods.guided_update import BY_VALUE, GUIDANCES, guided_update
from workbench.methods.projection import Projection
from workbench.networks.critic import Value
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


# ---- guidance by value ----


@pytest.fixture
def value(model, rng):
    """A critic with random weights, frozen, told some task; η = 0.7."""
    critic = build_other("critic").reading(build_other("informed"), model.normalizer)
    code = torch.randn(1, TOY_CRITIC.code, generator=rng)
    return Value(critic.eval().requires_grad_(False), code, 0.7)


def updated(diffuser, model, batch, value, guidance, lam=2.0):
    x0, y, context = batch
    return guided_update(
        diffuser, model, x0, y, context, seeded(), Projection("none", lam), temperature=0.7,
        guidance=guidance, value=value,
    )  # fmt: skip


LOSSES = {
    "both": {"loss_dm", "loss_dt"},
    "diffusion": {"loss_dm"},
    "downstream": {"loss_dt"},
    "q-regularised": {"loss_dm", "loss_dt", "value"},
    "diffusion-ql": {"loss_dm", "value"},
}


@pytest.mark.parametrize("guidance", GUIDANCES)
def test_every_guidance_says_the_losses_that_guide(diffuser, model, batch, value, guidance):
    found = updated(diffuser, model, batch, value, guidance)
    assert found.losses.keys() == LOSSES[guidance]
    assert (found.combined is not None) is (len(found.losses) > 1)
    assert all(p.grad is None for p in (*model.parameters(), *value.critic.parameters()))


@pytest.mark.parametrize("guidance", BY_VALUE)
def test_guidance_by_value_is_the_written_formula(diffuser, model, batch, value, guidance):
    """∇[L_DM + λ (L_DT + η L_Q)], through the model and the chain; without L_DT Diffusion-QL's."""
    x0, y, context = batch
    found = updated(diffuser, model, batch, value, guidance)
    rng, critic = seeded(), value.critic
    loss = diffuser.own_loss(x0, y, rng)
    prompt = model.normalizer.unpack(diffuser.sample(y, rng, 0.7), y)
    actions, real = model(prompt, context), context.mask.bool()
    q = [each[real] for each in critic(context.observations, actions, value.code)]
    sizes = [each.detach().abs().mean() for each in q]
    loss_q = -(q[0].mean() / sizes[1] + q[1].mean() / sizes[0]) / 2
    assert found.value == pytest.approx(torch.stack(q).mean().item(), rel=1e-5)
    loss = loss + 2.0 * 0.7 * loss_q
    if guidance == "q-regularised":
        loss = loss + 2.0 * (actions - context.actions)[real].square().mean()
    want = torch.autograd.grad(loss, diffuser.trainable())
    for a, b in zip(found.gradient, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_weight_of_nought_is_guidance_without_value(diffuser, model, batch, value):
    nought = Value(value.critic, value.code, 0.0)
    got, want = (updated(diffuser, model, batch, nought, g) for g in ("q-regularised", "both"))
    some = updated(diffuser, model, batch, value, "q-regularised")
    for a, b, c in zip(got.gradient, want.gradient, some.gradient, strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    alone = updated(diffuser, model, batch, nought, "diffusion-ql")
    for a, b in zip(
        alone.gradient, updated(diffuser, model, batch, None, "diffusion").gradient, strict=True
    ):
        torch.testing.assert_close(a, b)


def test_a_step_along_the_gradient_raises_the_value(diffuser, model, batch, value):
    before = updated(diffuser, model, batch, value, "diffusion-ql", lam=1e5)
    with torch.no_grad():
        norm = torch.cat([g.flatten() for g in before.gradient]).norm()
        for parameter, g in zip(diffuser.trainable(), before.gradient, strict=True):
            parameter -= 0.05 * g / norm
    assert updated(diffuser, model, batch, value, "diffusion-ql").value > before.value
