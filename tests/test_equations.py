"""Each equation against an oracle that shares nothing with the code but the equation."""

import itertools
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import TOY_CRITIC, TOY_DIFFUSER, build_model, record
from workbench.data.trajectory import Normalizer, Segment, Trajectories, masked_mean, returns_to_go
from workbench.methods import projection
from workbench.methods.projection import MODES, Projection, guided_gradient, project, row_space
from workbench.networks.critic import Critic, value_loss
from workbench.networks.diffusion import NoiseSchedule, PromptDiffuser, denoise, diffusion_loss
from workbench.networks.prompt_dt import action_loss

SCHEDULES = {
    "cosine 5": lambda: NoiseSchedule.cosine(5),
    "cosine 20": lambda: NoiseSchedule.cosine(20),
    "cosine 50": lambda: NoiseSchedule.cosine(50),
    "linear 10": lambda: NoiseSchedule.linear(10),
    "linear 20": lambda: NoiseSchedule.linear(20),
    "unscaled linear 20": lambda: NoiseSchedule.linear(20, rescale=False),
}
schedules = pytest.mark.parametrize("name", SCHEDULES)


def make(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SCHEDULES[name]()


def alpha_bars(schedule):
    """Multiply up by hand: index k is step k, index 0 is no noise."""
    out = [1.0]
    for beta in schedule.beta.tolist():
        out.append(out[-1] * (1 - beta))
    return np.array(out)


# ---- the noise schedule ----


@schedules
def test_alpha_bar_is_the_running_product(name):
    schedule = make(name)
    np.testing.assert_allclose(schedule.alpha_bar, alpha_bars(schedule)[1:], rtol=1e-6)


@pytest.mark.parametrize("n", [5, 20, 50, 1000])
def test_cosine_schedule_is_that_of_nichol_and_dhariwal(n):
    f = [np.cos((k / n + 0.008) / 1.008 * np.pi / 2) ** 2 for k in range(n + 1)]
    beta = [min(1 - f[k] / f[k - 1], 0.999) for k in range(1, n + 1)]
    np.testing.assert_allclose(NoiseSchedule.cosine(n).beta, beta, rtol=1e-5)


@pytest.mark.parametrize("n", [5, 10, 20, 50, 100])
def test_rescaled_linear_schedule_ends_where_a_thousand_steps_end(n):
    thousand = NoiseSchedule.linear(1000, rescale=False).alpha_bar[-1].log().item()
    assert NoiseSchedule.linear(n).alpha_bar[-1].log().item() == pytest.approx(thousand, rel=0.05)


@pytest.mark.parametrize("name", ["cosine 5", "cosine 20", "cosine 50", "linear 10", "linear 20"])
def test_offered_schedules_reach_noise_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SCHEDULES[name]().alpha_bar[-1] < 1e-3


def test_a_schedule_that_never_reaches_noise_warns():
    with pytest.warns(UserWarning, match="never reaches noise"):
        schedule = NoiseSchedule.linear(20, rescale=False)
    assert schedule.alpha_bar[-1].item() == pytest.approx(0.82, abs=0.005)


@pytest.mark.parametrize("beta", [[0.5, 0.0], [0.5, 1.0], [-0.1], [[0.5]], [float("nan")]])
def test_impossible_variances_are_refused(beta):
    with pytest.raises(ValueError, match="`beta`"):
        NoiseSchedule(torch.tensor(beta))


@schedules
def test_noised_is_equation_4_element_by_element(name, rng):
    schedule, a = make(name), alpha_bars(make(name))
    n = schedule.n_diffusion_steps
    k = torch.arange(1, n + 1)
    x0, eps = torch.randn(n, 2, 3, generator=rng), torch.randn(n, 2, 3, generator=rng)
    got = schedule.noised(x0, k, eps)
    for b, i, j in itertools.product(range(n), range(2), range(3)):
        want = a[b + 1] ** 0.5 * x0[b, i, j].item() + (1 - a[b + 1]) ** 0.5 * eps[b, i, j].item()
        assert got[b, i, j].item() == pytest.approx(want, abs=1e-5)


# ---- the chain: a data set whose perfect predictor is known in closed form ----


def perfect(schedule, m, s):
    """Return E[eps | x_k] for data N(m, s^2)."""
    a = torch.from_numpy(alpha_bars(schedule))

    def eps_model(x, y, k):
        a_k = a[k].view(-1, *[1] * (x.ndim - 1))
        marginal = a_k * s**2 + 1 - a_k
        return (1 - a_k).sqrt() * (x - a_k.sqrt() * m) / marginal

    return eps_model


def moments(schedule, m, s, temperature):
    """Propagate mean and variance of the chain by conditioning Gaussians, without sampling."""
    a, mean, variance = alpha_bars(schedule), 0.0, 1.0
    for k in range(schedule.n_diffusion_steps, 0, -1):
        beta = schedule.beta[k - 1].item()
        gain = a[k] ** 0.5 * s**2 / (a[k] * s**2 + 1 - a[k])  # of E[x0 | x_k]
        if k == 1:
            from_x0, from_x, noise = 1.0, 0.0, 0.0
        else:  # x_{k-1} given x0 and x_k: two Gaussian observations of it
            noise = 1 / (1 / (1 - a[k - 1]) + (1 - beta) / beta)
            from_x0 = noise * a[k - 1] ** 0.5 / (1 - a[k - 1])
            from_x = noise * (1 - beta) ** 0.5 / beta
        slope = from_x0 * gain + from_x
        mean = from_x0 * (1 - gain * a[k] ** 0.5) * m + slope * mean
        variance = slope**2 * variance + temperature * noise
    return mean, variance**0.5


def sample(schedule, m, s, temperature, rng, n=100_000, **options):
    x = torch.randn(n, 1, 1, generator=rng, dtype=torch.float64)
    y = torch.zeros(n, 1, 2)
    chain = denoise(
        perfect(schedule, m, s), schedule, x, y, rng, temperature=temperature, **options
    )
    for step in chain:
        x = step.x
    return x.flatten().numpy()


@pytest.mark.parametrize("m", [0.7, -2.0])
@schedules
def test_a_one_point_data_set_is_sampled_exactly(name, m, rng):
    x = sample(make(name), m, 0.0, 1.0, rng, n=100, clip=None)
    np.testing.assert_allclose(x, m, rtol=2e-3 if name.startswith("unscaled") else 1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@schedules
def test_a_gaussian_data_set_follows_the_exact_recursion(name, temperature, rng):
    schedule, n = make(name), 100_000
    x = sample(schedule, 0.7, 0.5, temperature, rng, n, clip=None)
    mean, sd = moments(schedule, 0.7, 0.5, temperature)
    assert x.mean() == pytest.approx(mean, abs=4 * sd / n**0.5 + 1e-4)
    assert x.std() == pytest.approx(sd, rel=4 / (2 * n) ** 0.5)


@pytest.mark.parametrize(("n", "sd"), [(5, 0.33), (20, 0.43), (50, 0.47)])
def test_a_gaussian_data_set_comes_back_out_of_noise_a_little_narrower(n, sd, rng):
    """The posterior variance, right for one point, is the lower of DDPM's two bounds for others."""
    x = sample(NoiseSchedule.cosine(n), 0.7, 0.5, 1.0, rng, clip=None)
    assert x.mean() == pytest.approx(0.70, abs=0.01)
    assert x.std() == pytest.approx(sd, abs=0.01)
    assert moments(NoiseSchedule.cosine(n), 0.7, 0.5, 1.0)[1] == pytest.approx(sd, abs=0.01)


def test_a_gaussian_data_set_comes_back_exactly_as_the_chain_grows():
    assert moments(NoiseSchedule.cosine(1000), 0.7, 0.5, 1.0) == pytest.approx(
        (0.7, 0.5), abs=0.005
    )


def test_the_unscaled_schedule_samples_the_wrong_distribution(rng):
    x = sample(make("unscaled linear 20"), 0.7, 0.5, 1.0, rng, clip=None)
    assert (x.mean(), x.std()) == pytest.approx((0.34, 0.67), abs=0.01)


def test_temperature_scales_the_variance_of_one_step(rng):
    schedule, n = NoiseSchedule.cosine(10), 100_000
    x = torch.full((n, 1, 1), 0.3, dtype=torch.float64)
    a, beta = alpha_bars(schedule), schedule.beta[-1].item()
    posterior = 1 / (1 / (1 - a[9]) + (1 - beta) / beta)
    for temperature in (0.0, 0.25, 1.0):
        y = torch.zeros(n, 1, 2)
        chain = denoise(perfect(schedule, 0.7, 0.0), schedule, x, y, rng, temperature=temperature)
        assert next(chain).x.var().item() == pytest.approx(temperature * posterior, rel=0.02)


@pytest.mark.parametrize("temperature", [-0.01, 1.01, float("nan")])
def test_a_temperature_outside_its_range_is_refused(temperature, rng):
    x, y = torch.zeros(1, 1, 1), torch.zeros(1, 1, 2)
    schedule = NoiseSchedule.cosine(3)
    with pytest.raises(ValueError, match="temperature"):
        next(denoise(perfect(schedule, 0, 1), schedule, x, y, rng, temperature=temperature))


def test_the_chain_clips_the_guess_and_steps_from_the_clipped_one(rng):
    schedule = NoiseSchedule.cosine(6)
    x, y = torch.randn(8, 2, 2, generator=rng), torch.zeros(8, 2, 2)
    eps_model = perfect(schedule, 9.0, 0.0)  # always guesses 9
    steps = list(denoise(eps_model, schedule, x, y, rng, temperature=0.0, clip=2.5))
    assert all(torch.equal(s.x0_hat, torch.full_like(s.x0_hat, 2.5)) for s in steps)
    torch.testing.assert_close(steps[-1].x.float(), torch.full((8, 2, 2), 2.5))
    free = list(denoise(eps_model, schedule, x, y, rng, temperature=0.0, clip=None))
    torch.testing.assert_close(free[-1].x.float(), torch.full((8, 2, 2), 9.0), atol=1e-3, rtol=0)


def test_the_chain_counts_down_and_passes_the_condition_on(rng):
    schedule, seen = NoiseSchedule.cosine(4), []
    y = torch.randn(3, 1, 2, generator=rng)

    def eps_model(x, condition, k):
        assert condition is y
        seen.append(k.tolist())
        return torch.zeros_like(x)

    steps = list(denoise(eps_model, schedule, torch.zeros(3, 1, 1), y, rng, temperature=1.0))
    assert seen == [[4] * 3, [3] * 3, [2] * 3, [1] * 3]
    assert [s.diffusion_step for s in steps] == [3, 2, 1, 0]


# ---- the gradient through the chain ----


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def finite_difference(parameter, index, f, h=1e-5):
    with torch.no_grad():
        flat = parameter.view(-1)
        flat[index] += h
        above = f().item()
        flat[index] -= 2 * h
        below = f().item()
        flat[index] += h
    return (above - below) / (2 * h)


def check_by_differences(diffuser, f):
    parameters = tuple(diffuser.parameters())
    gradients = torch.autograd.grad(f(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        for index in {0, parameter.numel() // 2, int(gradient.abs().argmax())}:
            want = finite_difference(parameter, index, f)
            assert gradient.view(-1)[index].item() == pytest.approx(want, rel=1e-4, abs=1e-8)
        assert gradient.abs().max() > 1e-6


def test_the_gradient_of_a_sampled_prompt_equals_finite_differences(toy, double):
    torch.manual_seed(0)
    diffuser, normalizer = PromptDiffuser(TOY_DIFFUSER, toy), Normalizer(3, 1, 10.0, 12)
    y = torch.rand(2, 3, 2)
    weights = torch.randn(2, 3, 3), torch.randn(2, 3, 1)

    def f():
        x = diffuser.sample(y, torch.Generator().manual_seed(1), temperature=0.5)
        prompt = normalizer.unpack(x, y)
        return (prompt.observations * weights[0]).sum() + (prompt.actions * weights[1]).sum()

    check_by_differences(diffuser, f)


def test_the_gradient_of_the_downstream_loss_equals_finite_differences(toy, double):
    torch.manual_seed(0)
    diffuser, model = PromptDiffuser(TOY_DIFFUSER, toy), build_model(toy)
    data = Trajectories(record(toy.task(5), 2))
    context = data.segments(np.array([0, 1]), np.array([3, 9]), 4)
    context = context._map(lambda x: x.double() if x.is_floating_point() else x)
    y = torch.rand(2, 3, 2)

    def f():
        x = diffuser.sample(y, torch.Generator().manual_seed(1), temperature=0.5)
        return action_loss(model, model.normalizer.unpack(x, y), context)

    check_by_differences(diffuser, f)


def test_the_gradient_of_guidance_by_value_equals_finite_differences(toy, double):
    """Divided by its size, which is held: L_Q of arXiv 2405.17098."""
    torch.manual_seed(0)
    diffuser, model = PromptDiffuser(TOY_DIFFUSER, toy), build_model(toy)
    critic = Critic(TOY_CRITIC, toy).requires_grad_(False)
    data = Trajectories(record(toy.task(5), 2))
    context = data.segments(np.array([0, 1]), np.array([3, 9]), 4)
    context = context._map(lambda x: x.double() if x.is_floating_point() else x)
    y, code = torch.rand(2, 3, 2), torch.randn(1, TOY_CRITIC.code)

    def q_values():
        x = diffuser.sample(y, torch.Generator().manual_seed(1), temperature=0.5)
        actions = model(model.normalizer.unpack(x, y), context)
        q = critic(context.observations, actions, code)
        return actions, [masked_mean(each, context.mask) for each in q], q

    _, _, q = q_values()
    sizes = [masked_mean(each.abs(), context.mask).detach() for each in q]

    def held():
        _, (one, two), _ = q_values()
        return -(one / sizes[1] + two / sizes[0]) / 2

    check_by_differences(diffuser, held)
    loss, _ = value_loss(critic, code, context, q_values()[0])
    got = torch.autograd.grad(loss, tuple(diffuser.parameters()))
    want = torch.autograd.grad(held(), tuple(diffuser.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_the_gradient_passes_through_every_step_of_the_chain(toy, diffuser, rng):
    y = torch.rand(2, 3, 2, generator=rng)
    x = diffuser.noise(2, rng).requires_grad_()
    for step in diffuser.chain(x, y, rng, 0.5):
        last = step
    assert torch.autograd.grad(last.x.sum(), x)[0].abs().max() > 0


# ---- the losses ----


class Predictor:
    """Stands in for a diffuser and keeps what it was asked."""

    def __init__(self, n, x0):
        self.config, self.schedule = SimpleNamespace(n_diffusion_steps=n), NoiseSchedule.cosine(n)
        self.x0 = x0.double().numpy()

    def __call__(self, x, y, k):
        self.x, self.y, self.k = x.double().numpy(), y.double().numpy(), k.numpy()
        return 0.3 * x - 0.1 * y.sum(-1, keepdim=True) + 0.02 * k.view(-1, 1, 1)


def test_diffusion_loss_equals_a_plain_recomputation(rng):
    x0, y = torch.randn(4000, 2, 3, generator=rng), torch.randn(4000, 2, 2, generator=rng)
    predictor = Predictor(6, x0)
    loss = diffusion_loss(predictor, predictor.schedule, x0, y, rng).item()
    a = alpha_bars(predictor.schedule)[predictor.k][:, None, None]
    eps = (predictor.x - np.sqrt(a) * predictor.x0) / np.sqrt(1 - a)
    total = 0.0
    for e, x, c, k in zip(eps, predictor.x, predictor.y, predictor.k, strict=True):
        total += np.mean((e - (0.3 * x - 0.1 * c.sum(-1, keepdims=True) + 0.02 * k)) ** 2)
    assert loss == pytest.approx(total / len(eps), rel=1e-3)
    np.testing.assert_array_equal(predictor.y, y.double().numpy())
    # what it drew: unit noise, independent of the data, and every step 1..N equally often
    assert (eps.mean(), eps.std()) == pytest.approx((0, 1), abs=0.03)
    assert np.corrcoef(eps.ravel(), predictor.x0.ravel())[0, 1] == pytest.approx(0, abs=0.03)
    steps, counts = np.unique(predictor.k, return_counts=True)
    assert steps.tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(counts, 4000 / 6, rtol=0.2)


def test_diffusion_loss_of_the_perfect_predictor_of_one_point_is_zero(rng):
    x0, y, schedule = torch.full((64, 2, 3), 0.4), torch.zeros(64, 2, 2), NoiseSchedule.cosine(8)
    eps_model = perfect(schedule, 0.4, 0.0)

    def predictor(x, y, k):
        return eps_model(x, y, k).float()

    predictor.config, predictor.schedule = SimpleNamespace(n_diffusion_steps=8), schedule
    assert diffusion_loss(predictor, predictor.schedule, x0, y, rng).item() < 1e-6


def test_downstream_loss_equals_a_loop_over_real_rows(toy, model, draw):
    data = Trajectories(record(toy.task(5), 3))
    prompt = data.sample(draw, 4, 3, whole=True)
    starts = np.array([2, 9, 11, 0])  # rows 12 and later do not exist: padding
    context = data.segments(np.array([0, 1, 2, 0]), starts, 4)
    loss = action_loss(model, prompt, context).item()
    errors = []
    for b, start in enumerate(starts):
        for row in range(min(4, 12 - start)):
            alone = Segment(**{n: v[b : b + 1, : row + 1] for n, v in vars(context).items()})
            action = model(prompt[b : b + 1], alone)[0, -1, 0].item()
            errors.append((action - context.actions[b, row, 0].item()) ** 2)
    assert len(errors) == 4 + 3 + 1 + 4
    assert loss == pytest.approx(np.mean(errors), rel=1e-4)


# ---- projection, Eq. 8 and 9 ----

SHAPES = ((4, 3), (4,), (2, 5))


def gradients(draw, n=2):
    return [[torch.from_numpy(draw.normal(size=s)).double() for s in SHAPES] for _ in range(n)]


def flat(tensors):
    return np.concatenate([np.asarray(t).ravel() for t in tensors])


def conflicting(draw):
    dm, dt = gradients(draw)
    return dm, [b - 1.5 * a for a, b in zip(dm, dt, strict=True)]


def agreeing(draw):
    dm, dt = gradients(draw)
    return dm, [b + 3 * a for a, b in zip(dm, dt, strict=True)]


def least_squares(v, directions):
    """Remove from v its best approximation by the columns of ``directions``."""
    return v - directions @ np.linalg.lstsq(directions, v, rcond=None)[0]


@pytest.mark.parametrize("lam", [1.0, 0.3])
def test_vector_projection_equals_least_squares(draw, lam):
    dm, dt = conflicting(draw)
    got = flat(Projection("vector", lam).combine(dm, dt).gradient)
    kept = least_squares(flat(dt), flat(dm)[:, None])
    np.testing.assert_allclose(got, flat(dm) + lam * kept, atol=1e-10)
    assert abs((got - flat(dm)) @ flat(dm)) < 1e-6


@pytest.mark.parametrize("lam", [1.0, 0.3])
def test_tensor_projection_equals_least_squares_tensor_by_tensor(draw, lam):
    dm, dt = gradients(draw)
    dt[0] = dt[0] - 2 * dm[0]  # only some conflict
    dt[1] = dt[1] + 2 * dm[1].abs() * dm[1].sign()
    got = Projection("tensor", lam).combine(dm, dt).gradient
    conflicts = [float((a * b).sum()) < 0 for a, b in zip(dm, dt, strict=True)]
    assert conflicts[:2] == [True, False]
    for g, a, b, conflict in zip(got, dm, dt, conflicts, strict=True):
        a, b = flat([a]), flat([b])
        kept = least_squares(b, a[:, None]) if conflict else b
        np.testing.assert_allclose(flat([g]), a + lam * kept, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_agreeing_gradients_are_simply_added(draw, mode):
    dm, dt = agreeing(draw)
    combined = Projection(mode, 0.7).combine(dm, dt)
    np.testing.assert_allclose(flat(combined.gradient), flat(dm) + 0.7 * flat(dt), atol=1e-12)
    assert (combined.conflict, combined.removed) == (False, 0.0)


def test_none_adds_conflicting_gradients_too(draw):
    dm, dt = conflicting(draw)
    combined = Projection("none", 0.7).combine(dm, dt)
    np.testing.assert_allclose(flat(combined.gradient), flat(dm) + 0.7 * flat(dt), atol=1e-12)
    assert (combined.conflict, combined.removed) == (True, 0.0)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_may_lie_in_memory_as_they_like(draw, mode):
    """Autograd returns the gradient of a weight transposed."""
    dm, dt = conflicting(draw)
    turned = [[g.t().contiguous().t() if g.ndim == 2 else g for g in of] for of in (dm, dt)]
    want, got = (Projection(mode).combine(*pair).gradient for pair in ((dm, dt), turned))
    np.testing.assert_allclose(flat(got), flat(want), atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_lambda_zero_leaves_the_diffusion_gradient(draw, mode):
    dm, dt = conflicting(draw)
    got = Projection(mode, 0.0).combine(dm, dt).gradient
    assert all(torch.equal(a, b) for a, b in zip(got, dm, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_cosine_and_removed_share_equal_numpy(draw, mode):
    for dm, dt in (conflicting(draw), agreeing(draw), gradients(draw)):
        combined = Projection(mode, 1.0).combine(dm, dt)
        a, b, kept = flat(dm), flat(dt), flat(combined.gradient) - flat(dm)
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        assert combined.cosine == pytest.approx(a @ b / norms, abs=1e-9)
        assert combined.conflict == (a @ b < 0)
        removed = np.linalg.norm(b - kept) / np.linalg.norm(b)
        assert combined.removed == pytest.approx(removed, abs=1e-9)
        assert 0 <= combined.removed <= 1


def test_the_projection_changes_conflicting_gradients(draw):
    dm, dt = conflicting(draw)
    for mode in set(MODES) - {"none"}:
        assert Projection(mode).combine(dm, dt).removed > 0.1


@pytest.mark.parametrize("energy", [0.3, 0.5, 0.9, 0.99, 1.0])
def test_the_row_space_is_the_smallest_that_keeps_the_energy(draw, energy):
    stack = [
        torch.from_numpy(draw.normal(size=(3, 12)))
        @ torch.diag(2.0 ** -torch.arange(12.0)).double()
        for _ in range(3)
    ]
    basis = row_space(stack, energy).numpy()
    rows = torch.cat(stack).numpy()
    m = basis.shape[1]
    np.testing.assert_allclose(basis.T @ basis, np.eye(m), atol=1e-6)
    _, values, right = np.linalg.svd(rows, full_matrices=False)
    share = np.cumsum(values**2) / np.sum(values**2)
    captured = np.sum((rows @ basis) ** 2) / np.sum(rows**2)
    assert captured >= energy - 1e-9
    assert captured == pytest.approx(share[m - 1], abs=1e-9)
    assert m == 1 or share[m - 2] < energy - 1e-12
    np.testing.assert_allclose(basis @ basis.T, right[:m].T @ right[:m], atol=1e-6)


@pytest.mark.parametrize("turned", [0.0, 0.03, 0.3, 3.0])
def test_a_row_space_sought_from_a_near_one_is_the_same(draw, turned, monkeypatch):
    """As in training: some directions lead, and they turn a little from basis to basis."""

    def stack(turn):
        lead = lead_one + turn * draw.normal(size=(3, 64))
        noise = 0.05 * draw.normal(size=(5, 40, 64))
        matrices = draw.normal(size=(5, 40, 3)) * [3, 2, 1] @ lead + noise
        return [torch.from_numpy(m).float() for m in matrices]

    lead_one = np.linalg.qr(draw.normal(size=(64, 3)))[0].T
    near = row_space(stack(0.0), 0.98)
    now = stack(turned)
    want = row_space(now, 0.98)
    found, leading = [], projection._leading
    monkeypatch.setattr(projection, "_leading", lambda *a: found.append(leading(*a)) or found[-1])
    got = row_space(now, 0.98, near)
    assert got.shape == want.shape
    np.testing.assert_allclose(got @ got.T, want @ want.T, atol=1e-4)
    np.testing.assert_allclose(got.T @ got, np.eye(got.shape[1]), atol=1e-5)
    assert (found[0] is not None) or turned > 1


@pytest.mark.parametrize("near", [np.eye(64)[:, :1], np.zeros((64, 2)), np.eye(64)[:, :40]])
def test_a_basis_that_is_not_near_does_no_harm(draw, near):
    now = [torch.from_numpy(draw.normal(size=(40, 64))).float() for _ in range(5)]
    near = torch.from_numpy(near).float()
    for energy in (0.3, 0.9, 1.0):
        got, want = row_space(now, energy, near), row_space(now, energy)
        np.testing.assert_allclose(got @ got.T, want @ want.T, atol=1e-4)


def test_only_recent_gradients_span_the_basis(draw):
    """With a memory of 2 and a basis every 5 updates, the basis of update 5 is that of 4 and 5."""
    combiner = Projection("subspace", memory=2, refresh=5)
    seen = [[torch.from_numpy(draw.normal(size=(1, 6))).float()] for _ in range(6)]
    for gradient in seen:
        combiner.combine(gradient, [-gradient[0]])
    (basis,) = combiner._bases
    want = row_space([seen[4][0], seen[5][0]], combiner.energy)
    torch.testing.assert_close(basis, want)


def test_the_row_space_of_few_rows_has_their_rank(draw):
    row = torch.from_numpy(draw.normal(size=(1, 6))).float()
    basis = row_space([row, 3 * row, -row], 1.0)
    assert basis.shape == (6, 1)
    np.testing.assert_allclose(basis[:, 0].abs(), (row[0] / row.norm()).abs(), atol=1e-6)
    assert row_space([torch.zeros(2, 6)], 0.9).shape == (6, 0)
    assert row_space([torch.zeros(80, 64)], 0.9, torch.eye(64)[:, :2]).shape == (64, 0)


def svd_basis(gradients, energy):
    """Return the row space of stacked gradients by NumPy's own decomposition."""
    rows = np.concatenate([np.atleast_2d(g) for g in gradients])
    _, values, right = np.linalg.svd(rows)
    share = np.cumsum(values**2) / np.sum(values**2)
    return right[: np.flatnonzero(share >= energy - 1e-12)[0] + 1].T


@pytest.mark.parametrize("energy", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("mode", ["published", "subspace"])
def test_subspace_projections_leave_the_row_space_and_never_oppose(draw, mode, energy):
    """One dot product decides for all (the paper), or each tensor's own for itself."""
    projection = Projection(mode, 1.0, energy=energy, memory=3, refresh=1)
    history, decided_alike = [], []
    for number in range(6):
        dm, dt = gradients(draw) if number % 2 else conflicting(draw)
        history = [*history, dm][-3:]
        kept = [g - a for g, a in zip(projection.combine(dm, dt).gradient, dm, strict=True)]
        dots = np.array([float((a * b).sum()) for a, b in zip(dm, dt, strict=True)])
        decided_alike.append(len({*(dots < 0)}) == 1)
        groups = [[0, 1, 2]] if mode == "published" else [[0], [1], [2]]
        for group in groups:
            want = {i: np.atleast_2d(dt[i].numpy()) for i in group}
            if dots[group].sum() < 0:
                for i in group:
                    basis = svd_basis([h[i] for h in history], energy)
                    want[i] = np.stack([least_squares(row, basis) for row in want[i]])
                a, b = flat([dm[i] for i in group]), flat(want.values())
                if a @ b < 0:  # what a basis without all of the energy leaves
                    b = least_squares(b, a[:, None])
                np.testing.assert_allclose(flat([kept[i] for i in group]), b, atol=1e-6)
                assert flat([kept[i] for i in group]) @ a > -1e-9
            else:
                np.testing.assert_allclose(
                    flat([kept[i] for i in group]), flat(want.values()), atol=1e-12
                )
    assert not all(decided_alike), "the two readings were never told apart"


@pytest.mark.parametrize("lam", [1.0, 0.3])
def test_what_combines_is_the_papers_rule(draw, lam):
    """``guided_gradient`` is Eq. 9 as it stands; ``Projection`` remembers and measures besides."""
    for dm, dt in (conflicting(draw), agreeing(draw), gradients(draw)):
        bases = [torch.from_numpy(svd_basis([g], 1.0)) for g in dm]
        want = guided_gradient(dm, dt, bases, lam)
        got = Projection("published", lam, energy=1.0, memory=1, refresh=1).combine(dm, dt)
        np.testing.assert_allclose(flat(got.gradient), flat(want), atol=1e-9)
        for g, b, basis in zip(project_all(dt, bases), dt, bases, strict=True):
            want = [least_squares(row, basis.numpy()) for row in np.atleast_2d(b)]
            np.testing.assert_allclose(np.atleast_2d(g), want, atol=1e-9)


def project_all(dt, bases):
    return [project(b, basis) for b, basis in zip(dt, bases, strict=True)]


@pytest.mark.parametrize("mode", ["vector", "tensor", "subspace", "published"])
def test_no_basis_is_so_old_that_the_projection_opposes(draw, mode):
    """∇L_DM turns while the basis waits for its next refresh."""
    projection, opposed = Projection(mode, memory=2, refresh=50), 0
    for _ in range(40):
        dm, dt = conflicting(draw)
        combined = projection.combine(dm, dt)
        kept = [g - a for g, a in zip(combined.gradient, dm, strict=True)]
        assert flat(kept) @ flat(dm) >= -1e-9
        opposed += combined.conflict
    assert opposed == 40


def test_the_subspace_is_refreshed_when_asked_and_when_it_must(draw, monkeypatch):
    made, now = [], [0]

    def counted(*arguments):
        made.append(now[0])
        return row_space(*arguments)

    monkeypatch.setattr("workbench.methods.projection.row_space", counted)
    lasting = Projection("subspace", memory=1, refresh=3, energy=1.0)
    dm, dt = conflicting(draw)
    for now[0] in range(7):
        lasting.combine(dm, dt)  # ∇L_DM stays as it is: an old basis serves
    assert sorted(set(made)) == [0, 3, 6]
    made.clear()
    turning = Projection("subspace", memory=1, refresh=3, energy=1.0)
    for now[0] in range(4):
        turning.combine(*conflicting(draw))
    assert sorted(set(made)) == [0, 1, 2, 3]


def test_a_zero_diffusion_gradient_leaves_the_downstream_one(draw):
    _, dt = conflicting(draw)
    zero = [torch.zeros_like(b) for b in dt]
    for mode in MODES:
        combined = Projection(mode).combine(zero, dt)
        np.testing.assert_array_equal(flat(combined.gradient), flat(dt))
        assert (combined.cosine, combined.conflict, combined.removed) == (0, False, 0)


# ---- returns, means, packing ----


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5)])
def test_returns_to_go_equals_a_loop(draw, shape):
    rewards = draw.normal(size=shape)
    got = returns_to_go(rewards)
    for index in np.ndindex(shape):
        assert got[index] == pytest.approx(sum(rewards[(*index[:-1], slice(index[-1], None))]))


def test_masked_mean_ignores_padding_exactly():
    x = torch.tensor([[1.0, 2.0, 1e30], [4.0, -7e20, 5e20]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert masked_mean(x, mask).item() == pytest.approx(7 / 3)
    wide = torch.stack([x, 3 * x], -1)
    assert masked_mean(wide, mask).item() == pytest.approx(14 / 3)
    assert masked_mean(x, torch.zeros_like(mask)).item() == 0


def test_pack_and_unpack_are_inverse(toy, draw):
    data = Trajectories(record(toy.task(4), 3))
    normalizer = Normalizer(3, 1, 10.0, toy.horizon).fit(data)
    prompt = data.sample(draw, 8, 5, whole=True)
    x, y = normalizer.pack(prompt)
    assert x.shape == (8, 5, 5)
    assert y.shape == (8, 5, 2)
    back = normalizer.unpack(x, y)
    for name, value in vars(prompt).items():
        torch.testing.assert_close(getattr(back, name), value, rtol=1e-5, atol=1e-5)
    assert back.timesteps.dtype == torch.int64


def test_packed_columns_are_what_the_paper_says(toy):
    rows = record(toy.task(4), 3)
    data = Trajectories(rows)
    normalizer = Normalizer(3, 1, 10.0, toy.horizon).fit(data)
    x, y = normalizer.pack(data.segments(np.array([1]), np.array([2]), 5))
    every = np.concatenate([np.c_[t.observations, t.actions, t.rewards] for t in rows])
    one = rows[1]
    raw = np.c_[one.observations, one.actions, one.rewards][2:7]
    np.testing.assert_allclose(x[0], (raw - every.mean(0)) / every.std(0), rtol=1e-4, atol=1e-5)
    to_go = [sum(one.rewards[t:]) / 10 for t in range(2, 7)]
    np.testing.assert_allclose(y[0], np.c_[to_go, np.arange(2, 7) / 12], rtol=1e-5)


def test_unpack_limits_actions_and_lets_gradients_through():
    normalizer = Normalizer(3, 1, 10.0, 12)
    x = torch.tensor([[[0.0, 0, 0, 7, 0], [0, 0, 0, -0.5, 0]]], requires_grad=True)
    prompt = normalizer.unpack(x, torch.zeros(1, 2, 2))
    assert prompt.actions.flatten().tolist() == [1.0, -0.5]
    (prompt.observations.sum() + prompt.actions.sum()).backward()
    assert x.grad[..., :4].eq(1).all(), "an action outside its range can come back"
