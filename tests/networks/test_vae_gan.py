"""A VAE and a GAN in the diffuser's place: what they learn, their sizes, their files."""

import copy
import dataclasses

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.conftest import TOY, TOY_GAN, TOY_VAE
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.networks.vae_gan import GENERATORS, GANConfig, PromptGAN, PromptVAE, VAEConfig, _mish
from workbench.tasks import FAMILIES

SMALL = {"vae": TOY_VAE, "gan": TOY_GAN}
both = pytest.mark.parametrize("name", SMALL)


def build(name, config=None, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GENERATORS[name](config or SMALL[name], TOY)


@pytest.fixture
def y(rng):
    return torch.randn(6, 3, 2, generator=rng)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def numbers(module):
    return {name: v.clone() for name, v in module.state_dict().items()}


def assert_same(one, other, *, same=True):
    assert all(torch.equal(one[k], other[k]) for k in one) is same


# ---- what they learn ----


def train(generator, sample, steps, lr):
    """Train on batches of ``sample(n, rng)`` as pretraining does; return the average."""
    rng = seeded(0)
    averaged = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(0.98))
    optimizer = torch.optim.AdamW(generator.trainable(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x, y = sample(128, rng)
        generator.prepare(x, y, rng)
        optimizer.zero_grad()
        generator.own_loss(x, y, rng).backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(generator)
    return averaged.module


LEARNING = {
    "vae": (VAEConfig(prompt_length=1, width=32, n_layers=1, latent=6), 1000, 1e-2),
    "gan": (
        GANConfig(prompt_length=1, width=32, n_layers=3, penalty=0.1, critic_lr=5e-3),
        800,
        2e-3,
    ),
}


@both
@torch.no_grad()
def test_the_mean_and_spread_of_a_conditional_gaussian_are_learnt(name):
    """x0 ~ N(0.7 r̂, 0.5²): slope and mean within 0.1, sd within 0.1 (VAE) or 0.15 (GAN)."""

    def sample(n, rng):
        y = torch.randn(n, 1, 2, generator=rng)
        return 0.7 * y[..., :1] + 0.5 * torch.randn(n, 1, 5, generator=rng), y

    config, steps, lr = LEARNING[name]
    with torch.enable_grad():
        generator = train(build(name, config), sample, steps, lr)
    _, y = sample(4000, seeded(9))
    x = generator.sample(y, seeded(1), 1.0)
    slope = (x * y[..., :1]).mean((0, 1)) / y[..., 0].square().mean()
    assert slope == pytest.approx([0.7] * 5, abs=0.1)
    rest = x - 0.7 * y[..., :1]
    assert rest.mean((0, 1)) == pytest.approx([0.0] * 5, abs=0.1)
    assert rest.std((0, 1)) == pytest.approx([0.5] * 5, abs={"vae": 0.1, "gan": 0.15}[name])
    cold = generator.sample(y, seeded(1), 0.25) - 0.7 * y[..., :1]
    assert cold.std((0, 1)) == pytest.approx(rest.std((0, 1)) / 2, rel=0.25), "of the variance"


@both
@torch.no_grad()
def test_a_data_set_of_one_point_is_learnt(name):
    point = torch.linspace(-1, 1, 5)

    def sample(n, rng):
        return point.expand(n, 1, 5), torch.randn(n, 1, 2, generator=rng)

    config, _, lr = LEARNING[name]
    config = dataclasses.replace(config, **({"beta": 0.005} if name == "vae" else {}))
    with torch.enable_grad():
        generator = train(build(name, config), sample, 400, lr)
    x = generator.sample(torch.zeros(500, 1, 2), seeded(1), 1.0)
    assert x.mean((0, 1)) == pytest.approx(point.tolist(), abs=0.1)
    assert x.std(0).max() < 0.15


# ---- what tuning relies on ----


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
@pytest.mark.parametrize(("kind", "sizes"), [(PromptVAE, VAEConfig), (PromptGAN, GANConfig)])
def test_the_default_sizes_are_the_diffusers(kind, sizes, family):
    """Within 5 %, in every family; of a GAN the generator counts, its critic is the loss."""
    want = PromptDiffuser(DiffuserConfig(), family).n_parameters
    generator = kind(sizes(), family)
    assert generator.n_parameters == pytest.approx(want, rel=0.05)
    assert generator.n_parameters == sum(p.numel() for p in generator.trainable())
    assert generator.prompt_length == DiffuserConfig().prompt_length


@both
@torch.no_grad()
def test_a_sample_is_seeded_and_depends_on_condition_noise_and_temperature(name, y):
    generator = build(name)
    base = generator.sample(y, seeded(1), 1.0)
    assert base.shape == (6, 3, 5)
    assert torch.equal(base, generator.sample(y, seeded(1), 1.0))
    for other in (
        generator.sample(y, seeded(2), 1.0),
        generator.sample(y + 0.3, seeded(1), 1.0),
        generator.sample(y, seeded(1), 0.5),
    ):
        assert (other - base).abs().amax((1, 2)).min() > 1e-6
    cold = [generator.sample(y, seeded(seed), 0.0) for seed in (1, 2)]
    assert torch.equal(*cold), "without noise there is nothing to draw"
    assert generator.trace(y, seeded(1), 1.0) is None


@both
@torch.no_grad()
def test_samples_are_clipped_as_the_diffusers(name, y):
    generator = build(name, dataclasses.replace(SMALL[name], clip_x0=0.05))
    assert generator.sample(y, seeded(1), 1.0).abs().max() == torch.tensor(0.05)


@both
def test_samples_are_differentiable_in_every_trainable_number_that_makes_them(name, y):
    generator = build(name)
    loss = generator.sample(y, seeded(1), 1.0).square().sum()
    gradients = torch.autograd.grad(loss, generator.trainable(), allow_unused=True)
    made_by = generator.decoder if name == "vae" else generator.generator
    reached = [g is not None and bool(g.any()) for g in gradients]
    assert sum(reached) == len(list(made_by.parameters()))


@both
def test_the_own_loss_reaches_every_trainable_number(name, y, rng):
    generator, x = build(name), torch.randn(6, 3, 5, generator=rng)
    gradients = torch.autograd.grad(generator.own_loss(x, y, rng), generator.trainable())
    assert all(g.any() for g in gradients)


def test_the_vaes_loss_is_the_evidence_bound(y, rng):
    """Against log densities of torch.distributions, at the same draw of z."""
    vae, x = build("vae"), torch.randn(6, 3, 5, generator=rng)
    sigma, n = (vae.config.beta / 2) ** 0.5, 15
    mean, log_variance = vae.encoder(x, y).chunk(2, 1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    z = mean + q.scale * torch.randn(mean.shape, generator=seeded(4))
    p = torch.distributions.Normal(vae.decoder(z, y).view_as(x), sigma)
    prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
    kl = torch.distributions.kl_divergence(q, prior).sum(1)
    bound = (p.log_prob(x).sum((1, 2)) - kl).mean()
    constant = -n * torch.tensor(sigma * (2 * torch.pi) ** 0.5).log()
    want = -2 * sigma**2 / n * (bound - constant)
    torch.testing.assert_close(vae.own_loss(x, y, seeded(4)), want)


# ---- the critic ----


def test_preparing_improves_the_critic_alone_and_the_loss_teaches_the_generator_alone(y, rng):
    gan, x = build("gan"), torch.randn(6, 3, 5, generator=rng)
    before = numbers(gan)
    gan.prepare(x, y, rng)
    after = numbers(gan)
    for name in before:  # only differences of the critic's scores count, so its last bias stays
        kept = name.startswith("generator.") or name == "critic.out.bias"
        assert torch.equal(before[name], after[name]) is kept, name
    gan.own_loss(x, y, rng).backward()
    gradients = {name: p.grad for name, p in gan.named_parameters()}
    critic = [p.grad.clone() for p in gan.critic.parameters()]
    gan.own_loss(x, y, rng).backward()
    for old, p in zip(critic, gan.critic.parameters(), strict=True):
        assert torch.equal(old, p.grad), "the critic's gradients are of its own loss"
    assert all(g.any() for name, g in gradients.items() if name.startswith("generator."))


def test_the_critics_step_descends_its_loss_by_finite_differences(y, rng):
    """The gradient that ``prepare`` leaves, penalties and all, against differences of the loss."""
    gan, x = build("gan").double(), torch.randn(6, 3, 5, generator=rng).double()
    y, penalty = y.double(), gan.config.penalty
    with torch.random.fork_rng(devices=[]):
        torch.set_default_dtype(torch.float64)
        try:
            made = gan.sample(y, seeded(3), 1.0).detach()
            start = copy.deepcopy(gan.critic)
            gan.prepare(x, y, seeded(3))
        finally:
            torch.set_default_dtype(torch.float32)

    def loss(critic):
        slopes = []
        for points in (x, made):
            points = points.clone().requires_grad_()
            slopes.append(torch.autograd.grad(critic(points, y).sum(), points)[0])
        gap = critic(made, y) - critic(x, y)
        penalised = sum(s.square().sum((1, 2)).mean() for s in slopes)
        return (torch.nn.functional.softplus(gap).mean() + penalty / 2 * penalised).item()

    for (name, p), stepped in zip(start.named_parameters(), gan.critic.parameters(), strict=True):
        at = p.data.flatten()
        for i in (0, len(at) // 2):
            values, old = [], at[i].item()
            for by in (1e-5, -1e-5):
                at[i] = old + by
                values.append(loss(start))
            at[i] = old
            want = (values[0] - values[1]) / 2e-5
            assert stepped.grad.flatten()[i].item() == pytest.approx(want, rel=1e-4, abs=1e-8), name


def test_a_critic_with_large_sums_still_has_a_gradient(y, rng):
    """The second derivative of torch's mish is no number from 89 on, which ended a training."""
    gan, x = build("gan"), torch.randn(6, 3, 5, generator=rng)
    with torch.no_grad():
        gan.critic.hidden[0].bias.copy_(torch.linspace(-200, 200, 24))
    gan.prepare(x, y, rng)
    gradients = [p.grad for p in gan.critic.parameters()]
    assert all(g.isfinite().all() for g in gradients)
    assert gradients[0][-1].any(), "the largest sum still counts"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mish_is_torchs(dtype):
    x = torch.linspace(-60, 60, 4001, dtype=dtype)
    assert torch.equal(_mish(x), torch.nn.functional.mish(x))


def test_copies_of_a_gan_share_nothing_and_learn_alike(y, rng):
    """Also of one whose critic has learnt: a copy begins with an optimiser of its own."""
    gan, x = build("gan"), torch.randn(6, 3, 5, generator=rng)
    for seed in range(3):
        gan.prepare(x, y, seeded(seed))
    before, copies = numbers(gan), [copy.deepcopy(gan) for _ in range(2)]
    ends = []
    for one in copies:
        for seed in range(3):
            one.prepare(x, y, seeded(seed))
        ends.append(numbers(one))
    assert_same(ends[0], ends[1])
    assert_same(ends[0], before, same=False)
    assert_same(numbers(gan), before)
    of = [set(map(id, g.critic_optimizer.parameters)) for g in (gan, *copies)]
    assert of == [set(map(id, g.critic.parameters())) for g in (gan, *copies)]


# ---- files and settings ----


@both
def test_a_generator_comes_back_bit_for_bit(name, y, tmp_path):
    generator, path = build(name), tmp_path / "below" / "g.safetensors"
    generator.save(path, note=1)
    again = type(generator).load(path)
    assert again.config == generator.config
    assert_same(numbers(again), numbers(generator))
    assert torch.equal(again.sample(y, seeded(1), 1.0), generator.sample(y, seeded(1), 1.0))


@pytest.fixture(autouse=True)
def known(toy):
    """The toy family by name, for loading."""


@both
def test_a_file_that_holds_another_thing_is_a_clear_error(name, model, diffuser, tmp_path):
    path, kind = tmp_path / "g.safetensors", GENERATORS[name]
    with pytest.raises(ValueError, match=r"g\.safetensors"):
        kind.load(path)
    build(name).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"g\.safetensors"):
        kind.load(path)
    other = build({"vae": "gan", "gan": "vae"}[name])
    for wrong in (model, diffuser, other):
        wrong.save(path)
        with pytest.raises(ValueError, match=rf"g\.safetensors is no checkpoint of a {kind.kind}"):
            kind.load(path)


@pytest.mark.parametrize("config", [VAEConfig, GANConfig])
def test_an_impossible_configuration_is_refused(config):
    for field in dataclasses.fields(config):
        with pytest.raises(ValueError, match=f"`{field.name}` must be positive: got 0"):
            config(**{field.name: 0})
