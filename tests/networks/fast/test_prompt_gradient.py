"""The written-out passes of frozen blocks and of a denoising chain, against autograd's."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_SIZES, build_model
from workbench.data.trajectory import Trajectories
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.fast import prompt_gradient
from workbench.networks.fast.inference import has_bf16, onednn
from workbench.networks.fast.prompt_gradient import FrozenBlocks
from workbench.networks.prompt_dt import action_loss
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import find

K, K_STAR = TOY_SIZES.context_length, TOY_SIZES.prompt_length
needs_bf16 = pytest.mark.skipif(
    onednn is None or not has_bf16(), reason="this processor has no bfloat16"
)


def loss_and_gradient(model, prompts, contexts):
    """Return L_DT and its gradient by the prompts' observations and actions."""
    moved = [getattr(prompts, n).clone().requires_grad_() for n in ("observations", "actions")]
    told = dataclasses.replace(prompts, observations=moved[0], actions=moved[1])
    loss = action_loss(model, told, contexts)
    return loss.detach(), torch.cat(torch.autograd.grad(loss, moved), -1)


@pytest.fixture
def exactly(monkeypatch):
    """Let the written-out pass compute in float32, so that formulas alone can differ."""
    monkeypatch.setattr(prompt_gradient, "_HALF", torch.float32)


@needs_bf16
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.usefixtures("exactly")
def test_the_formulas_are_those_of_the_plain_pass(toy, prompts, contexts, layers, heads):
    model = build_model(toy, dataclasses.replace(TOY_SIZES, n_layers=layers, n_heads=heads))
    _, gradient = loss_and_gradient(model, prompts, contexts)
    told = model._tokens(model.prompt_embedding, prompts).requires_grad_()
    x = model._tokens(model.context_embedding, contexts)
    for asked in (slice(3 * K_STAR + 1, None, 3), slice(None), slice(1, None, 2)):
        plain = torch.cat([told, x], 1)
        for block in model.blocks:
            plain = block(plain, asked if block is model.blocks[-1] else slice(None))
        ours = FrozenBlocks(model.blocks)(told, x, asked)
        torch.testing.assert_close(ours, plain)
        weights = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
        wanted, got = (torch.autograd.grad((y * weights).sum(), told)[0] for y in (plain, ours))
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert gradient.abs().amax((1, 2)).min() > 0


@needs_bf16
@pytest.mark.parametrize("name", ["cheetah-vel", "ant-dir", "reach"])
def test_in_bfloat16_the_gradient_is_about_as_near_as_autocasts(name, draw):
    family = find(name)
    model, few = load_model(name), Trajectories(assets.demos(family.tasks("test")[0], "expert"))
    half, autocast = model.computing("bf16"), model.computing("bf16")
    autocast._frozen_blocks = lambda: None
    errors = []
    for _ in range(3):
        told = few.sample(draw, 16, model.config.prompt_length, whole=True)
        context = few.sample(draw, 16, model.config.context_length, whole=False)
        loss, wanted = loss_and_gradient(model, told, context)
        for m in (half, autocast):
            near, gradient = loss_and_gradient(m, told, context)
            assert abs(near - loss) < 0.03 * loss
            errors.append(float((gradient - wanted).norm() / wanted.norm()))
    assert half._prepared is not None
    assert errors[0] != errors[1]
    assert np.mean(errors[::2]) < 2.5 * np.mean(errors[1::2]) < 0.15


@needs_bf16
def test_without_a_gradient_it_predicts_the_same(model, prompts, contexts):
    half = model.computing("bf16")
    with torch.no_grad():
        quiet = half(prompts, contexts)
    assert torch.equal(half(prompts, contexts), quiet)
    assert half._prepared is not None


@needs_bf16
def test_whatever_is_not_frozen_takes_the_plain_pass(toy, model, prompts, contexts):
    half = model.computing("bf16")
    before = half(prompts, contexts)
    prepared = half._prepared
    assert prepared.still(half.blocks)
    assert half(prompts, contexts) is not None
    assert half._prepared is prepared
    # other numbers: prepared anew
    other = half.with_weights({"blocks.0.up.bias": torch.ones(64)})
    assert not torch.equal(other(prompts, contexts), before)
    assert other._prepared is not prepared
    assert torch.equal(half(prompts, contexts), before)
    # weights that learn, and adapters: as before there was a faster pass
    half.blocks[0].up.weight.requires_grad_(True)
    out = half(prompts, contexts)
    assert torch.autograd.grad(out.sum(), half.blocks[0].up.weight)[0].abs().max() > 0
    half.blocks[0].up.weight.requires_grad_(False)
    assert not FrozenBlocks.fits(model.with_adapters(2).blocks)
    assert not FrozenBlocks.fits(build_model(toy).train().blocks)


@needs_bf16
def test_a_context_that_takes_a_gradient_gets_it(model, prompts, contexts):
    half = model.computing("bf16")
    observations = contexts.observations.clone().requires_grad_()
    out = half(prompts, dataclasses.replace(contexts, observations=observations))
    assert torch.autograd.grad(out.sum(), observations)[0].abs().max() > 0


@pytest.mark.parametrize("clip", [0.25, 1e6])
@pytest.mark.parametrize("temperature", [0.0, 0.5])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_chains_gradient_is_autograds(toy, clip, temperature, schedule):
    config = dataclasses.replace(TOY_DIFFUSER, n_diffusion_steps=6, clip_x0=clip, schedule=schedule)
    torch.manual_seed(0)
    diffuser = PromptDiffuser(config, toy).double()
    y = torch.randn(6, 3, 2, dtype=torch.float64, requires_grad=True)
    weights, numbers = torch.randn(6, 3, 5, dtype=torch.float64), tuple(diffuser.parameters())

    def ends(seed):
        rng = torch.Generator().manual_seed(seed)
        x = diffuser.noise(6, rng).double()
        steps = list(diffuser.chain(x, y, rng, temperature))
        hit = torch.stack([step.x0_hat.detach().abs() for step in steps]).max()
        return steps[-1].x, hit.item()

    plain, hit = ends(3)
    assert (hit == clip) is (clip < 1)  # both branches of the clamp are tried
    with torch.no_grad():
        noise = diffuser.noise
    diffuser.noise = lambda n, rng: noise(n, rng).double()
    ours = diffuser.sample(y, torch.Generator().manual_seed(3), temperature)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-12)
    wanted, got = (torch.autograd.grad((x * weights).sum(), [y, *numbers]) for x in (plain, ours))
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        assert b.abs().max() > 0


def test_a_chain_notices_weights_that_changed_before_its_gradient(diffuser):
    sample = diffuser.sample(torch.randn(2, 3, 2), torch.Generator().manual_seed(0), 0.5)
    with torch.no_grad():
        diffuser.out.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        sample.sum().backward()
