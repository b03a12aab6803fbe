"""A larger model that begins as a smaller one."""

import dataclasses

import pytest
import torch

from tests.conftest import TOY_SIZES
from workbench.networks.prompt_dt import PromptDT
from workbench.pretraining.grown import grown
from workbench.pretraining.prompt_dt import begin_with

LAYERS, WIDTH, HEADS = TOY_SIZES.n_layers, TOY_SIZES.width, TOY_SIZES.n_heads


def of_size(family, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return PromptDT(dataclasses.replace(TOY_SIZES, **sizes), family).eval()


@pytest.fixture
def small(model):
    """Of random biases and norms too: none is at 0 or 1."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    return model


@pytest.fixture
def large(toy):
    return of_size(toy, n_layers=LAYERS + 2, width=3 * WIDTH, n_heads=3 * HEADS)


def test_it_predicts_what_the_smaller_one_does(small, large, prompts, contexts):
    before = large(prompts, contexts)
    begin_with(large, small)
    wanted = small(prompts, contexts)
    assert not torch.allclose(before, wanted, atol=0.1)
    assert torch.allclose(large(prompts, contexts), wanted, atol=1e-5)


def test_no_two_copies_of_a_unit_learn_the_same(small, large, prompts, contexts):
    begin_with(large, small)
    large.loss(prompts, contexts, torch.zeros(len(prompts.mask), dtype=torch.long)).backward()
    gradients = {name: p.grad for name, p in large.named_parameters()}
    one, another, _ = gradients["blocks.0.up.bias"].chunk(3)
    assert (one - another).norm() > 0.1 * one.norm()
    added = gradients[f"blocks.{LAYERS}.down.weight"]
    assert added.abs().max() > 0, "a block that adds nothing learns to"


def test_of_equal_sizes_it_is_a_copy(small, toy):
    copied = grown(of_size(toy), small)
    for name, weight in small.state_dict().items():
        assert torch.equal(copied[name], weight), name
    assert len(copied) == len(small.state_dict())


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": WIDTH * 3 // 2, "n_heads": HEADS},
        {"width": WIDTH * 4, "n_heads": HEADS * 2},
        {"n_layers": LAYERS - 1},
    ],
)
def test_a_size_that_does_not_fit_is_a_clear_error(small, toy, sizes):
    with pytest.raises(ValueError, match="a whole number of times"):
        begin_with(of_size(toy, **sizes), small)
