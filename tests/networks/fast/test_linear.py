"""Frozen layers by oneDNN, against torch's."""

import pytest
import torch

from workbench.networks.fast.linear import (
    FrozenLinear,
    FrozenMLP,
    linear_in_chunks,
    split_inputs,
)
from workbench.networks.fast.processor import onednn


@torch.inference_mode()
@pytest.mark.parametrize(
    ("n_in", "n_out"), [(128, 384), (128, 128), (128, 512), (512, 128), (1, 3)]
)
@pytest.mark.parametrize("rows", [1, 2, 40, 413, 1180])
def test_a_layer_has_the_very_bits_of_the_plain_one(rows, n_in, n_out, rng):
    layer = torch.nn.Linear(n_in, n_out)
    x = torch.randn(rows, n_in, generator=rng)
    frozen = FrozenLinear(layer, torch.float32)
    assert torch.equal(frozen(x), layer(x))
    assert torch.equal(frozen(x, relu=True), layer(x).relu())
    assert torch.equal(frozen(x.view(1, rows, n_in))[0], layer(x))
    near = FrozenLinear(layer, torch.float32, same_bits=False)
    torch.testing.assert_close(near(x, relu=True), layer(x).relu())


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 2, 40, 413, 1180])
def test_an_mlp_in_chunks_has_the_very_bits_of_the_whole(rows, rng):
    up, down = torch.nn.Linear(128, 512), torch.nn.Linear(512, 128)
    h, x = (torch.randn(1, rows, 128, generator=rng) for _ in range(2))
    want = x + down(up(h).relu())
    assert torch.equal(FrozenMLP(up, down, torch.float32, same_bits=True)(h, x), want)
    near = FrozenMLP(up, down, torch.float32, same_bits=False)
    torch.testing.assert_close(near(h, x), want)


@pytest.mark.skipif(onednn is None, reason="this build of torch has no oneDNN")
@torch.inference_mode()
def test_a_layer_in_chunks_is_the_layer(rng):
    layer = torch.nn.Linear(10, 7)
    x = torch.randn(5, 10, generator=rng)
    for chunk in (3, 5, 10):
        got = linear_in_chunks(x, split_inputs(layer.weight, chunk), layer.bias, relu=True)
        torch.testing.assert_close(got, layer(x).relu())
