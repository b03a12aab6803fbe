"""The transformer: what may influence what, how it acts, plainly and from a cache, and its file."""

import dataclasses
import time

import numpy as np
import pytest
import torch

from tests.conftest import TOY_SIZES, build_model, record
from workbench.data.rollout import rollout
from workbench.data.trajectory import Segment, Trajectories
from workbench.networks.checkpoint import read_checkpoint
from workbench.networks.fast import checked, inference
from workbench.networks.fast.checked import Double
from workbench.networks.fast.inference import ActFromCache
from workbench.networks.fast.processor import has_bf16
from workbench.networks.prompt_dt import ModelConfig, PromptDT, PromptedPolicy, dropout
from workbench.tasks import find
from workbench.upkeep import doctor

K, K_STAR, T = TOY_SIZES.context_length, TOY_SIZES.prompt_length, 12


@pytest.fixture(params=["plain", "fast"])
def way(request, monkeypatch):
    """Each way of acting, whatever a trial would say on this machine."""
    monkeypatch.setattr(Double, "choose", lambda double, *_: getattr(double, request.param))
    return request.param


def changed(segment, rows, by=3.0):
    """Return the segment with every number of ``rows`` changed, the timestep too."""
    fields = {}
    for name, value in vars(segment).items():
        value = value.clone()
        if name == "timesteps":
            value[:, rows] = (value[:, rows] + 5) % T
        elif name != "mask":
            value[:, rows] += by
        fields[name] = value
    return Segment(**fields)


def teacher_forced(model, prompt, steps, b, t, low=None):
    """Predict the action of step t of episode b with ``forward`` from what was recorded."""
    low = max(0, t + 1 - K) if low is None else low
    returns = 3.0 - np.cumsum([0.0, *(s.rewards[b] for s in steps[:t])])

    def column(name):
        rows = np.array([getattr(s, name)[b] for s in steps[low : t + 1]], np.float32)
        return torch.from_numpy(rows).reshape(1, t + 1 - low, -1)

    context = Segment(
        returns_to_go=torch.tensor(returns[low : t + 1]).float().view(1, -1, 1),
        observations=column("observations"),
        actions=column("actions"),
        rewards=column("rewards"),
        timesteps=torch.arange(low, t + 1)[None],
        mask=torch.ones(1, t + 1 - low),
    )
    return model(prompt, context)[0, -1].numpy()


@torch.no_grad()
def check_rollout(model, prompt, steps, first_rows=None):
    assert len(steps) == T > K + 3, "the window must slide"
    seen = []
    for t, step in enumerate(steps):
        for b in range(len(step.actions)):
            mine = prompt[b % len(prompt) : b % len(prompt) + 1]
            low = None if first_rows is None else first_rows[t]
            want = teacher_forced(model, mine, steps, b, t, low)
            np.testing.assert_allclose(step.actions[b], want, atol=1e-5)
            seen.append(want)
    assert np.std(seen) > 0.01, "constant actions would prove nothing"


def block_rows(k):
    """Return the first context row at each step of block mode: K rows on average, K / 2 steps."""
    fewest, most = {1: (1, 1), 2: (2, 2), 3: (3, 3), 4: (4, 5), 6: (5, 7)}[k]
    rows, first = [], 0
    for t in range(T):
        if t - first == most:
            first = t + 1 - fewest
        rows.append(first)
    return rows


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("k", [1, 2, 3, 4, 6])
def test_block_mode_equals_the_forward_pass_on_the_rows_that_it_keeps(toy, prompts, k):
    model = build_model(toy, dataclasses.replace(TOY_SIZES, n_layers=3, context_length=k), seed=3)
    policy = PromptedPolicy(model, prompts, target_return=3.0, mode="block")
    steps = list(rollout(policy, toy.task(5), [1, 2, 3, 4]))
    check_rollout(model, prompts, steps, block_rows(k))


@pytest.mark.usefixtures("way")
def test_block_mode_works_without_a_prompt(toy, model):
    policy = PromptedPolicy(model, Segment.empty(toy), target_return=3.0, mode="block")
    steps = list(rollout(policy, toy.task(5), [1, 2]))
    check_rollout(model, Segment.empty(toy), steps, block_rows(K))


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", ["exact", "block"])
def test_many_rows_equal_the_forward_pass_too(toy, prompts, monkeypatch, mode, k):
    monkeypatch.setattr(inference, "MANY_ROWS", 0)
    monkeypatch.setattr(Double, "choose", lambda double, *_: double.fast)
    model = build_model(toy, dataclasses.replace(TOY_SIZES, n_layers=3, context_length=k), seed=3)
    policy = PromptedPolicy(model, prompts, target_return=3.0, mode=mode)
    steps = list(rollout(policy, toy.task(5), [1, 2, 3, 4]))
    exact = [max(0, t + 1 - k) for t in range(T)]
    check_rollout(model, prompts, steps, exact if mode == "exact" else block_rows(k))


@torch.inference_mode()
@pytest.mark.parametrize("mode", ["exact", "block"])
def test_the_cache_may_skip_steps(toy, model, prompts, mode):
    """A trial does, for it needs no actions in between."""
    rows = Trajectories(record(toy.task(2), 3)).segments(np.arange(3), np.zeros(3, int), T)
    act = ActFromCache(model, prompts, mode, longest=K + 1)
    for begin, t in ((0, 0), (0, K), (K, K + 1), (T - 3, T - 1)):
        wanted = model(prompts, rows[:, begin : t + 1])[:, -1]
        torch.testing.assert_close(act(rows, begin, t), wanted, rtol=0, atol=1e-5)


def test_bfloat16_is_near_and_only_where_it_pays(toy, model, prompts):
    def actions(n, **given):
        steps = rollout(PromptedPolicy(model, prompts, **given), toy.task(5), range(n))
        return np.array([s.actions for s in steps])

    few, many = actions(7), actions(8)
    np.testing.assert_array_equal(actions(7, precision="bf16"), few)
    for mode in ("exact", "block"):
        half = actions(8, precision="bf16", mode=mode)
        whole = actions(8, mode=mode)
        np.testing.assert_allclose(half[0], whole[0], atol=0.05)
        assert has_bf16() != np.array_equal(half, whole)
    assert np.std(many) > 0.01


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("mode", ["exact", "block"])
def test_every_step_in_bfloat16_is_near_the_forward_pass(toy, prompts, mode):
    sizes = dataclasses.replace(TOY_SIZES, n_layers=3)
    model = build_model(toy, sizes, seed=3)
    with torch.no_grad():
        for block in model.blocks:  # sharp attention: each row looks at few others
            block.qkv.weight[: 2 * sizes.width] *= 6
    policy = PromptedPolicy(model, prompts, target_return=3.0, mode=mode, precision="bf16")
    steps = list(rollout(policy, toy.task(5), range(8)))
    first = block_rows(K) if mode == "block" else [None] * T
    apart = [
        np.abs(step.actions[b] - teacher_forced(model, prompts[i : i + 1], steps, b, t, low)).max()
        for t, (step, low) in enumerate(zip(steps, first, strict=True))
        for b, i in enumerate(np.arange(8) % len(prompts))
    ]
    # rounding gives 0.011; without the mask, or with larger scores, it is 0.022 or more
    assert np.mean(apart) < 0.017


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bfloat16")
def test_copies_of_a_prepared_model_have_numbers_of_their_own(model, prompts, contexts):
    """What was prepared for bfloat16 of one model must not act in its copy."""
    first = model.with_weights(model.state_dict()).computing("bf16")
    other = {k: v + 0.3 * torch.randn_like(v) for k, v in model.state_dict().items()}
    with torch.no_grad():
        before = first(prompts, contexts)  # prepares
        copied = first.with_weights(other)(prompts, contexts)
        fresh = model.with_weights(other).computing("bf16")(prompts, contexts)
    torch.testing.assert_close(copied, fresh, rtol=0, atol=0)
    assert not torch.allclose(copied, before, atol=0.05)


@pytest.mark.usefixtures("way")
def test_adapters_act_in_every_mode_and_precision(toy, model, prompts):
    tuned = model.with_adapters(4)
    with torch.no_grad():
        for block in tuned.blocks:
            block.adapter.norm.weight += 0.3
    steps = list(rollout(PromptedPolicy(tuned, prompts, target_return=3.0), toy.task(5), [1, 2]))
    check_rollout(tuned, prompts, steps)
    policy = PromptedPolicy(tuned, prompts, target_return=3.0, mode="block")
    check_rollout(tuned, prompts, list(rollout(policy, toy.task(5), [1, 2])), block_rows(K))
    half = dataclasses.replace(policy, mode="exact", precision="bf16")
    assert all(np.isfinite(s.actions).all() for s in rollout(half, toy.task(5), range(8)))


@pytest.mark.parametrize("wrong", [{"mode": "fast"}, {"precision": "fp16"}])
def test_an_unknown_mode_or_precision_is_refused(model, prompts, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}` must be one of"):
        PromptedPolicy(model, prompts, **wrong)


@pytest.mark.usefixtures("way")
def test_acting_step_by_step_equals_the_forward_pass_at_every_timestep(toy, model, prompts):
    policy = PromptedPolicy(model, prompts, target_return=3.0)
    check_rollout(model, prompts, list(rollout(policy, toy.task(5), [1, 2, 3, 4, 5])))


@pytest.mark.usefixtures("way")
def test_acting_without_a_prompt_equals_the_forward_pass(toy, model):
    prompt = Segment.empty(toy)
    policy = PromptedPolicy(model, prompt, target_return=3.0)
    check_rollout(model, prompt, list(rollout(policy, toy.task(5), [1, 2])))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("layers", [1, 3])
def test_any_depth_acts_as_it_predicts(toy, prompts, layers):
    model = build_model(toy, dataclasses.replace(TOY_SIZES, n_layers=layers), seed=3)
    policy = PromptedPolicy(model, prompts, target_return=3.0)
    check_rollout(model, prompts, list(rollout(policy, toy.task(2), [1, 2, 3])))


def test_models_with_and_without_adapters_share_a_verdict(model, prompts, untried):
    for one in (model, model.with_adapters(2), model.with_weights({})):
        PromptedPolicy(one, prompts).start([1])
    assert [v.double for v in checked.verdicts()] == ["acting, exact fp32"]


def broken(act):
    """Return ways in which the cache may fail on a machine, by what is said of them."""

    def other_numbers(*given):
        return act(*given) + 0.001

    def raises(*given):
        raise RuntimeError("could not create a primitive")

    def sleeps(*given):
        time.sleep(0.2)
        return act(*given)

    return {"differ by 0.00": other_numbers, "RuntimeError: could": raises, "0.": sleeps}


@pytest.mark.parametrize("said", ["differ by 0.00", "RuntimeError: could", "0."])
def test_a_cache_that_fails_is_not_used_and_the_doctor_says_so(
    toy, model, prompts, untried, monkeypatch, said
):
    monkeypatch.setattr(checked, "_ROUNDS", 1)
    monkeypatch.setattr(ActFromCache, "__call__", broken(ActFromCache.__call__)[said])
    policy = PromptedPolicy(model, prompts, target_return=3.0)
    assert not isinstance(policy.start([1]).next_actions, ActFromCache)
    check_rollout(model, prompts, list(rollout(policy, toy.task(5), [1, 2])))
    found = {f.name: f for f in doctor.doubles()}
    assert found["acting, exact fp32"].level == "warning"
    assert "not used, the plain way is: " in found["acting, exact fp32"].text
    assert said in found["acting, exact fp32"].text


def test_the_target_return_is_the_familys_unless_given(toy, model, prompts):
    def actions(**given):
        steps = rollout(PromptedPolicy(model, prompts, **given), toy.task(5), [1])
        return np.array([s.actions for s in steps])

    assert np.array_equal(actions(), actions(target_return=toy.target_return))
    assert not np.allclose(actions(), actions(target_return=30.0))


def test_episodes_follow_the_prompts_in_turn(toy, model, prompts):
    def actions(prompt, seeds):
        steps = rollout(PromptedPolicy(model, prompt), toy.task(5), seeds)
        return np.stack([s.actions for s in steps], 1)

    together = actions(prompts, [7, 7, 7, 7])
    np.testing.assert_allclose(together[3], together[0], atol=1e-6)
    assert not np.allclose(together[0], together[1], atol=1e-3)
    for i in range(3):
        alone = actions(prompts[i : i + 1], [7])[0]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("row", range(K - 1))
def test_later_rows_never_change_earlier_predictions(model, prompts, contexts, row):
    before = model(prompts, contexts)
    after = model(prompts, changed(contexts, slice(row + 1, None)))
    torch.testing.assert_close(after[:, : row + 1], before[:, : row + 1], rtol=0, atol=1e-6)
    assert (after[:, row + 1 :] - before[:, row + 1 :]).abs().min() > 1e-6


@torch.no_grad()
def test_padding_at_the_end_never_changes_real_predictions(model, prompts, contexts):
    whole = model(prompts, contexts)
    for rows in range(1, K):
        short = Segment(**{n: v[:, :rows] for n, v in vars(contexts).items()})
        torch.testing.assert_close(model(prompts, short), whole[:, :rows], rtol=0, atol=1e-6)


@torch.no_grad()
def test_an_action_is_not_read_by_its_own_prediction(model, prompts, contexts):
    actions = contexts.actions.clone()
    actions[:, 1] += 2
    got = model(prompts, dataclasses.replace(contexts, actions=actions))
    want = model(prompts, contexts)
    torch.testing.assert_close(got[:, :2], want[:, :2], rtol=0, atol=1e-6)
    assert (got[:, 2:] - want[:, 2:]).abs().min() > 1e-6


@torch.no_grad()
@pytest.mark.parametrize("name", ["returns_to_go", "observations", "actions", "timesteps"])
def test_every_part_of_the_prompt_is_read(model, prompts, contexts, name):
    value = (getattr(prompts, name) + 2) % T
    other = model(dataclasses.replace(prompts, **{name: value}), contexts)
    assert (other - model(prompts, contexts)).abs().amax((1, 2)).min() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("part", ["rewards", "mask"])
def test_rewards_and_masks_are_not_read(model, prompts, contexts, part):
    want = model(prompts, contexts)
    prompts, contexts = (
        dataclasses.replace(s, **{part: getattr(s, part) + 7}) for s in (prompts, contexts)
    )
    assert torch.equal(model(prompts, contexts), want)


@torch.no_grad()
def test_the_prompt_and_the_context_have_embeddings_of_their_own(model, prompts, contexts):
    short = Segment(**{n: v[:, :K_STAR] for n, v in vars(contexts).items()})
    assert not torch.allclose(model(prompts, short), model(short, prompts), atol=1e-3)


@torch.no_grad()
def test_the_model_normalises_inside(toy, prompts, contexts):
    """Shifting raw units and statistics together changes nothing."""
    model = build_model(toy)
    want = model(prompts, contexts)
    o = len(toy.observations)
    model.normalizer.mean[:o] += 5
    model.normalizer.scale[:o] *= 3
    moved = [
        dataclasses.replace(s, observations=3 * s.observations + 5) for s in (prompts, contexts)
    ]
    torch.testing.assert_close(model(*moved), want, rtol=0, atol=1e-5)


def test_actions_lie_within_their_bounds(toy, model, prompts, contexts):
    wild = changed(contexts, slice(None), by=1e4)
    actions = model(prompts, wild)
    assert actions.shape == (3, K, 1)
    assert actions.abs().max() <= 1


def test_frozen_means_no_gradient_and_no_dropout(toy, prompts, contexts):
    model = PromptDT(dataclasses.replace(TOY_SIZES, dropout=0.5), toy)
    assert model.training
    assert not torch.equal(model(prompts, contexts), model(prompts, contexts))
    assert model.frozen() is model
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert torch.equal(model(prompts, contexts), model(prompts, contexts))


def test_a_frozen_model_lets_the_gradient_through_to_the_prompt(model, prompts, contexts):
    observations = prompts.observations.clone().requires_grad_()
    out = model(dataclasses.replace(prompts, observations=observations), contexts)
    out.sum().backward()
    assert observations.grad.abs().amax((1, 2)).min() > 0
    assert all(p.grad is None for p in model.parameters())


def test_a_checkpoint_comes_back_bit_for_bit(model, prompts, contexts, tmp_path):
    path = tmp_path / "deep" / "m.safetensors"
    model.save(path, note="kept")
    again = PromptDT.load(path)
    assert again.config == model.config
    assert again.family is model.family
    states = model.state_dict(), again.state_dict()
    assert states[0].keys() == states[1].keys()
    assert "normalizer.mean" in states[1]
    assert all(torch.equal(states[0][n], states[1][n]) for n in states[0])
    assert torch.equal(again(prompts, contexts), model(prompts, contexts))
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())
    assert read_checkpoint(path)[0]["note"] == "kept"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("weights"),
    ],
    ids=["missing", "truncated", "empty", "text"],
)
def test_a_damaged_checkpoint_is_a_clear_error(model, tmp_path, damage):
    path = tmp_path / "m.safetensors"
    model.save(path)
    damage(path)
    with pytest.raises(ValueError, match=r"m\.safetensors"):
        PromptDT.load(path)


def test_a_checkpoint_of_something_else_is_a_clear_error(diffuser, tmp_path):
    path = tmp_path / "m.safetensors"
    diffuser.save(path)
    with pytest.raises(ValueError, match=r"m\.safetensors"):
        PromptDT.load(path)


def test_the_released_size_is_the_published_count_with_a_table_of_1000_timesteps():
    """Ours has as many timesteps as the horizon; 1000 in both tables give the 0.87M."""
    w, o, a, horizon = 128, 20, 6, 200
    embedding = (1 + o + a + 3) * w + horizon * w
    block = 12 * w**2 + 13 * w
    ours = PromptDT(ModelConfig(), find("cheetah-vel")).n_parameters
    assert ours == 2 * embedding + 3 * block + 4 * w + (w + 1) * a == 654_982
    assert ours + 2 * 800 * w == pytest.approx(0.87e6, rel=0.02)


def test_the_papers_size_is_near_13_71_million_parameters():
    model = PromptDT(ModelConfig.paper(), find("cheetah-vel"))
    assert model.n_parameters == pytest.approx(13.71e6, rel=0.1)


def test_a_width_that_the_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="multiple of `n_heads`"):
        ModelConfig(width=10, n_heads=3)
    for value in (-0.1, 1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="`dropout` must lie in"):
            ModelConfig(dropout=value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5])
def test_dropout_drops_its_share_at_random_and_keeps_the_mean(p, dtype):
    x = torch.full((40, 75, 33), 2.0, dtype=dtype, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        y = dropout(x, p)
        again = dropout(x, p)
        torch.manual_seed(0)
        assert torch.equal(dropout(x, p), y), "decided by torch's generator alone"
    zero = (y == 0).float()
    spread = (p * (1 - p) / y.numel()) ** 0.5
    assert abs(zero.mean().item() - p) <= 4 * spread + 1e-5
    for axis in (0, 1, 2):  # no row, column or neighbour is favoured
        shares = zero.mean([a for a in range(3) if a != axis])
        assert shares.std() <= 1.6 * (p * (1 - p) * len(shares) / y.numel()) ** 0.5
    for lag in (1, 2, 3, 4, 8):
        pairs = zero.flatten()[lag:] * zero.flatten()[:-lag]
        assert abs(pairs.mean().item() - p * p) <= 5 * spread + 1e-5
    assert (p > 0) is not torch.equal(y, again)
    kept = y[y != 0]
    torch.testing.assert_close(kept.float(), torch.full(kept.shape, 2 / (1 - p)), rtol=1e-2, atol=0)
    assert (kept == kept[0]).all()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient == 0, y == 0)
