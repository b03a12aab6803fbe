"""A frozen transformer prepared for acting: what ``PromptDT.forward`` computes, sooner.

Nothing here takes a gradient. Tokens are (B, n, W); keys and values (B, H, n, W / H).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.networks.fast.memory import keep_freed_memory

keep_freed_memory()  # of every process that has a network

onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
_FEW = 8  # tokens that ask; for more of them torch's own attention is the slower one
_MANY = 512  # rows; the products of more of them do not fit into a core's cache at once


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _has_onednn(dtype: torch.dtype) -> bool:
    if onednn is None or not torch.backends.mkldnn.is_available():
        return False
    return dtype != torch.bfloat16 or has_bf16()


class Product:
    """x Wᵀ + b of a frozen layer, (..., n_in) to (..., n_out), by the fastest of equal ways.

    torch gives float32 products to MKL, which has half of oneDNN's speed on some processors.
    Where oneDNN returns torch's very bits (``_summed`` tries) it is taken instead, so that no
    result depends on the choice. In bfloat16 torch takes oneDNN itself, with more passes.

    Args:
        layer: The layer.
        dtype: What is computed in.
        same_bits: False takes oneDNN wherever there is one, as bfloat16 does.
        rows: Which of its outputs.
    """

    def __init__(
        self,
        layer: nn.Linear,
        dtype: torch.dtype,
        *,
        same_bits: bool = True,
        rows: slice = slice(None),
    ):
        self.weight = layer.weight.detach()[rows].to(dtype)
        self.bias = layer.bias.detach()[rows].to(dtype)
        self.n_out, self.n_in = self.weight.shape
        self.half, self.onednn = dtype == torch.bfloat16, _has_onednn(dtype)
        self.same_bits = same_bits and not self.half
        self._parts: dict[int, list[Tensor]] = {}

    def __call__(self, x: Tensor, *, relu: bool = False, plus: Tensor | None = None) -> Tensor:
        """Return the product, or its positive part, or that and another tensor."""
        if plus is not None:
            if self.half and self.onednn:
                return onednn.binary(x, plus, self.weight, self.bias, "add")
            return self(x).add_(plus)
        summed = self.n_in if self.onednn else 0
        if self.same_bits:
            summed = _summed(x.numel() // self.n_in, self.n_in, self.n_out, torch.get_num_threads())
        if not summed:
            y = F.linear(x, self.weight, self.bias)
            return y.relu_() if relu else y
        if summed not in self._parts:
            self._parts[summed] = _parts(self.weight, summed)
        return _by_parts(x, self._parts[summed], self.bias, relu=relu)


class Perceptron:
    """``x + down(relu(up(h)))``, (..., W), as ``Product`` would, but with less written to memory.

    Args:
        up, down: The layers, W to 4 W and back.
        dtype, same_bits: See ``Product``.
    """

    def __init__(self, up: nn.Linear, down: nn.Linear, dtype: torch.dtype, *, same_bits: bool):
        self.up, self.down = (Product(p, dtype, same_bits=same_bits) for p in (up, down))
        self._parts: dict[int, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def __call__(self, h: Tensor, x: Tensor) -> Tensor:
        """Return the sum, (..., W), for h and x, (..., W)."""
        up, down = self.up, self.down
        rows, summed = h.numel() // up.n_in, 0
        if up.same_bits:
            summed = _hidden(rows, up.n_in, up.n_out, down.n_out, torch.get_num_threads())
        elif up.onednn and not up.half and rows > _MANY:
            summed = up.n_out // 2
        if not summed:
            return down(up(h, relu=True), plus=x)
        if summed not in self._parts:
            self._parts[summed] = _pieces(up.weight, up.bias, down.weight, summed)
        return _by_pieces(h, self._parts[summed], down.bias).add_(x)


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


def _pieces(up: Tensor, bias: Tensor, down: Tensor, summed: int) -> list[tuple[Tensor, ...]]:
    return list(zip(up.split(summed), bias.split(summed), _parts(down, summed), strict=True))


def _by_pieces(h: Tensor, pieces: Sequence[tuple[Tensor, ...]], bias: Tensor) -> Tensor:
    """Make and use one part of the hidden layer after the other."""
    y = None
    for up, up_bias, down in pieces:
        hidden = onednn(h, up, up_bias, "relu", [], "")
        if y is None:
            y = onednn(hidden, down, bias, "none", [], "")
        else:
            y = onednn.binary(hidden, y, down, None, "add")
    return y


def _some(rows: int, n_in: int, *sizes: tuple[int, ...]) -> list[Tensor]:
    """Return inputs, (rows, n_in), and weights to try products on."""
    rng = torch.Generator().manual_seed(0)
    some = torch.randn(min(rows, 61), n_in, generator=rng)
    x = some.repeat(-(-rows // len(some)), 1)[:rows]
    return [x, *(torch.randn(*size, generator=rng) for size in sizes)]


@functools.lru_cache(maxsize=4096)
def _summed(rows: int, n_in: int, n_out: int, threads: int) -> int:
    """Return how many inputs oneDNN must sum at a time to give torch's bits; 0 if it cannot.

    Tried once for each shape and number of ``threads``, on which the order of a sum may depend.
    """
    if not _has_onednn(torch.float32):
        return 0
    x, weight, bias = _some(rows, n_in, (n_out, n_in), (n_out,))
    want = F.linear(x, weight, bias)
    for summed in (n_in, 192, n_in // 2):  # what MKL sums in its registers
        if summed and torch.equal(_by_parts(x, _parts(weight, summed), bias, relu=False), want):
            return summed
    return 0


@functools.lru_cache(maxsize=4096)
def _hidden(rows: int, n_in: int, n_hidden: int, n_out: int, threads: int) -> int:
    """Return how much of a hidden layer must be made at a time for torch's bits, as ``_summed``."""
    if not _has_onednn(torch.float32):
        return 0
    sizes = (n_hidden, n_in), (n_hidden,), (n_out, n_hidden), (n_out,)
    x, up, up_bias, down, bias = _some(rows, n_in, *sizes)
    want = F.linear(F.linear(x, up, up_bias).relu_(), down, bias)
    for summed in (n_hidden // 2, 192):
        if summed and torch.equal(_by_pieces(x, _pieces(up, up_bias, down, summed), bias), want):
            return summed
    return 0


class _Layer:
    """One block of the transformer, and the keys and values of the tokens it has seen."""

    def __init__(
        self, block: nn.Module, dtype: torch.dtype, n: int, capacity: int, same_bits: bool
    ):
        self.block = block
        width = block.qkv.in_features
        self.qkv, self.out, self.q, self.kv = (
            Product(layer, dtype, same_bits=same_bits, rows=rows)
            for layer, rows in (
                (block.qkv, slice(None)),
                (block.out, slice(None)),
                (block.qkv, slice(width)),
                (block.qkv, slice(width, None)),
            )
        )
        self.mlp = Perceptron(block.up, block.down, dtype, same_bits=same_bits)
        shape = (n, block.n_heads, capacity, width // block.n_heads)
        self.keys, self.values = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)

    def read(self, x: Tensor) -> Tensor:
        """Return queries, keys and values of tokens, (B, n, 3 W)."""
        return self.qkv(_normed(x, self.block.norm_attention))

    def __call__(
        self, x: Tensor, after: int, *, newest: bool, known: Tensor | None = None
    ) -> Tensor:
        """Apply the block to tokens behind the first ``after``; to the newest alone if asked.

        ``known``: what ``read`` gives, where it is known already.
        """
        block = self.block
        b, n = x.shape[:2]
        asked = slice(-1 if newest else None, None)
        if known is None and b * n > _MANY:
            normed = _normed(x, block.norm_attention)
            q, (k, v) = self.q(normed[:, asked]), self.kv(normed).chunk(2, -1)
        else:
            q, k, v = (self.read(x) if known is None else known).chunk(3, -1)
            q = q[:, asked]
        x = x[:, asked]
        q, k, v = (t.unflatten(-1, (block.n_heads, -1)).transpose(1, 2) for t in (q, k, v))
        self.keys[:, :, after : after + n], self.values[:, :, after : after + n] = k, v
        seen = after + n
        keys, values = self.keys[:, :, :seen], self.values[:, :, :seen]
        n = x.shape[1]  # that ask
        later = future(n, seen, x.dtype) if n > 1 else None
        if x.dtype == torch.bfloat16 and n <= _FEW:
            attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=later)
        else:
            if x.dtype == torch.bfloat16:
                keys = self.keys  # all that there is room for: torch would copy a part of it
            scores = (q @ keys.transpose(-1, -2))[..., :seen].mul_(keys.shape[-1] ** -0.5)
            if later is not None:
                scores += later
            weights = scores.softmax(-1, dtype=torch.float32)  # sooner than in bfloat16
            attended = weights.to(x.dtype) @ values
        x = self.out(attended.transpose(1, 2).flatten(2), plus=x)
        x = self.mlp(_normed(x, block.norm_mlp), x)
        return x if block.adapter is None else block.adapter(x.float()).to(x.dtype)


def _normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


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

    def newest(self, x: Tensor, after: int, known: Tensor | None = None) -> Tensor:
        """Encode tokens behind the first ``after``, whose keys and values are still known.

        Args:
            x: The tokens, (B, n, W).
            after: How many went before them.
            known: What ``first`` gives for them, (B, n, 3 W).

        Returns:
            What the newest token becomes, (B, W); what was known behind ``after`` is forgotten.
        """
        x = x.to(self.dtype)
        for layer in self.layers:
            x = layer(x, after, newest=layer is self.layers[-1], known=known)
            known = None
        return x[:, -1].float()

    def first(self, x: Tensor) -> Tensor:
        """Return what the first layer reads in tokens (B, n, W), whatever goes before them."""
        return self.layers[0].read(x.to(self.dtype))


class Recent:
    """The tokens of the last rows of B episodes, and what the first layer reads in them.

    Args:
        layers: The blocks.
        n: Episodes, B.
        rows: How many rows are asked for at most.
        width: Of a token, W.
    """

    def __init__(self, layers: Layers, n: int, rows: int, width: int):
        self.layers, self.rows = layers, rows
        self.begin = 0  # the row that lies first
        # room for twice the rows, so that those asked for lie in one piece
        self.tokens = torch.empty(n, 6 * (rows + 1), width)
        self.known: Tensor | None = None
        if 3 * n * rows > _MANY:
            self.known = torch.empty(n, 6 * (rows + 1), 3 * width, dtype=layers.dtype)

    def put(self, t: int, tokens: Tensor) -> None:
        """Add row t, and the last row again, whose action has been chosen: (B, 6, W)."""
        columns = [self.tokens] if self.known is None else [self.tokens, self.known]
        if t - self.begin > 2 * self.rows + 1:
            first, last = t - self.rows, t
            for column in columns:
                kept = column[:, 3 * (first - self.begin) : 3 * (last - self.begin)]
                column[:, : kept.shape[1]] = kept
            self.begin = first
        end = 3 * (t + 1 - self.begin)
        self.tokens[:, end - tokens.shape[1] : end] = tokens
        if self.known is not None:  # of the last action, and up to the observation
            new = slice(max(0, end - 4), end - 1)
            self.known[:, new] = self.layers.first(self.tokens[:, new])

    def newest(self, begin: int, end: int, after: int) -> Tensor:
        """Encode tokens ``begin`` to ``end``, counted from row 0; see ``Layers.newest``."""
        asked = slice(begin - 3 * self.begin, end - 3 * self.begin)
        known = None if self.known is None else self.known[:, asked]
        return self.layers.newest(self.tokens[:, asked], after, known)
