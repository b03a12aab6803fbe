"""Acting from a cache: the double of ``prompt_dt.act_by_forward``, for frozen models on a CPU.

What a token becomes depends on the tokens before it and on nothing after it, so that much of a
step is known from the steps before:

* The prompt comes first: its keys and values are the same in the whole episode.
* When the oldest row leaves the context, every later token changes, but not what the first block
  reads in it: a token knows its timestep by itself, not its place in the window.
* As long as no row leaves (mode ``"block"``), all keys and values stay as they are.
* Only the newest token is asked for its action: the last block computes one query.

Tokens are (B, n, W); queries, keys and values (B, H, n, W / H).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Segment
from workbench.networks.fast.linear import MANY_ROWS, FrozenLinear, FrozenMLP

_FEW_QUERIES = 8
"""In bfloat16, torch's fused attention is faster for so many queries, and slower for more."""
_TRIAL_EPISODES = 12
"""As few as are clearly faster from the cache; a trial is waited for."""


class ActFromCache:
    """The next actions of B episodes.

    Args:
        model: A frozen ``PromptDT``; it says the precision.
        prompt: One prompt for each episode, (B, K*, ·) raw.
        mode: ``"exact"`` encodes the whole context at every step, ``"block"`` what is new in it.
        longest: The most rows that a context has.
    """

    def __init__(self, model: Any, prompt: Segment, mode: str, longest: int):
        self.model, self.keeps_context, self.longest = model, mode == "block", longest
        self.dtype = torch.bfloat16 if model.precision == "bf16" else torch.float32
        n, self.n_prompt = len(prompt), 3 * prompt.length
        sizes = n, self.n_prompt + 3 * longest
        # every published result is made in exact mode: its bits are torch's
        same_bits = not self.keeps_context
        self.blocks = [
            CachedBlock(block, self.dtype, *sizes, same_bits=same_bits) for block in model.blocks
        ]
        # Tokens of the last rows, and what the first block reads in them. With room for twice the
        # rows, they lie in one piece and need to be moved once in ``longest`` steps.
        self.capacity = 2 * (longest + 1)
        self.tokens = torch.empty(n, 3 * self.capacity, model.config.width, dtype=self.dtype)
        # For few tokens, to read them again costs no more than to keep what was read.
        self.keeps_qkv = not self.keeps_context and 3 * n * longest > MANY_ROWS
        width = 3 * model.config.width if self.keeps_qkv else 0
        self.qkv = torch.empty(n, 3 * self.capacity, width, dtype=self.dtype)
        self.first = self.n_rows = 0  # the row that lies first; rows embedded so far
        self.begin = self.n_cached = 0  # the context's first row; its tokens in the cache
        if prompt.length:
            tokens = model.tokens(model.prompt_embedding, prompt)
            self._encode(tokens.to(self.dtype), n_cached=0)

    def __call__(self, rows: Segment, begin: int, t: int) -> Tensor:
        """Return the actions of row t, (B, A), from the context of rows ``begin`` to t.

        Args:
            rows: All rows of the episodes, (B, T, ·) raw; known are those up to the observation of
                row t. Both ``begin`` and t never decrease.
            begin: The first row of the context.
            t: The row to act in.
        """
        self._embed(rows, t)
        if begin != self.begin or not self.keeps_context:
            self.begin, self.n_cached = begin, 0
        new = slice(3 * (begin - self.first) + self.n_cached, 3 * (t - self.first) + 2)
        qkv = self.qkv[:, new] if self.keeps_qkv else None
        token = self._encode(self.tokens[:, new], self.n_prompt + self.n_cached, qkv)
        self.n_cached = 3 * (t - begin) + 2  # up to the observation: the action is yet to be chosen
        return torch.tanh(self.model.head(self.model.norm_out(token)))

    def _embed(self, rows: Segment, t: int) -> None:
        """Add the tokens of row t, and of the row before it anew, whose action is known by now."""
        if t >= self.first + self.capacity:
            first = t - self.longest
            for kept in (self.tokens, self.qkv):
                moved = kept[:, 3 * (first - self.first) : 3 * (self.n_rows - self.first)]
                kept[:, : moved.shape[1]] = moved
            self.first = first
        known = max(self.n_rows - 1, self.first)
        tokens = self.model.tokens(self.model.context_embedding, rows[:, known : t + 1])
        end = 3 * (t + 1 - self.first)
        self.tokens[:, end - tokens.shape[1] : end] = tokens
        if self.keeps_qkv:
            # from the action that was not known yet to the observation that is the newest token
            new = slice(max(3 * (self.n_rows - self.first) - 1, 0), end - 1)
            self.qkv[:, new] = self.blocks[0].read(self.tokens[:, new])
        self.n_rows = t + 1

    def _encode(self, x: Tensor, n_cached: int, qkv: Tensor | None = None) -> Tensor:
        """Apply the blocks to tokens behind the first ``n_cached``, whose keys and values stay.

        Args:
            x: The tokens, (B, n, W).
            n_cached: How many tokens go before them.
            qkv: What the first block reads in them, (B, n, 3 W), where it is known.

        Returns:
            What the last of them becomes, (B, W) float32.
        """
        for block in self.blocks[:-1]:
            x, qkv = block(x, n_cached, slice(None), qkv), None
        return self.blocks[-1](x, n_cached, slice(-1, None), qkv)[:, -1].float()


class CachedBlock:
    """A ``prompt_dt.Block``, and the keys and values of the tokens that it has seen.

    Args:
        block: Frozen.
        dtype: What is computed in, float32 or bfloat16.
        n: Episodes, B.
        n_tokens: The most tokens of an episode.
        same_bits: See ``FrozenLinear``.
    """

    def __init__(self, block: Any, dtype: torch.dtype, n: int, n_tokens: int, *, same_bits: bool):
        self.block, width = block, block.qkv.in_features
        self.qkv, self.q, self.kv, self.out = (
            FrozenLinear(layer, dtype, same_bits=same_bits, outputs=outputs)
            for layer, outputs in (
                (block.qkv, slice(None)),
                (block.qkv, slice(width)),
                (block.qkv, slice(width, None)),
                (block.out, slice(None)),
            )
        )
        self.mlp = FrozenMLP(block.up, block.down, dtype, same_bits=same_bits)
        shape = n, block.n_heads, n_tokens, width // block.n_heads
        self.keys, self.values = (torch.empty(shape, dtype=dtype) for _ in range(2))

    def read(self, x: Tensor) -> Tensor:
        """Return queries, keys and values of tokens, (B, n, 3 W)."""
        return self.qkv(layer_normed(x, self.block.norm_attention))

    def __call__(self, x: Tensor, n_cached: int, queries: slice, qkv: Tensor | None) -> Tensor:
        """Apply the block.

        Args:
            x: Tokens, (B, n, W).
            n_cached: How many tokens go before them; their keys and values are kept.
            queries: Which of the n to compute, the last r of them.
            qkv: What ``read`` gives, where it is known.

        Returns:
            Those tokens, (B, r, W).
        """
        block, n = self.block, x.shape[1]
        if qkv is None and len(x) * n > MANY_ROWS:
            normed = layer_normed(x, block.norm_attention)
            q, (k, v) = self.q(normed[:, queries]), self.kv(normed).chunk(2, -1)
        else:
            q, k, v = (self.read(x) if qkv is None else qkv).chunk(3, -1)
            q = q[:, queries]
        q, k, v = (t.unflatten(-1, (block.n_heads, -1)).transpose(1, 2) for t in (q, k, v))
        n_keys = n_cached + n
        self.keys[:, :, n_cached:n_keys], self.values[:, :, n_cached:n_keys] = k, v
        attended = self._attend(q, n_keys)
        x = self.out(attended.transpose(1, 2).flatten(2), plus=x[:, queries])
        x = self.mlp(layer_normed(x, block.norm_mlp), x)
        return x if block.adapter is None else block.adapter(x.float()).to(x.dtype)

    def _attend(self, q: Tensor, n_keys: int) -> Tensor:
        """Attend from the last r of ``n_keys`` tokens to those up to each, (B, H, r, W / H)."""
        keys, values = self.keys[:, :, :n_keys], self.values[:, :, :n_keys]
        half, r = q.dtype == torch.bfloat16, q.shape[2]
        mask = causal_mask(r, n_keys, q.dtype) if r > 1 else None
        if half and r <= _FEW_QUERIES:
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        # In bfloat16 torch would copy a part of the cache, but takes the whole of it as it is.
        scores = (q @ (self.keys if half else keys).transpose(-1, -2))[..., :n_keys]
        scores = scores.mul_(keys.shape[-1] ** -0.5)
        if mask is not None:
            scores += mask
        # faster than a softmax in bfloat16, and nearer
        return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ values


@functools.lru_cache(maxsize=256)
def causal_mask(r: int, n: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores of the last r of n tokens, (r, n): -∞ where later."""
    later = torch.ones(r, n, dtype=torch.bool).triu(n - r + 1)
    return torch.zeros(r, n, dtype=dtype).masked_fill_(later, -torch.inf)


def layer_normed(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Apply a layer norm to tokens, (B, n, W)."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def trial(
    way: Callable[..., Callable[[Segment, int, int], Tensor]],
    rng: torch.Generator,
    model: Any,
    mode: str,
    longest: int,
) -> Callable[[], Sequence[Tensor]]:
    """Prepare to act at the start of random episodes, and where the context is full."""
    k = model.config.context_length
    prompt = random_rows(model, rng, model.config.prompt_length)
    rows = random_rows(model, rng, k + 1)
    # in exact mode a row has left by then; in block mode the start's tokens are in the cache
    begin, t = (0, k - 1) if mode == "block" else (1, k)
    with torch.inference_mode():
        act = way(model, prompt, mode, longest)
        at_start = act(rows, 0, 0)

    @torch.inference_mode()
    def run() -> Sequence[Tensor]:
        return at_start, act(rows, begin, t)

    return run


def random_rows(model: Any, rng: torch.Generator, length: int) -> Segment:
    """Return the first rows of some episodes for a trial, of no sense, as large as real ones."""
    family, statistics, n = model.family, model.normalizer, _TRIAL_EPISODES
    o, a = len(family.observations), len(family.actions)
    returns, observations, actions = (
        torch.randn(n, length, size, generator=rng) for size in (1, o, a)
    )
    return Segment(
        returns_to_go=statistics.return_scale * returns,
        observations=statistics.mean[:o] + statistics.scale[:o] * observations,
        actions=actions.clamp(-1, 1),
        rewards=torch.zeros_like(returns),
        timesteps=torch.arange(length).expand(n, -1) % family.horizon,
        mask=torch.ones(n, length),
    )
