"""Acting with banded attention: the double of ``prompt_dt.act_by_forward`` for such models.

A token reads the prompt and the K rows up to its own, as each was encoded when it came. So keys and
values stay as they are for as long as they are read: a step encodes three tokens, the action that
is known by now and the new row's return-to-go and observation, and nothing twice.

Keys and values of the context lie in a ring of K + 1 rows behind those of the prompt. Attention
does not mind their order: a token knows its timestep by itself; a mask says what each one reads.

Tokens are (B, n, W); queries, keys and values (B, H, n, W / H).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.data.trajectory import Segment
from workbench.networks.fast.inference import CachedBlock, causal_mask, layer_normed, random_rows


class ActFromRing:
    """The next actions of B episodes.

    Args:
        model: A frozen ``PromptDT`` with banded attention; it says the precision.
        prompt: One prompt for each episode, (B, K*, ·) raw.
        mode, longest: Of no effect: nothing is ever cut or encoded anew.
    """

    def __init__(self, model: Any, prompt: Segment, mode: str, longest: int):
        self.model, self.band = model, model.config.band
        self.dtype = torch.bfloat16 if model.precision == "bf16" else torch.float32
        n, self.n_prompt = len(prompt), 3 * prompt.length
        sizes = n, self.n_prompt + 3 * (self.band + 1)
        self.blocks = [RingBlock(block, self.dtype, *sizes) for block in model.blocks]
        self.n_rows = 0  # encoded so far, the last one but for its action
        if prompt.length:
            tokens = model.tokens(model.prompt_embedding, prompt).to(self.dtype)
            mask = F.pad(
                causal_mask(self.n_prompt, self.n_prompt, self.dtype),
                (0, 3 * (self.band + 1)),
                value=-torch.inf,
            )
            self._encode(tokens, slice(self.n_prompt), slice(0), mask)

    def __call__(self, rows: Segment, begin: int, t: int) -> Tensor:
        """Return the actions of row t, (B, A); see ``inference.ActFromCache``.

        ``begin`` says how far back ``forward`` has to look; what is kept here already did.
        """
        for row in range(self.n_rows, t + 1):
            token = self._read(rows, row)
        self.n_rows = t + 1
        return torch.tanh(self.model.head(self.model.norm_out(token.float())))

    def _read(self, rows: Segment, t: int) -> Tensor:
        """Encode row t but for its action, and the action before; return its last token, (B, W)."""
        tokens = self.model.tokens(self.model.context_embedding, rows[:, max(t - 1, 0) : t + 1])
        tokens = tokens[:, -4:-1] if t else tokens[:, :2]
        place, ring = self.n_prompt, self.band + 1
        here = place + 3 * (t % ring)
        before = place + 3 * ((t - 1) % ring) + 2
        mask = ring_mask(self.n_prompt, self.band, min(t, ring + t % ring), self.dtype)
        return self._encode(
            tokens.to(self.dtype),
            slice(here, here + 2),
            slice(before, before + 1) if t else slice(0),
            mask,
        )

    def _encode(self, x: Tensor, new: slice, old: slice, mask: Tensor) -> Tensor:
        """Apply the blocks; return what the last token becomes, (B, W)."""
        for block in self.blocks[:-1]:
            x = block.step(x, new, old, mask)
        return self.blocks[-1].step(x, new, old, mask[-1:])[:, -1]


class RingBlock(CachedBlock):
    """A ``prompt_dt.Block``, and the keys and values of the prompt and of the last rows."""

    def __init__(self, block: Any, dtype: torch.dtype, n: int, n_tokens: int):
        super().__init__(block, dtype, n, n_tokens, same_bits=False)
        # what is hidden gets the weight 0, and 0 times what never was a number is none
        self.keys.zero_()
        self.values.zero_()

    def step(self, x: Tensor, new: slice, old: slice, mask: Tensor) -> Tensor:
        """Apply the block, and keep what it reads in the new tokens.

        Args:
            x: Tokens, (B, n, W).
            new: Where the keys and values of the last of them go.
            old: Where those before them go.
            mask: What is added to the scores of the last r tokens, (r, all places).

        Returns:
            The last r tokens, (B, r, W).
        """
        block, r, n_old = self.block, len(mask), old.stop - (old.start or 0)
        q, k, v = (
            t.unflatten(-1, (block.n_heads, -1)).transpose(1, 2) for t in self.read(x).chunk(3, -1)
        )
        for kept, t in ((self.keys, k), (self.values, v)):
            kept[:, :, old], kept[:, :, new] = t[:, :, :n_old], t[:, :, n_old:]
        attended = self._over_all(q[:, :, -r:], mask)
        x = self.out(attended.transpose(1, 2).flatten(2), plus=x[:, -r:])
        x = self.mlp(layer_normed(x, block.norm_mlp), x)
        return x if block.adapter is None else block.adapter(x.float()).to(x.dtype)

    def _over_all(self, q: Tensor, mask: Tensor) -> Tensor:
        """Attend to what the mask leaves of all places, (B, H, r, W / H)."""
        # for so few queries this takes half the time of torch's fused attention
        scores = (q @ self.keys.transpose(-1, -2)).mul_(q.shape[-1] ** -0.5).add_(mask)
        return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ self.values


@functools.lru_cache(maxsize=512)
def ring_mask(n_prompt: int, band: int, t: int, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores at row t, (3, all places): -∞ where it is hidden.

    The three are the action of the row before, the return-to-go and the observation; from row
    ``band`` + 1 on it depends on t by the remainder alone. There are two in row 0.
    """
    ring = band + 1
    place = torch.arange(3 * ring)
    row = t - (t - place // 3) % ring  # the newest row that has this place; < 0 before the first
    kind = place % 3
    token = 3 * row + kind
    own = torch.tensor([3 * t - 1, 3 * t, 3 * t + 1])[:, None]
    seen = (row >= 0) & (token <= own) & (own // 3 - row < band)
    mask = torch.zeros(3, n_prompt + 3 * ring, dtype=dtype)
    mask[:, n_prompt:].masked_fill_(~seen, -torch.inf)
    return mask if t else mask[1:]


def trial(
    way: Callable[..., Callable[[Segment, int, int], Tensor]],
    rng: torch.Generator,
    model: Any,
    mode: str,
    longest: int,
) -> Callable[[], Sequence[Tensor]]:
    """Prepare to act at the start of random episodes, and where rows have left every band."""
    t = longest
    prompt = random_rows(model, rng, model.config.prompt_length)
    rows = random_rows(model, rng, t + 1)
    with torch.inference_mode():
        act = way(model, prompt, mode, longest)
        at_start = act(rows, 0, 0)
        before = act(rows, 0, t - 1)

    @torch.inference_mode()
    def run() -> Sequence[Tensor]:
        return at_start, before, act(rows, 1, t)

    return run
