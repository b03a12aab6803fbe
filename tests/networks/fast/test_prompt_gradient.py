"""The written-out passes of frozen blocks and of a denoising chain, against autograd's."""

import contextlib
import dataclasses
import gc
import time

import numpy as np
import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_SIZES, build_model
from workbench.data.trajectory import Trajectories
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.fast import checked, prompt_gradient
from workbench.networks.fast.checked import Double, plain_only
from workbench.networks.fast.processor import has_bf16
from workbench.networks.prompt_dt import action_loss, encode
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import find
from workbench.upkeep import doctor

K, K_STAR = TOY_SIZES.context_length, TOY_SIZES.prompt_length
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")


@pytest.fixture
def fast(monkeypatch):
    """The written-out pass, whatever a trial would say on this machine; plain_only() overrules."""

    def choose(double, *_):
        return double.plain if checked._plain_only.on else double.fast

    monkeypatch.setattr(Double, "choose", choose)


def loss_and_gradient(model, prompts, contexts):
    """Return L_DT and its gradient by the prompts' observations and actions."""
    moved = [getattr(prompts, n).clone().requires_grad_() for n in ("observations", "actions")]
    prompts = dataclasses.replace(prompts, observations=moved[0], actions=moved[1])
    loss = action_loss(model, prompts, contexts)
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
    prompt_tokens = model.tokens(model.prompt_embedding, prompts).requires_grad_()
    tokens = prompt_tokens, model.tokens(model.context_embedding, contexts)
    for queries in (slice(3 * K_STAR + 1, None, 3), slice(None), slice(1, None, 2)):
        plain = encode(model.blocks, *tokens, queries)
        ours = prompt_gradient.encode(model.blocks, *tokens, queries)
        torch.testing.assert_close(ours, plain)
        weights = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1))
        wanted, got = (
            torch.autograd.grad((y * weights).sum(), prompt_tokens)[0] for y in (plain, ours)
        )
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert gradient.abs().amax((1, 2)).min() > 0


@needs_bf16
@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", ["cheetah-vel", "ant-dir", "reach"])
def test_in_bfloat16_the_gradient_is_about_as_near_as_autocasts(name, draw):
    family = find(name)
    model, few = load_model(name), Trajectories(assets.demos(family.tasks("test")[0], "expert"))
    half = model.computing("bf16")
    errors = []
    for _ in range(3):
        prompt = few.sample(draw, 16, model.config.prompt_length, whole=True)
        context = few.sample(draw, 16, model.config.context_length, whole=False)
        loss, wanted = loss_and_gradient(model, prompt, context)
        for way in (contextlib.nullcontext(), plain_only()):
            with way:
                near, gradient = loss_and_gradient(half, prompt, context)
            assert abs(near - loss) < 0.03 * loss
            errors.append(float((gradient - wanted).norm() / wanted.norm()))
    assert errors[0] != errors[1]
    assert np.mean(errors[::2]) < 2.5 * np.mean(errors[1::2]) < 0.15


@needs_bf16
@pytest.mark.usefixtures("fast")
def test_without_a_gradient_it_predicts_the_same(model, prompts, contexts):
    half = model.computing("bf16")
    with torch.no_grad():
        alone = half(prompts, contexts)
    assert torch.equal(half(prompts, contexts), alone)
    with plain_only():
        assert not torch.equal(half(prompts, contexts), alone)


@needs_bf16
@pytest.mark.usefixtures("fast")
def test_weights_that_change_are_cast_anew(model, prompts, contexts):
    half = model.computing("bf16")
    before = half(prompts, contexts)
    frozen = prompt_gradient._frozen[half.blocks]
    half(prompts, contexts)
    assert prompt_gradient._frozen[half.blocks] is frozen
    other = half.with_weights({"blocks.0.up.bias": torch.ones(64)})
    assert not torch.equal(other(prompts, contexts), before)
    assert torch.equal(half(prompts, contexts), before)
    half.blocks[0].up.bias.add_(1)
    assert not torch.equal(half(prompts, contexts), before)


@needs_bf16
def test_cast_weights_end_with_their_model(model, prompts, contexts):
    copied = model.with_weights({}).computing("bf16")
    before = len(prompt_gradient._frozen)
    prompt_gradient.encode(copied.blocks, *(torch.zeros(1, 3, 16),) * 2, slice(None))
    assert len(prompt_gradient._frozen) == before + 1
    del copied
    gc.collect()
    assert len(prompt_gradient._frozen) == before


@needs_bf16
def test_weights_that_learn_and_adapters_take_the_plain_pass(
    toy, model, prompts, contexts, monkeypatch
):
    monkeypatch.setattr(Double, "choose", None)  # whoever calls it fails
    half = model.computing("bf16")
    half.blocks[0].up.weight.requires_grad_(True)
    out = half(prompts, contexts)
    assert torch.autograd.grad(out.sum(), half.blocks[0].up.weight)[0].abs().max() > 0
    half.blocks[0].up.weight.requires_grad_(False)
    with pytest.raises(TypeError):
        half(prompts, contexts)
    model.with_adapters(2).computing("bf16")(prompts, contexts)
    build_model(toy).train().computing("bf16")(prompts, contexts)


@needs_bf16
@pytest.mark.parametrize("said", ["differ by 1", "RuntimeError: no", "0."])
def test_a_pass_that_fails_is_not_used_and_the_doctor_says_so(
    model, prompts, contexts, untried, monkeypatch, said
):
    monkeypatch.setattr(checked, "_ROUNDS", 1)
    right = prompt_gradient._Encode.backward

    def broken(ctx, grad):
        if said == "RuntimeError: no":
            raise RuntimeError("no such operator")
        if said == "0.":
            time.sleep(0.2)
            return right(ctx, grad)
        return 2 * right(ctx, grad)[0], None, None, None

    monkeypatch.setattr(prompt_gradient._Encode, "backward", staticmethod(broken))
    half = model.computing("bf16")
    got = loss_and_gradient(half, prompts, contexts)
    with plain_only():
        plain = loss_and_gradient(half, prompts, contexts)
    assert all(torch.equal(a, b) for a, b in zip(got, plain, strict=True))
    (found,) = [f for f in doctor.doubles() if f.name == "prompt gradient, bf16"]
    assert found.level == "warning"
    assert said in found.text


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
