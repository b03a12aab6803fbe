"""The gradient of a prompt through frozen blocks in bfloat16: the double of ``prompt_dt.encode``.

What torch computes under ``torch.autocast``, with less work: weights are cast once, a bias, a ReLU
or a sum is done by the product before it, and no gradient is computed that nobody wants, neither
that of weights nor that of the context's tokens, which are data.

Tokens are (B, n, W); heads (B H, n, W / H).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.networks.fast.inference import causal_mask
from workbench.networks.fast.processor import onednn

_HALF = torch.bfloat16


def fits(blocks: nn.ModuleList) -> bool:
    """Return whether blocks are frozen, on a CPU and without adapters."""
    plain = all(block.adapter is None and not block.training for block in blocks)
    return plain and not any(p.requires_grad or p.device.type != "cpu" for p in blocks.parameters())


def encode(blocks: nn.ModuleList, prompt: Tensor, context: Tensor, queries: slice) -> Tensor:
    """Apply the blocks to the tokens of a prompt and the context behind it.

    Args:
        blocks: Of a ``PromptDT``; what ``fits``.
        prompt: Tokens, (B, p, W) float32; may take a gradient.
        context: Tokens, (B, c, W) float32; takes none.
        queries: Which of the p + c tokens to return.

    Returns:
        These tokens, (B, ·, W) float32.
    """
    frozen = _frozen.get(blocks)
    if frozen is None or not frozen.is_of(blocks):
        frozen = _frozen[blocks] = FrozenBlocks(blocks)
    return _Encode.apply(prompt, context, frozen.blocks, queries)


class FrozenBlocks:
    """The weights of blocks, cast and laid out for products forth and back."""

    def __init__(self, blocks: nn.ModuleList):
        if onednn is None:
            raise RuntimeError("this build of torch lacks mkldnn._linear_pointwise")
        self.blocks = [FrozenBlock(block) for block in blocks]
        self._parameters = [(p, p._version) for p in blocks.parameters()]

    def is_of(self, blocks: nn.ModuleList) -> bool:
        """Return whether it was made of these blocks, every number as it is now."""
        parameters = list(blocks.parameters())
        return len(parameters) == len(self._parameters) and all(
            p is q and p._version == version
            for p, (q, version) in zip(parameters, self._parameters, strict=True)
        )


# Not an attribute of the model: a copy of it has numbers of its own, and a file needs none of this.
_frozen: weakref.WeakKeyDictionary[nn.ModuleList, FrozenBlocks] = weakref.WeakKeyDictionary()


class _Encode(torch.autograd.Function):
    """All blocks as one operation of autograd."""

    @staticmethod
    def forward(
        ctx: Any, prompt: Tensor, context: Tensor, blocks: list[FrozenBlock], queries: slice
    ):
        ctx.blocks, ctx.n_prompt, ctx.saved = blocks, prompt.shape[1], []
        with torch.autocast("cpu", enabled=False):
            x = torch.cat([prompt, context], 1).to(_HALF)
            for block in blocks:
                x, saved = block.forward(x, queries if block is blocks[-1] else slice(None))
                ctx.saved.append(saved)
            return x.float()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor):
        grad = grad.to(_HALF)
        for block, saved in zip(reversed(ctx.blocks), reversed(ctx.saved), strict=True):
            n = ctx.n_prompt if block is ctx.blocks[0] else saved.k.shape[1]
            grad = block.backward(grad, saved, n)
        return grad.float(), None, None, None


@dataclass(frozen=True, eq=False)
class Saved:
    """What the backward pass of a block needs of its forward pass; r of n tokens are queries."""

    queries: slice
    q: Tensor  # (B H, r, W / H)
    k: Tensor  # (B H, n, W / H)
    v: Tensor  # (B H, n, W / H)
    weights: Tensor  # (B H, r, n)
    hidden: Tensor  # (B, r, 4 W)
    norm_attention: tuple[Tensor, ...]
    norm_mlp: tuple[Tensor, ...]


class FrozenBlock:
    """What ``prompt_dt.Block`` computes, and the gradient of its input."""

    def __init__(self, block: Any):
        width, self.n_heads = block.qkv.in_features, block.n_heads
        self.scale = (width // block.n_heads) ** -0.5
        self.norm_attention = FrozenNorm(block.norm_attention)
        self.norm_mlp = FrozenNorm(block.norm_mlp)
        # q, k and v each by itself: what a product returns is contiguous then
        q, k, v = block.qkv.weight.chunk(3)
        self.q, self.k, self.v = (
            (_half(weight), _half(bias))
            for weight, bias in zip((q, k, v), block.qkv.bias.chunk(3), strict=True)
        )
        layers = block.out, block.up, block.down
        self.out, self.up, self.down = ((_half(p.weight), _half(p.bias)) for p in layers)
        # transposed, for the backward pass
        self.out_t, self.up_t, self.down_t = (_half(p.weight.t()) for p in layers)
        self.q_t, self.kv_t = _half(q.t()), _half(torch.cat([k, v]).t())

    def forward(self, x: Tensor, queries: slice) -> tuple[Tensor, Saved]:
        """Apply the block; return the tokens at ``queries``, and what ``backward`` needs."""
        normed, norm_attention = self.norm_attention.forward(x)
        q = self._split(_linear(normed[:, queries].contiguous(), self.q))
        k, v = (self._split(_linear(normed, layer)) for layer in (self.k, self.v))
        n = x.shape[1]
        mask = causal_mask(n, n, _HALF)[queries].expand(*q.shape[:2], -1)
        scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=self.scale)
        # faster than a softmax in bfloat16, and nearer
        weights = scores.softmax(-1, dtype=torch.float32).to(_HALF)
        x = _linear(self._join(weights @ v), self.out, plus=x[:, queries].contiguous())
        normed, norm_mlp = self.norm_mlp.forward(x)
        hidden = _linear(normed, self.up, relu=True)
        saved = Saved(queries, q, k, v, weights, hidden, norm_attention, norm_mlp)
        return _linear(hidden, self.down, plus=x), saved

    def backward(self, grad: Tensor, saved: Saved, n: int) -> Tensor:
        """Return the gradient of the first n input tokens, given that of the block's output."""
        # x + MLP(norm(x))
        grad_hidden = F.linear(grad, self.down_t)
        torch.ops.aten.threshold_backward.grad_input(
            grad_hidden, saved.hidden, 0, grad_input=grad_hidden
        )
        grad_normed = F.linear(grad_hidden, self.up_t)
        grad = grad + self.norm_mlp.backward(grad_normed, saved.norm_mlp)
        # x + attention(norm(x))
        grad_attended = self._split(F.linear(grad, self.out_t))
        grad_weights = grad_attended @ saved.v.transpose(1, 2)
        grad_scores = torch.ops.aten._softmax_backward_data(grad_weights, saved.weights, -1, _HALF)
        grad_scores.mul_(self.scale)
        n_queries = len(range(n)[saved.queries])  # so many of the first n tokens are queries
        grad_k = grad_scores[..., :n].transpose(1, 2) @ saved.q
        grad_v = saved.weights[..., :n].transpose(1, 2) @ grad_attended
        grad_kv = torch.cat([self._join(grad_k), self._join(grad_v)], -1)
        grad_normed = F.linear(grad_kv, self.kv_t)
        if n_queries:
            grad_q = self._join(grad_scores[:, :n_queries] @ saved.k)
            grad_normed[:, saved.queries][:, :n_queries] += F.linear(grad_q, self.q_t)
        norm_attention = tuple(tensor[:, :n].contiguous() for tensor in saved.norm_attention)
        grad_x = self.norm_attention.backward(grad_normed, norm_attention)
        grad_x[:, saved.queries][:, :n_queries] += grad[:, :n_queries]
        return grad_x

    def _split(self, x: Tensor) -> Tensor:
        """Return heads, (B H, n, W / H), of tokens, (B, n, W)."""
        if self.n_heads == 1:
            return x
        b, n, _ = x.shape
        return x.view(b, n, self.n_heads, -1).transpose(1, 2).reshape(b * self.n_heads, n, -1)

    def _join(self, x: Tensor) -> Tensor:
        """Return tokens, (B, n, W), of heads, (B H, n, W / H)."""
        if self.n_heads == 1:
            return x
        return x.unflatten(0, (-1, self.n_heads)).transpose(1, 2).flatten(2)


class FrozenNorm:
    """A layer norm of bfloat16 tokens, computed in float32."""

    def __init__(self, norm: nn.LayerNorm):
        self.shape, self.eps = list(norm.normalized_shape), norm.eps
        self.weight, self.bias = norm.weight.detach(), norm.bias.detach()

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the normalised tokens, and what ``backward`` needs."""
        y, mean, rstd = torch.native_layer_norm(x, self.shape, self.weight, self.bias, self.eps)
        return y, (x, mean, rstd)

    def backward(self, grad: Tensor, saved: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient of the tokens."""
        x, mean, rstd = saved
        wanted = [True, False, False]  # the input's; neither the weight's nor the bias's
        return torch.ops.aten.native_layer_norm_backward(
            grad, x, self.shape, mean, rstd, self.weight, self.bias, wanted
        )[0]


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to(_HALF).contiguous()


def _linear(
    x: Tensor, layer: tuple[Tensor, Tensor], *, relu: bool = False, plus: Tensor | None = None
) -> Tensor:
    """Return x Wᵀ + b in one pass, or its positive part, or its sum with another tensor."""
    if plus is not None:
        return onednn.binary(x, plus, *layer, "add")
    return onednn(x, *layer, "relu" if relu else "none", [], "")


_TRIAL_BATCH = 8  # tuning has 16 or 32, and gains as much


def trial(
    way: Callable[..., Tensor],
    rng: torch.Generator,
    blocks: Any,
    n_prompt: int,
    n_context: int,
) -> Callable[[], Sequence[Tensor]]:
    """Prepare to encode so many tokens of a prompt and a context, and to take the gradient."""
    width = blocks[0].qkv.in_features
    queries = slice(n_prompt + 1, None, 3)
    prompt, context, grad = (
        torch.randn(_TRIAL_BATCH, n, width, generator=rng)
        for n in (n_prompt, n_context, n_context // 3)
    )
    prompt.requires_grad_()

    def run() -> Sequence[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            tokens = way(blocks, prompt, context, queries)
        return tokens.detach(), *torch.autograd.grad((tokens * grad).sum(), prompt)

    return run
