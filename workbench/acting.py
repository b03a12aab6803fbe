"""A frozen transformer prepared for acting: what ``PromptDT.forward`` computes, sooner.

Nothing here takes a gradient. Tokens are (B, n, W); keys and values (B, H, n, W / H).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _has_onednn() -> bool:
    return onednn is not None and torch.backends.mkldnn.is_available()


class Product:
    """x Wᵀ + b of a frozen layer, (..., n_in) to (..., n_out), by the fastest of equal ways.

    torch gives float32 products to MKL, which has half of oneDNN's speed on some processors.
    Where oneDNN returns torch's very bits (``_summed`` tries) it is taken instead, so that no
    result depends on the choice. In bfloat16 torch takes oneDNN itself, with more passes.

    Args:
        layer: The layer.
        dtype: What is computed in.
        same_bits: False takes oneDNN wherever there is one, as bfloat16 does.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, *, same_bits: bool = True):
        self.same_bits = same_bits
        self.weight, self.bias = layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)
        self._parts: dict[int, list[Tensor]] = {}

    def __call__(self, x: Tensor, *, relu: bool = False, plus: Tensor | None = None) -> Tensor:
        """Return the product, or its positive part, or that and another tensor."""
        if plus is not None:
            if x.dtype == torch.bfloat16 and _has_onednn() and has_bf16():
                return onednn.binary(x, plus, self.weight, self.bias, "add")
            return self(x).add_(plus)
        n_out, n_in = self.weight.shape
        summed = 0
        if x.dtype == torch.float32 and self.same_bits:
            summed = _summed(x.numel() // n_in, n_in, n_out, torch.get_num_threads())
        elif _has_onednn() and (x.dtype == torch.float32 or has_bf16()):
            summed = n_in
        if not summed:
            y = F.linear(x, self.weight, self.bias)
            return y.relu_() if relu else y
        if summed not in self._parts:
            self._parts[summed] = _parts(self.weight, summed)
        return _by_parts(x, self._parts[summed], self.bias, relu=relu)


def _parts(weight: Tensor, summed: int) -> list[Tensor]:
    return [part.contiguous() for part in weight.split(summed, 1)]


def _by_parts(x: Tensor, parts: Sequence[Tensor], bias: Tensor, *, relu: bool) -> Tensor:
    """Multiply by oneDNN, one part of the inputs after the other on top of the bias."""
    first, *others = parts
    end = first.shape[1]
    if not others:
        return onednn(x, first, bias, "relu" if relu else "none", [], "")
    y = onednn(x[..., :end], first, bias, "none", [], "")
    for part in others:
        begin, end = end, end + part.shape[1]
        y = onednn.binary(x[..., begin:end], y, part, None, "add")
    return y.relu_() if relu else y


@functools.lru_cache(maxsize=4096)
def _summed(rows: int, n_in: int, n_out: int, threads: int) -> int:
    """Return how many inputs oneDNN must sum at a time to give torch's bits; 0 if it cannot.

    Tried once for each shape and number of ``threads``, on which the order of a sum may depend.
    """
    if not _has_onednn():
        return 0
    rng = torch.Generator().manual_seed(0)
    some = torch.randn(min(rows, 61), n_in, generator=rng)
    x = some.repeat(-(-rows // len(some)), 1)[:rows]
    weight, bias = (torch.randn(*size, generator=rng) for size in ((n_out, n_in), (n_out,)))
    want = F.linear(x, weight, bias)
    for summed in (n_in, 192, n_in // 2):  # what MKL sums in its registers
        if summed and torch.equal(_by_parts(x, _parts(weight, summed), bias, relu=False), want):
            return summed
    return 0


class _Layer:
    """One block of the transformer, and the keys and values of the tokens it has seen."""

    def __init__(
        self, block: nn.Module, dtype: torch.dtype, n: int, capacity: int, same_bits: bool
    ):
        self.block = block
        self.qkv, self.out, self.up, self.down = (
            Product(getattr(block, name), dtype, same_bits=same_bits)
            for name in ("qkv", "out", "up", "down")
        )
        width = block.qkv.in_features
        shape = (n, block.n_heads, capacity, width // block.n_heads)
        self.keys, self.values = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)

    def __call__(self, x: Tensor, after: int, *, newest: bool) -> Tensor:
        """Apply the block to tokens behind the first ``after``; to the newest alone if asked."""
        block = self.block
        b, n, w = x.shape
        heads = self.qkv(block.norm_attention(x)).view(b, n, 3, block.n_heads, w // block.n_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        self.keys[:, :, after : after + n], self.values[:, :, after : after + n] = k, v
        known = after + n
        keys, values = self.keys[:, :, :known], self.values[:, :, :known]
        if newest:
            q, x, n = q[:, :, -1:], x[:, -1:], 1
        if x.dtype == torch.bfloat16:
            keys = self.keys  # all that there is room for: torch would copy a part of it
        scores = (q @ keys.transpose(-1, -2))[..., :known].mul_(keys.shape[-1] ** -0.5)
        if n > 1:
            scores += future(n, known, x.dtype)
        weights = scores.softmax(-1, dtype=torch.float32).to(x.dtype)  # sooner than in bfloat16
        x = self.out((weights @ values).transpose(1, 2).flatten(2), plus=x)
        x = self.down(self.up(block.norm_mlp(x), relu=True), plus=x)
        return x if block.adapter is None else block.adapter(x.float()).to(x.dtype)


@functools.lru_cache(maxsize=256)
def future(n: int, m: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores of the last n tokens by m keys, (n, m): -∞ where later."""
    later = torch.ones(n, m, dtype=torch.bool).triu(m - n + 1)
    return torch.zeros(n, m, dtype=dtype).masked_fill_(later, -torch.inf)


class Layers:
    """The blocks of a frozen transformer over n episodes, in float32 or bfloat16.

    Args:
        blocks: Of a ``PromptDT``.
        dtype: What is computed in.
        n: Episodes, B.
        capacity: The most tokens that an episode may have at once.
        same_bits: See ``Product``.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dtype: torch.dtype,
        n: int,
        capacity: int,
        *,
        same_bits: bool,
    ):
        self.layers = [_Layer(block, dtype, n, capacity, same_bits) for block in blocks]
        self.dtype = dtype

    def newest(self, x: Tensor, after: int) -> Tensor:
        """Encode tokens behind the first ``after``, whose keys and values are still known.

        Returns:
            What the newest token becomes, (B, W); what was known behind ``after`` is forgotten.
        """
        x = x.to(self.dtype)
        for layer in self.layers:
            x = layer(x, after, newest=layer is self.layers[-1])
        return x[:, -1].float()
