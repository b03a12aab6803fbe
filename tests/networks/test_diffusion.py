"""The prompt diffuser: its network, its chain, its file. Equations: test_equations.py."""

import dataclasses

import pytest
import torch

from tests.conftest import TOY_DIFFUSER
from workbench.networks.checkpoint import write_checkpoint
from workbench.networks.diffusion import (
    DenoisingTrace,
    DiffuserConfig,
    NoiseSchedule,
    PromptDiffuser,
)
from workbench.networks.fast.chain_gradient import mish_and_slope
from workbench.tasks import find

N = TOY_DIFFUSER.n_diffusion_steps


@pytest.fixture
def y(rng):
    return torch.randn(6, 3, 2, generator=rng)


@pytest.fixture
def x(diffuser, rng):
    return diffuser.noise(6, rng)


def test_the_default_size_is_the_published_0_17_million():
    diffuser = PromptDiffuser(DiffuserConfig(), find("cheetah-vel"))
    assert diffuser.n_parameters == sum(v.numel() for v in diffuser.state_dict().values())
    assert diffuser.n_parameters == pytest.approx(0.17e6, rel=0.05)


@torch.no_grad()
def test_the_predicted_noise_depends_on_everything_it_is_given(diffuser, x, y):
    k = torch.full((6,), 2)
    base = diffuser(x, y, k)
    assert base.shape == x.shape
    for changed in (diffuser(x + 0.1, y, k), diffuser(x, y + 0.1, k)):
        assert (changed - base).abs().amax((1, 2)).min() > 1e-6
    every = torch.stack([diffuser(x, y, torch.full((6,), k)) for k in range(1, N + 1)])
    for i in range(N):
        for j in range(i):
            assert (every[i] - every[j]).abs().amax() > 1e-5, "diffusion steps look alike"


@torch.no_grad()
def test_prompts_of_a_batch_do_not_touch_each_other(diffuser, x, y):
    k = torch.tensor([1, 2, 3, 4, 1, 2])
    together = diffuser(x, y, k)
    for i in range(6):
        alone = diffuser(x[i : i + 1], y[i : i + 1], k[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_noise_is_standard_normal_and_seeded(diffuser):
    draw = torch.Generator().manual_seed
    x = diffuser.noise(4000, draw(1))
    assert x.shape == (4000, 3, 5)
    assert (x.mean().item(), x.std().item()) == pytest.approx((0, 1), abs=0.02)
    assert torch.equal(x, diffuser.noise(4000, draw(1)))
    assert not torch.equal(x, diffuser.noise(4000, draw(2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mish_and_its_slope_are_those_of_torch(dtype):
    x = torch.cat([torch.linspace(-30, 30, 2001), torch.tensor([-200.0, -88, 0, 19.9, 20.1, 200])])
    x = x.to(dtype).requires_grad_()
    want = torch.nn.functional.mish(x)
    (slope,) = torch.autograd.grad(want.sum(), x)
    got = mish_and_slope(x.detach())
    for ours, theirs in zip(got, (want.detach(), slope), strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-6, atol=1e-6 if dtype.itemsize == 4 else 1e-14
        )


@torch.no_grad()
def test_a_sample_is_the_end_of_the_chain(diffuser, y):
    rng = torch.Generator().manual_seed(3)
    *_, last = diffuser.chain(diffuser.noise(6, rng), y, rng, 0.5)
    sample = diffuser.sample(y, torch.Generator().manual_seed(3), 0.5)
    assert torch.equal(last.x, sample)
    with torch.enable_grad():
        to_learn_from = diffuser.sample(y, torch.Generator().manual_seed(3), 0.5)
    torch.testing.assert_close(to_learn_from.detach(), sample)
    assert not torch.equal(diffuser.sample(y, torch.Generator().manual_seed(4), 0.5), sample)


@torch.no_grad()
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_chain_uses_the_configured_schedule_and_clip(toy, y, schedule):
    torch.manual_seed(0)
    config = dataclasses.replace(TOY_DIFFUSER, schedule=schedule, n_diffusion_steps=7, clip_x0=0.25)
    diffuser = PromptDiffuser(config, toy)
    want = getattr(NoiseSchedule, schedule)(7)
    assert torch.equal(diffuser.schedule.beta, want.beta)
    rng = torch.Generator().manual_seed(0)
    steps = list(diffuser.chain(diffuser.noise(6, rng), y, rng, 0.0))
    assert len(steps) == 7
    assert steps[0].x0_hat.abs().max() == 0.25
    assert steps[-1].x.abs().max() <= 0.25 + 1e-5


@torch.no_grad()
def test_at_temperature_zero_only_the_first_noise_matters(diffuser, x, y):
    ends = []
    for seed, temperature in ((1, 0.0), (2, 0.0), (1, 0.5), (2, 0.5)):
        *_, last = diffuser.chain(x, y, torch.Generator().manual_seed(seed), temperature)
        ends.append(last.x)
    assert torch.equal(ends[0], ends[1])
    assert not torch.allclose(ends[2], ends[3])


def test_a_trace_keeps_the_whole_chain_detached(diffuser, x, y, rng):
    steps = list(diffuser.chain(x, y, rng, 0.5))
    trace = DenoisingTrace.of(x, y, iter(steps))
    assert trace.x.shape == (N + 1, 6, 3, 5)
    assert trace.x0_hat.shape == (N, 6, 3, 5)
    assert torch.equal(trace.x[0], x)
    for i, step in enumerate(steps):
        assert torch.equal(trace.x[i + 1], step.x)
        assert torch.equal(trace.x0_hat[i], step.x0_hat)
    assert not any(t.requires_grad for t in vars(trace).values())
    before = trace.x.clone(), trace.y.clone()
    with torch.no_grad():
        x.zero_()
        y.zero_()
        steps[-1].x.zero_()
    assert torch.equal(trace.x, before[0])
    assert torch.equal(trace.y, before[1])


def test_the_chain_leaves_the_consumers_grad_mode_alone(diffuser, x, y, rng):
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            for step in diffuser.chain(x, y, rng, 0.5):
                assert torch.is_grad_enabled() is enabled
                assert step.x.requires_grad is enabled


def test_a_diffuser_comes_back_bit_for_bit(diffuser, x, y, tmp_path):
    path = tmp_path / "below" / "d.safetensors"
    diffuser.save(path, note=1)
    again = PromptDiffuser.load(path)
    assert again.config == diffuser.config
    assert again.family is diffuser.family
    k = torch.arange(6) % N + 1
    assert torch.equal(again(x, y, k), diffuser(x, y, k))
    assert torch.equal(again.schedule.beta, diffuser.schedule.beta)


def build(toy, **config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return PromptDiffuser(dataclasses.replace(TOY_DIFFUSER, **config), toy)


@torch.no_grad()
def test_the_chain_does_not_begin_at_the_clip(toy, y):
    """A plain ε̂ is divided by √ᾱ_N = 0.0025: every prediction of x0 lies at the clip."""
    shares = {}
    for prediction in ("v", "eps"):
        diffuser = build(toy, prediction=prediction, n_diffusion_steps=20)
        trace = diffuser.trace(y, torch.Generator().manual_seed(0), 1.0)
        shares[prediction] = (trace.x0_hat[0].abs() >= diffuser.config.clip_x0).float().mean()
    assert shares["v"] == 0
    assert shares["eps"] > 0.9


@torch.no_grad()
def test_a_network_that_knows_nothing_predicts_noise_well_where_all_is_noise(toy, y, rng):
    """L_DM at k = N is near 0 by construction: the MLP need not copy its input's noise."""
    x0 = torch.randn(6, 3, 5, generator=rng)
    k = torch.full((6,), 20)
    for prediction, bound in (("v", 1e-4), ("eps", None)):
        diffuser = build(toy, prediction=prediction, n_diffusion_steps=20)
        eps = torch.randn(x0.shape, generator=rng)
        loss = (diffuser(diffuser.schedule.noised(x0, k, eps), y, k) - eps).square().mean()
        assert loss < bound if bound else loss > 0.5


def test_the_loss_of_v_is_equation_6_weighted(toy, y):
    """‖ε - ε̂‖² = ᾱ_k ‖v - v̂‖² at every step k."""
    diffuser = build(toy)
    x0 = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(1))
    loss = diffuser.own_loss(x0, y, torch.Generator().manual_seed(2))
    rng = torch.Generator().manual_seed(2)
    k = torch.randint(1, N + 1, (6,), generator=rng)
    eps = torch.randn(x0.shape, generator=rng)
    error = diffuser(diffuser.schedule.noised(x0, k, eps), y, k) - eps
    weights = 1 / diffuser.schedule.alpha_bar[k - 1].view(-1, 1, 1)
    torch.testing.assert_close(loss, (weights * error.square()).mean(), rtol=1e-3, atol=1e-5)


def test_constant_columns_are_not_diffused(toy, y, rng):
    whole, part = build(toy), build(toy, constant=(1, 4))
    trace = part.trace(y, rng, 1.0)
    for values in (trace.x, trace.x0_hat):
        assert values[..., [1, 4]].eq(0).all()
        assert values[..., [0, 2, 3]].ne(0).all()
    x0 = torch.randn(6, 3, 5, generator=rng)
    other = x0.clone()
    other[..., [1, 4]] = 7.0
    losses = [d.own_loss(x, y, torch.Generator().manual_seed(0)).item()
              for d, x in ((part, x0), (part, other), (whole, other))]  # fmt: skip
    assert losses[0] == losses[1] != losses[2]
    gradient = torch.autograd.grad(part.sample(y, rng, 1.0).sum(), part.out.bias)[0].view(3, 5)
    assert gradient[:, [1, 4]].eq(0).all()
    assert gradient[:, [0, 2, 3]].ne(0).all()


def test_files_of_before_v_predict_the_noise(toy, x, y, tmp_path):
    path, old = tmp_path / "d.safetensors", build(toy, prediction="eps")
    config = dataclasses.asdict(old.config)
    del config["prediction"], config["constant"]
    write_checkpoint(path, old.state_dict(), {"config": config, "family": "toy"}, half=False)
    again = PromptDiffuser.load(path)
    assert again.config == old.config
    k = torch.arange(6) % N + 1
    assert torch.equal(again(x, y, k), old(x, y, k))


def test_a_file_that_holds_no_diffuser_is_a_clear_error(diffuser, model, tmp_path):
    path = tmp_path / "d.safetensors"
    with pytest.raises(ValueError, match=r"d\.safetensors"):
        PromptDiffuser.load(path)
    diffuser.save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"d\.safetensors"):
        PromptDiffuser.load(path)
    model.save(path)
    with pytest.raises(ValueError, match=r"d\.safetensors"):
        PromptDiffuser.load(path)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cosin"},
        {"n_diffusion_steps": 0},
        {"prompt_length": 0},
        {"clip_x0": 0.0},
        {"n_layers": 0},
        {"prediction": "x0"},
    ],
    ids=str,
)
def test_an_impossible_configuration_is_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}`"):
        DiffuserConfig(**options)
