"""Banded attention: what a token reads, and acting from a ring, beside the plain forward pass."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY_SIZES, build_model, record
from workbench.data.rollout import rollout
from workbench.data.trajectory import Segment, Trajectories
from workbench.networks.checkpoint import read_checkpoint
from workbench.networks.fast.checked import Double
from workbench.networks.fast.processor import has_bf16
from workbench.networks.fast.ring import ActFromRing
from workbench.networks.prompt_dt import (
    ACT,
    ModelConfig,
    PromptDT,
    PromptedPolicy,
    act_by_forward,
    hidden_tokens,
)

K, T = 3, 12


def banded(toy, k=K, layers=2, *, sharp=True, **sizes):
    config = dataclasses.replace(
        TOY_SIZES, attention="banded", context_length=k, n_layers=layers, **sizes
    )
    model = build_model(toy, config, seed=3)
    with torch.no_grad():
        for block in model.blocks if sharp else ():  # each row looks at few others
            block.qkv.weight[: 2 * config.width] *= 3
    return model


@pytest.fixture
def rows(toy):
    return Trajectories(record(toy.task(2), 3)).segments(np.arange(3), np.zeros(3, int), T)


def test_a_token_reads_the_prompt_and_the_rows_of_its_band():
    n_prompt, n_context, band = 6, 12, 2
    hidden = hidden_tokens(n_prompt, n_context, band)
    for query in range(n_prompt + n_context):
        for key in range(n_prompt + n_context):
            rows_before = (query - n_prompt) // 3 - (key - n_prompt) // 3
            too_old = key >= n_prompt and rows_before >= band
            assert hidden[query, key] == (key > query or too_old)
    assert torch.equal(hidden_tokens(6, 12), torch.ones(18, 18, dtype=torch.bool).triu(1))


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_action_depends_on_the_rows_within_its_reach_and_on_no_others(
    toy, prompts, rows, layers
):
    model = banded(toy, layers=layers)
    assert model.config.reach == layers * (K - 1) + 1
    t = T - 1
    wanted = model(prompts, rows)[:, t]
    for row in range(T):
        observations = rows.observations.clone()
        observations[:, row] += 3
        got = model(prompts, dataclasses.replace(rows, observations=observations))[:, t]
        assert torch.equal(got, wanted) == (row <= t - model.config.reach)
    within = rows[:, t + 1 - model.config.reach :]
    torch.testing.assert_close(model(prompts, within)[:, -1], wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_as_long_as_no_row_leaves_the_band_it_is_the_sliding_model(toy, prompts, rows):
    model = banded(toy)
    sliding = PromptDT(dataclasses.replace(model.config, attention="sliding"), toy).frozen()
    sliding.load_state_dict(model.state_dict())
    assert torch.equal(model(prompts, rows[:, :K]), sliding(prompts, rows[:, :K]))
    assert (model(prompts, rows) - sliding(prompts, rows))[:, K:].abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 2), (3, 1)])
def test_the_ring_gives_what_the_whole_episode_gives_in_one_pass(
    toy, prompts, rows, k, layers, heads
):
    model = banded(toy, k, layers, n_heads=heads)
    wanted, seen = model(prompts, rows), model.config.reach
    act, plain = (way(model, prompts, "exact", seen) for way in (ActFromRing, act_by_forward))
    for t in range(T):
        got = act(rows, max(0, t + 1 - seen), t)
        torch.testing.assert_close(got, wanted[:, t], rtol=0, atol=1e-5)
        torch.testing.assert_close(
            plain(rows, max(0, t + 1 - seen), t), wanted[:, t], rtol=0, atol=1e-5
        )
    assert wanted.std() > 0.01, "constant actions would prove nothing"


@torch.inference_mode()
def test_the_ring_reads_what_was_skipped(toy, prompts, rows):
    """A trial skips steps, for it needs no actions in between."""
    model = banded(toy)
    act, wanted = ActFromRing(model, prompts, "exact", model.config.reach), model(prompts, rows)
    for t in (0, 1, 7, T - 1):
        torch.testing.assert_close(act(rows, 0, t), wanted[:, t], rtol=0, atol=1e-5)


@pytest.mark.parametrize("way", ["plain", "fast"])
@pytest.mark.parametrize("mode", ["exact", "block"])
@pytest.mark.parametrize("with_prompt", [True, False])
def test_episodes_act_as_the_forward_pass_says(toy, prompts, monkeypatch, way, mode, with_prompt):
    monkeypatch.setattr(Double, "choose", lambda double, *_: getattr(double, way))
    model, prompt = banded(toy), prompts if with_prompt else Segment.empty(toy)
    policy = PromptedPolicy(model, prompt, target_return=3.0, mode=mode)
    episodes = policy.start([1, 2, 3])
    assert isinstance(episodes.next_actions, ActFromRing) == (way == "fast")
    steps = list(rollout(policy, toy.task(5), [1, 2, 3]))
    acted = torch.from_numpy(np.stack([s.actions for s in steps], 1)).float()
    earned = np.cumsum([np.zeros(3), *(s.rewards for s in steps[:-1])], 0).T
    context = Segment(
        returns_to_go=torch.from_numpy(3.0 - earned).float()[..., None],
        observations=torch.from_numpy(np.stack([s.observations for s in steps], 1)).float(),
        actions=acted,
        rewards=torch.zeros(3, T, 1),
        timesteps=torch.arange(T).expand(3, -1),
        mask=torch.ones(3, T),
    )
    with torch.no_grad():
        prompt = prompt[torch.arange(3) % len(prompt)]
        wanted = model(prompt, context)
    np.testing.assert_allclose(acted, wanted, atol=1e-5)


@torch.inference_mode()
def test_adapters_act_from_the_ring(toy, prompts, rows):
    tuned = banded(toy).with_adapters(4)
    for block in tuned.blocks:
        block.adapter.norm.weight += 0.3
    act, wanted = ActFromRing(tuned, prompts, "exact", tuned.config.reach), tuned(prompts, rows)
    for t in range(T):
        torch.testing.assert_close(act(rows, 0, t), wanted[:, t], rtol=0, atol=1e-5)


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")
@torch.inference_mode()
def test_the_ring_in_bfloat16_is_near(toy, prompts, rows):
    model = banded(toy, sharp=False)
    act = ActFromRing(model.computing("bf16"), prompts, "exact", model.config.reach)
    wanted = model(prompts, rows)
    apart = [(act(rows, 0, t) - wanted[:, t]).abs().max() for t in range(T)]
    assert np.mean(apart) < 0.02


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_its_trial_agrees(toy, precision):
    if precision == "bf16" and not has_bf16():
        pytest.skip("this processor has no bfloat16")
    model = banded(toy, sharp=precision == "fp32").computing(precision)
    double = ACT["banded", precision]
    plain, fast = (
        double.trial(way, torch.Generator().manual_seed(0), model, "exact", model.config.reach)()
        for way in (double.plain, double.fast)
    )
    assert len(plain) == len(fast) == 3
    for wanted, got in zip(plain, fast, strict=True):
        assert float((wanted - got).abs().max() / wanted.abs().max()) < double.tolerance


def test_a_prompt_is_tuned_as_before(toy, prompts, rows):
    """Contexts of K rows are within every band: the gradient's double may serve."""
    model = banded(toy).computing("bf16")
    observations = prompts.observations.clone().requires_grad_()
    for n in (K, T):
        out = model(dataclasses.replace(prompts, observations=observations), rows[:, :n])
        (gradient,) = torch.autograd.grad(out.sum(), observations)
        assert gradient.abs().amax((1, 2)).min() > 0


def test_files_name_the_attention_only_where_it_is_another_one(toy, tmp_path):
    path = tmp_path / "m.safetensors"
    model = banded(toy)
    model.save(path)
    assert PromptDT.load(path).config == model.config
    assert read_checkpoint(path)[0]["config"]["attention"] == "banded"
    build_model(toy).save(path)
    assert "attention" not in read_checkpoint(path)[0]["config"]
    assert PromptDT.load(path).config.attention == "sliding"


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="`attention` must be one of sliding, banded"):
        ModelConfig(attention="wide")
