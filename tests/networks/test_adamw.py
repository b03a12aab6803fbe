"""AdamW beside torch's, and what it can be continued from."""

import pytest
import torch

from tests.conftest import assert_as_pinned_torch
from workbench.networks.adamw import AdamW


def numbers():
    return [torch.randn(shape, requires_grad=True) for shape in ((5,), (3, 4), ())]


def descend(adam, parameters, steps, oracle=None, theirs=()):
    """Take steps along random gradients of every size, an oracle the same ones."""
    for step in range(steps):
        lr = 1e-2 / (1 + step / 3)
        for i, number in enumerate(parameters):
            number.grad = torch.randn_like(number) * 10.0 ** (step % 5 - 2)
            if oracle is not None:
                theirs[i].grad = number.grad.clone()
        adam.step(lr)
        if oracle is not None:
            oracle.param_groups[0]["lr"] = lr
            oracle.step()
            for a, b in zip(parameters, theirs, strict=True):
                assert_as_pinned_torch(a, b)


@pytest.mark.parametrize("decays", [(0.9, 0.999), (0.0, 0.99)])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
def test_a_step_is_torchs_bit_for_bit(weight_decay, decays):
    torch.manual_seed(0)
    ours = numbers()
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    oracle = torch.optim.AdamW(theirs, betas=decays, weight_decay=weight_decay)
    descend(AdamW(ours, weight_decay, decays), ours, 20, oracle, theirs)


def test_without_weight_decay_it_is_adam():
    torch.manual_seed(0)
    ours = numbers()
    theirs = [p.detach().clone().requires_grad_() for p in ours]
    oracle = torch.optim.Adam(theirs, betas=(0.0, 0.99))
    descend(AdamW(ours, 0.0, (0.0, 0.99)), ours, 20, oracle, theirs)


def test_it_goes_on_from_its_state_as_if_it_had_never_stopped():
    torch.manual_seed(0)
    one = numbers()
    adam = AdamW(one)
    descend(adam, one, 3)
    other = [p.detach().clone().requires_grad_() for p in one]
    again = AdamW(other)
    again.load_state_dict(adam.state_dict())
    for parameters, optimizer in ((one, adam), (other, again)):
        torch.manual_seed(1)
        descend(optimizer, parameters, 3)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)
