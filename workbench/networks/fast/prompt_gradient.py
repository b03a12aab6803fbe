"""The blocks of a frozen transformer in bfloat16, with the gradient of its prompt written out.

What ``PromptDT.forward`` computes under ``torch.autocast``, sooner: weights are cast once, sums are
done by the products before them, and no gradient is computed that nobody asks for (that of weights,
and of the context's tokens, which are data). Tokens are (B, n, W); heads (B, H, n, W / H).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.networks.fast.inference import future, has_bf16, onednn

_HALF = torch.bfloat16


class FrozenBlocks:
    """Blocks ready to be applied to prompts that may take a gradient.

    Args:
        blocks: Of a ``PromptDT``; what ``fits`` accepts.
    """

    def __init__(self, blocks: Sequence[nn.Module]):
        self._layers = [_Layer(block) for block in blocks]
        self._made_of = [(p, p._version) for block in blocks for p in block.parameters()]

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Become None in a copy of the model, which has numbers of its own."""
        return type(None), ()

    @staticmethod
    def fits(blocks: Sequence[nn.Module]) -> bool:
        """Whether blocks are frozen, without adapters, and this processor has bfloat16."""
        numbers = [p for block in blocks for p in block.parameters()]
        plain = all(block.adapter is None and not block.training for block in blocks)
        frozen = not any(p.requires_grad or p.device.type != "cpu" for p in numbers)
        return plain and frozen and onednn is not None and has_bf16()

    def still(self, blocks: Sequence[nn.Module]) -> bool:
        """Whether these are the blocks it was made of, every number as it was."""
        numbers = [p for block in blocks for p in block.parameters()]
        return len(numbers) == len(self._made_of) and all(
            p is q and p._version == version
            for p, (q, version) in zip(numbers, self._made_of, strict=True)
        )

    def __call__(self, prompt: Tensor, context: Tensor, asked: slice) -> Tensor:
        """Apply the blocks to a prompt and the context behind it.

        Args:
            prompt: Tokens, (B, p, W) float32; may take a gradient.
            context: Tokens, (B, c, W) float32; takes none.
            asked: Which of the p + c tokens to return.

        Returns:
            The tokens asked for, (B, ·, W) float32.
        """
        return _Applied.apply(prompt, context, self._layers, asked)


class _Applied(torch.autograd.Function):
    """The blocks one after the other, as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, prompt: Tensor, context: Tensor, layers: list[_Layer], asked: slice):
        ctx.layers, ctx.n_prompt, ctx.seen = layers, prompt.shape[1], []
        with torch.autocast("cpu", enabled=False):
            x = torch.cat([prompt, context], 1).to(_HALF)
            for layer in layers:
                x, seen = layer.forward(x, asked if layer is layers[-1] else slice(None))
                ctx.seen.append(seen)
            return x.float()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor):
        gradient = gradient.to(_HALF)
        for layer, seen in zip(reversed(ctx.layers), reversed(ctx.seen), strict=True):
            first = layer is ctx.layers[0]
            gradient = layer.backward(gradient, seen, ctx.n_prompt if first else None)
        return gradient.float(), None, None, None


@dataclass(frozen=True, eq=False)
class _Seen:
    """What ``_Layer.backward`` needs of ``forward``; tokens asked for are r of n."""

    asked: slice
    q: Tensor  # (B H, r, W / H), as are those that follow, with n for r
    k: Tensor
    v: Tensor
    weights: Tensor  # (B H, r, n)
    normed: Tensor  # (B, r, W), what the MLP was given
    norm_attention: tuple[Tensor, ...]
    norm_mlp: tuple[Tensor, ...]


class _Layer:
    """One block: what ``model._Block`` computes, and the gradient of its input."""

    def __init__(self, block: nn.Module):
        width, self.n_heads = block.qkv.in_features, block.n_heads
        self.scale = (width // block.n_heads) ** -0.5
        self.norm_attention, self.norm_mlp = _Norm(block.norm_attention), _Norm(block.norm_mlp)
        # q, k and v each by itself: what a product returns is contiguous then
        q, k, v = block.qkv.weight.chunk(3)
        self.q, self.k, self.v = (
            (_half(weight), _half(bias))
            for weight, bias in zip((q, k, v), block.qkv.bias.chunk(3), strict=True)
        )
        self.out, self.up, self.down = (
            (_half(layer.weight), _half(layer.bias)) for layer in (block.out, block.up, block.down)
        )
        self.back_q, self.back_kv = _half(q.t()), _half(torch.cat([k, v]).t())
        self.back_out, self.back_up, self.back_down = (
            _half(layer.weight.t()) for layer in (block.out, block.up, block.down)
        )

    def _split(self, x: Tensor) -> Tensor:
        """Return heads (B H, n, W / H) of tokens (B, n, W)."""
        if self.n_heads == 1:
            return x
        b, n, _ = x.shape
        return x.view(b, n, self.n_heads, -1).transpose(1, 2).reshape(b * self.n_heads, n, -1)

    def _join(self, x: Tensor) -> Tensor:
        if self.n_heads == 1:
            return x
        _, n, w = x.shape
        return x.view(-1, self.n_heads, n, w).transpose(1, 2).flatten(2)

    def forward(self, x: Tensor, asked: slice) -> tuple[Tensor, _Seen]:
        """Apply the block; return the tokens asked for, and what ``backward`` needs."""
        normed, norm_attention = self.norm_attention.forward(x)
        q = self._split(_product(normed[:, asked].contiguous(), self.q))
        k, v = (self._split(_product(normed, layer)) for layer in (self.k, self.v))
        n = x.shape[1]
        later = future(n, n, _HALF)[asked].expand(*q.shape[:2], -1)
        scores = torch.baddbmm(later, q, k.transpose(1, 2), alpha=self.scale)
        weights = scores.softmax(-1, dtype=torch.float32).to(_HALF)  # so it is the faster
        x = _product(self._join(weights @ v), self.out, plus=x[:, asked].contiguous())
        normed, norm_mlp = self.norm_mlp.forward(x)
        hidden = _product(normed, self.up, relu=True)
        seen = _Seen(asked, q, k, v, weights, normed, norm_attention, norm_mlp)
        return _product(hidden, self.down, plus=x), seen

    def backward(self, gradient: Tensor, seen: _Seen, first: int | None) -> Tensor:
        """Return the gradient of the block's input; of its ``first`` tokens alone if given."""
        # made anew: sooner than to fetch from memory what would have been kept
        hidden = _product(seen.normed, self.up, relu=True)
        above = F.linear(gradient, self.back_down)
        torch.ops.aten.threshold_backward.grad_input(above, hidden, 0, grad_input=above)
        above = F.linear(above, self.back_up)
        gradient = gradient + self.norm_mlp.backward(above, seen.norm_mlp)
        above = self._split(F.linear(gradient, self.back_out))
        g_weights = above @ seen.v.transpose(1, 2)
        g_scores = torch.ops.aten._softmax_backward_data(g_weights, seen.weights, -1, _HALF)
        g_scores.mul_(self.scale)
        n = seen.k.shape[1] if first is None else first
        n_asked = len(range(n)[seen.asked])  # so many of these n tokens were asked for
        g_k = g_scores[..., :n].transpose(1, 2) @ seen.q
        g_v = seen.weights[..., :n].transpose(1, 2) @ above
        g_normed = F.linear(torch.cat([self._join(g_k), self._join(g_v)], -1), self.back_kv)
        if n_asked:
            g_q = self._join(g_scores[:, :n_asked] @ seen.k)
            g_normed[:, seen.asked][:, :n_asked] += F.linear(g_q, self.back_q)
        normed = tuple(t[:, :n].contiguous() for t in seen.norm_attention)
        g_x = self.norm_attention.backward(g_normed, normed)
        g_x[:, seen.asked][:, :n_asked] += gradient[:, :n_asked]
        return g_x


class _Norm:
    """A layer norm of bfloat16 tokens, computed in float32."""

    def __init__(self, norm: nn.LayerNorm):
        self.shape, self.eps = list(norm.normalized_shape), norm.eps
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the normalised tokens, and what ``backward`` needs."""
        y, mean, rstd = torch.native_layer_norm(x, self.shape, self.weight, self.bias, self.eps)
        return y, (x, mean, rstd)

    def backward(self, gradient: Tensor, seen: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient of the tokens."""
        x, mean, rstd = seen
        wanted = [True, False, False]  # neither the weight's nor the bias's
        return torch.ops.aten.native_layer_norm_backward(
            gradient, x, self.shape, mean, rstd, self.weight, self.bias, wanted
        )[0]


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to(_HALF).contiguous()


def _product(
    x: Tensor, layer: tuple[Tensor, Tensor], *, relu: bool = False, plus: Tensor | None = None
) -> Tensor:
    """Return x Wᵀ + b in one pass, or its positive part, or that and another tensor."""
    if plus is not None:
        return onednn.binary(x, plus, *layer, "add")
    return onednn(x, *layer, "relu" if relu else "none", [], "")
