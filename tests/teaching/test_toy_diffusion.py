"""Denoising in the plane, against answers that are known."""

import numpy as np
import pytest
import torch

from workbench.networks.diffusion import NoiseSchedule
from workbench.teaching import toy_diffusion


@pytest.fixture
def schedule():
    return NoiseSchedule.cosine(20)


def test_the_data_are_two_groups_of_unit_spread(rng):
    data = toy_diffusion.two_groups(400, rng)
    assert data.shape == (400, 1, 2)
    flat = data.flatten(1)
    torch.testing.assert_close(flat.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(0), torch.ones(2))
    assert torch.cdist(flat[:200], flat[200:]).min() > 0.2


def test_weights_are_those_of_bayes(schedule, rng):
    data, x, k = torch.randn(5, 1, 2, generator=rng), torch.randn(3, 1, 2, generator=rng), 7
    found = toy_diffusion.weights(x, k, schedule, data)
    alpha_bar = float(schedule.alpha_bar[k - 1])
    normal = torch.distributions.Normal(0.0, (1 - alpha_bar) ** 0.5)
    likelihood = normal.log_prob(x - alpha_bar**0.5 * data.permute(1, 0, 2)).sum(-1).exp()
    torch.testing.assert_close(found, likelihood / likelihood.sum(1, keepdim=True))


def test_the_best_guess_is_the_mean_of_all_data_at_first_and_commits_at_last():
    schedule, data, chain = toy_diffusion.example()
    n = schedule.n_diffusion_steps
    first = toy_diffusion.posterior_mean(chain.x[0], n, schedule, data)
    assert (first - data.mean(0)).abs().max() < 0.05
    near = toy_diffusion.posterior_mean(
        schedule.noised(data, torch.ones(400).long(), 0 * data), 1, schedule, data
    )
    assert (near - data).norm(dim=-1).mean() < 0.1


def test_no_other_guess_has_a_smaller_squared_error(schedule, rng):
    """The exact predictor against the same one, pushed a little: L_DM on the same noise."""
    data = toy_diffusion.two_groups(200, rng)
    best, losses = toy_diffusion.exact(schedule, data), []
    for push in (0.0, 0.2, -0.2):
        draws, total = torch.Generator().manual_seed(3), 0.0
        for k in range(1, 21):
            many = torch.full((200,), k)
            eps = torch.randn(data.shape, generator=draws)
            x = schedule.noised(data, many, eps)
            total += (eps - best(x, x, many) - push).square().mean().item()
        losses.append(total)
    assert losses[0] < min(losses[1:])


def test_an_exact_chain_ends_on_both_groups_of_the_data():
    _, data, chain = toy_diffusion.example()
    assert toy_diffusion.to_data(chain.x0_hat[-1], data) < 0.1
    origin = torch.cdist(chain.x[-1].flatten(1), data.flatten(1)).argmin(1) >= 200
    assert 0.35 < origin.float().mean() < 0.65
    spread = toy_diffusion.spread(chain.x0_hat)
    assert spread[0] < 0.05
    assert (spread.diff() > 0).all()


def test_spread_is_the_standard_deviation(rng):
    points = torch.randn(4, 50, 1, 2, generator=rng)
    wanted = points.numpy().reshape(4, 50, 2).var(1).mean(-1) ** 0.5
    np.testing.assert_allclose(toy_diffusion.spread(points), wanted, rtol=1e-5)


def test_a_network_learns_to_predict_the_noise(schedule, rng):
    torch.manual_seed(0)
    net, data = toy_diffusion.PlaneDiffuser(20, width=32), toy_diffusion.two_groups(200, rng)
    losses = list(toy_diffusion.fit(net, schedule, data, updates=150, rng=rng, batch_size=64))
    assert np.mean(losses[-30:]) < 0.75 * np.mean(losses[:5])
    chain = toy_diffusion.sample(net, schedule, 30, rng)
    assert chain.x.shape == (21, 30, 1, 2)
