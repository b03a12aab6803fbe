"""Frozen linear layers and MLPs, by oneDNN where that gives torch's bits faster."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.networks.fast.processor import has_bf16, has_onednn, onednn

MANY_ROWS = 512
"""Products of more rows do not fit into a core's cache at once."""


class FrozenLinear:
    """x Wᵀ + b of a frozen layer, (..., n_in) to (..., n_out), by the fastest of equal ways.

    torch gives float32 products to MKL, which on some processors has half of oneDNN's speed (AMD's,
    for one). Both sum over the inputs, MKL a chunk of them at a time in the processor's registers,
    and the order decides the last bits. So oneDNN is given the same chunks, one after the other on
    top of what is there; ``equal_chunk`` finds their size by trying. In bfloat16 torch takes oneDNN
    itself, but does the bias, the ReLU and the sum in passes of their own.

    Args:
        layer: The layer.
        dtype: What is computed in.
        same_bits: Whether float32 must have torch's bits; if not, oneDNN is taken as it is.
        outputs: Which of the layer's outputs.
    """

    def __init__(
        self,
        layer: nn.Linear,
        dtype: torch.dtype,
        *,
        same_bits: bool = True,
        outputs: slice = slice(None),
    ):
        self.weight = layer.weight.detach()[outputs].to(dtype)
        self.bias = layer.bias.detach()[outputs].to(dtype)
        self.n_out, self.n_in = self.weight.shape
        self.half = dtype == torch.bfloat16
        self.onednn = has_bf16() if self.half else has_onednn()
        self.same_bits = same_bits and not self.half
        self._chunks: dict[int, list[Tensor]] = {}

    def __call__(self, x: Tensor, *, relu: bool = False, plus: Tensor | None = None) -> Tensor:
        """Return the product, its positive part, or its sum with another tensor."""
        if plus is not None:
            if self.half and self.onednn:
                return onednn.binary(x, plus, self.weight, self.bias, "add")
            return self(x).add_(plus)
        chunk = self.n_in if self.onednn else 0
        if self.same_bits:
            n_rows = x.numel() // self.n_in
            chunk = equal_chunk(n_rows, self.n_in, self.n_out, torch.get_num_threads())
        if not chunk:
            y = F.linear(x, self.weight, self.bias)
            return y.relu_() if relu else y
        if chunk not in self._chunks:
            self._chunks[chunk] = split_inputs(self.weight, chunk)
        return linear_in_chunks(x, self._chunks[chunk], self.bias, relu=relu)


class FrozenMLP:
    """``x + down(relu(up(h)))``, (..., W), with less written to memory than layer by layer.

    Args:
        up, down: The layers, W to 4 W and back.
        dtype, same_bits: See ``FrozenLinear``.
    """

    def __init__(self, up: nn.Linear, down: nn.Linear, dtype: torch.dtype, *, same_bits: bool):
        self.up, self.down = (FrozenLinear(p, dtype, same_bits=same_bits) for p in (up, down))
        self._chunks: dict[int, list[tuple[Tensor, ...]]] = {}

    def __call__(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the sum, (..., W), for h and x, (..., W)."""
        up, down = self.up, self.down
        n_rows, chunk = h.numel() // up.n_in, 0
        if up.same_bits:
            sizes = (up.n_in, up.n_out, down.n_out)
            chunk = equal_hidden_chunk(n_rows, *sizes, torch.get_num_threads())
        elif up.onednn and not up.half and n_rows > MANY_ROWS:
            chunk = up.n_out // 2
        if not chunk:
            return down(up(h, relu=True), plus=x)
        if chunk not in self._chunks:
            self._chunks[chunk] = split_hidden(up.weight, up.bias, down.weight, chunk)
        return mlp_in_chunks(h, self._chunks[chunk], down.bias).add_(x)


def split_inputs(weight: Tensor, chunk: int) -> list[Tensor]:
    """Cut a weight, (n_out, n_in), into those of ``chunk`` inputs each."""
    return [part.contiguous() for part in weight.split(chunk, 1)]


def linear_in_chunks(x: Tensor, weights: Sequence[Tensor], bias: Tensor, *, relu: bool) -> Tensor:
    """Return x Wᵀ + b, summed over one chunk of the inputs after the other."""
    first, *others = weights
    end = first.shape[1]
    if not others:
        return onednn(x, first, bias, "relu" if relu else "none", [], "")
    y = onednn(x[..., :end], first, bias, "none", [], "")
    for weight in others:
        begin, end = end, end + weight.shape[1]
        y = onednn.binary(x[..., begin:end], y, weight, None, "add")
    return y.relu_() if relu else y


def split_hidden(up: Tensor, bias: Tensor, down: Tensor, chunk: int) -> list[tuple[Tensor, ...]]:
    """Cut the weights of an MLP into those of ``chunk`` hidden units each."""
    return list(zip(up.split(chunk), bias.split(chunk), split_inputs(down, chunk), strict=True))


def mlp_in_chunks(h: Tensor, weights: Sequence[tuple[Tensor, ...]], bias: Tensor) -> Tensor:
    """Return down(relu(up(h))): make and use one chunk of the hidden layer after the other."""
    y: Any = None
    for up, up_bias, down in weights:
        hidden = onednn(h, up, up_bias, "relu", [], "")
        if y is None:
            y = onednn(hidden, down, bias, "none", [], "")
        else:
            y = onednn.binary(hidden, y, down, None, "add")
    return y


@functools.lru_cache(maxsize=4096)
def equal_chunk(n_rows: int, n_in: int, n_out: int, n_threads: int) -> int:
    """Return how many inputs oneDNN must sum at a time for torch's bits; 0 if none will do.

    Tried once for each shape and number of threads, on which the order of a sum may depend.
    """
    if not has_onednn():
        return 0
    x, weight, bias = _random(n_rows, n_in, (n_out, n_in), (n_out,))
    wanted = F.linear(x, weight, bias)
    for chunk in (n_in, 192, n_in // 2):  # what MKL was seen to sum at a time
        if chunk:
            got = linear_in_chunks(x, split_inputs(weight, chunk), bias, relu=False)
            if torch.equal(got, wanted):
                return chunk
    return 0


@functools.lru_cache(maxsize=4096)
def equal_hidden_chunk(n_rows: int, n_in: int, n_hidden: int, n_out: int, n_threads: int) -> int:
    """Return how many hidden units must be made at a time for torch's bits; see ``equal_chunk``."""
    if not has_onednn():
        return 0
    sizes = (n_hidden, n_in), (n_hidden,), (n_out, n_hidden), (n_out,)
    x, up, up_bias, down, bias = _random(n_rows, n_in, *sizes)
    wanted = F.linear(F.linear(x, up, up_bias).relu_(), down, bias)
    for chunk in (n_hidden // 2, 192):
        if chunk:
            got = mlp_in_chunks(x, split_hidden(up, up_bias, down, chunk), bias)
            if torch.equal(got, wanted):
                return chunk
    return 0


def _random(n_rows: int, n_in: int, *sizes: tuple[int, ...]) -> list[Tensor]:
    """Return inputs, (n_rows, n_in), and weights of some sizes, always the same."""
    rng = torch.Generator().manual_seed(0)
    some = torch.randn(min(n_rows, 61), n_in, generator=rng)
    x = some.repeat(-(-n_rows // len(some)), 1)[:n_rows]
    return [x, *(torch.randn(*size, generator=rng) for size in sizes)]
