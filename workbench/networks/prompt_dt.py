"""Prompt Decision Transformer (arXiv 2206.13499): the whole transformer in one file.

A Decision Transformer (arXiv 2106.01345) reads the last K rows of an episode, three tokens a row:
return-to-go, observation, action. Before them it is given a trajectory prompt, K* rows of a
demonstration, which says what the task is. Everything outside this file is in raw units; the model
normalises inside. In the order of reading: size, embedding, block, model, loss, policy.

What ``networks/fast`` does faster is checked against what stands here before it is used.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Segment, Trajectories, Trajectory, masked_mean
from workbench.networks.checkpoint import ADDED_LATER, SavedNetwork
from workbench.networks.fast import inference, prompt_gradient, ring
from workbench.networks.fast.checked import TOLERANCE, Double
from workbench.networks.fast.processor import has_bf16
from workbench.networks.frozen_model import FrozenModel, Mode, NextActions, Precision
from workbench.tasks import Family

Attention = Literal["sliding", "banded"]


@dataclass(frozen=True)
class ModelConfig:
    """Size of a Prompt-DT. The default is the released code's; ``paper()`` the paper's.

    Attributes:
        n_layers: Transformer blocks.
        n_heads: Attention heads.
        width: Embedding width.
        context_length: K, rows of recent history.
        prompt_length: K*, rows of the trajectory prompt; 0 for a Decision Transformer without.
        dropout: Dropout probability while training.
        attention: What a token reads besides the prompt. ``"sliding"``: the last K rows, as
            published; each step encodes them anew, for what has left the window must not be seen
            through what stays. ``"banded"``: each token the K rows up to its own, as they were
            encoded then, so that nothing is encoded twice.
    """

    n_layers: int = 3
    n_heads: int = 1
    width: int = 128
    context_length: int = 20
    prompt_length: int = 5
    dropout: float = 0.1
    attention: Attention = field(default="sliding", metadata=ADDED_LATER)

    def __post_init__(self):
        if self.width % self.n_heads:
            raise ValueError(
                f"`width` must be a multiple of `n_heads`: got {self.width=}, {self.n_heads=}."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1): got {self.dropout}.")
        if self.attention not in get_args(Attention):
            known = ", ".join(get_args(Attention))
            raise ValueError(f"`attention` must be one of {known}: got {self.attention!r}.")

    @property
    def band(self) -> int | None:
        """How many rows of a context a token reads, its own the last; None for all of them."""
        return self.context_length if self.attention == "banded" else None

    @property
    def reach(self) -> int:
        """How many rows an action depends on: K, or L (K - 1) + 1 through L banded layers."""
        layers = self.n_layers if self.attention == "banded" else 1
        return layers * (self.context_length - 1) + 1

    @classmethod
    def paper(cls) -> ModelConfig:
        """4 layers of width 512, inferred from the 13.71M parameters of arXiv 2411.01168."""
        return cls(n_layers=4, n_heads=4, width=512)


class Embedding(nn.Module):
    """Turn rows into tokens; the prompt and the context have one each."""

    def __init__(self, n_observations: int, n_actions: int, horizon: int, width: int):
        super().__init__()
        self.returns_to_go = nn.Linear(1, width)
        self.observations = nn.Linear(n_observations, width)
        self.actions = nn.Linear(n_actions, width)
        # In place of GPT-2's positions. One table for all three tokens of a row, for they are of
        # the same timestep (arXiv 2106.01345, section 3).
        self.timesteps = nn.Embedding(horizon, width)

    def forward(self, returns_to_go, observations, actions, timesteps) -> Tensor:
        """Return tokens, (B, 3 K, W), in the order return-to-go, observation, action."""
        time = self.timesteps(timesteps)
        tokens = torch.stack(
            [
                self.returns_to_go(returns_to_go) + time,
                self.observations(observations) + time,
                self.actions(actions) + time,
            ],
            dim=2,
        )
        return tokens.flatten(1, 2)


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share p of the numbers to zero and divide the others by 1 - p, as ``F.dropout`` does.

    ``F.dropout`` takes a draw of torch's generator for each number, which is slow on a CPU. Here a
    draw decides four, by 16 bits each, so that p is rounded to 1/65,536.
    """
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    bits = bits.random_(-(2**63), None).view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(p * 2**16)
    return x * (bits >= dropped - 2**15).to(x.dtype).div_(1 - dropped / 2**16)


class Adapter(nn.Module):
    """h + LayerNorm(W₂ ReLU(W₁ h)) (arXiv 2304.08487), which begins as the identity."""

    def __init__(self, width: int, bottleneck: int):
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        self.norm = nn.LayerNorm(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, h: Tensor) -> Tensor:
        """Change tokens, (B, n, W)."""
        return h + self.norm(self.up(F.relu(self.down(h))))


class Block(nn.Module):
    """A block of GPT-2 (attention and MLP, each behind a layer norm) with ReLU, as released."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.adapter: Adapter | None = None

    def forward(self, x: Tensor, hidden: Tensor, queries: slice = slice(None)) -> Tensor:
        """Apply the block.

        Args:
            x: Tokens, (B, n, W).
            hidden: Which tokens (columns) each token (rows) does not read, (n, n).
            queries: Positions whose outputs are wanted. The others serve as keys and values alone.

        Returns:
            The tokens at ``queries``, (B, r, W).
        """
        qkv = self.qkv(self.norm_attention(x)).chunk(3, -1)
        # by heads, (B, H, n, W / H)
        q, k, v = (t.unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for t in qkv)
        q, x = q[:, :, queries], x[:, queries]
        scores = q @ k.transpose(-1, -2) * k.shape[-1] ** -0.5
        weights = self._drop(scores.masked_fill(hidden[queries], -torch.inf).softmax(-1))
        x = x + self._drop(self.out((weights @ v).transpose(1, 2).flatten(2)))
        x = x + self._drop(self.down(F.relu(self.up(self.norm_mlp(x)))))
        return x if self.adapter is None else self.adapter(x)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout) if self.training else x


def hidden_tokens(
    n_prompt: int, n_context: int, band: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Return which tokens (columns) each token (rows) does not read, (n, n): what is hidden is −∞.

    All that come after it; with a band also the context's rows that are ``band`` or more before
    its own. The prompt is never too old.
    """
    place = torch.arange(n_prompt + n_context, device=device)
    after = place > place[:, None]
    if band is None:
        return after
    row = (place - n_prompt).div(3, rounding_mode="floor")
    return after | ((row >= 0) & (row[:, None] - row >= band))


def encode(
    blocks: nn.ModuleList, prompt: Tensor, context: Tensor, queries: slice, band: int | None = None
) -> Tensor:
    """Apply blocks one after the other to the tokens of a prompt and the context behind it.

    Args:
        blocks: L of them.
        prompt: Tokens, (B, 3 K*, W).
        context: Tokens, (B, 3 K, W).
        queries: Which of these 3 (K* + K) tokens to return.
        band: How many rows of the context a token reads; all by default.

    Returns:
        Those tokens, (B, r, W).
    """
    x = torch.cat([prompt, context], 1)
    hidden = hidden_tokens(prompt.shape[1], context.shape[1], band, x.device)
    for block in blocks[:-1]:
        x = block(x, hidden)
    return blocks[-1](x, hidden, queries)


ENCODE = Double(
    "prompt gradient, bf16",
    plain=encode,
    fast=prompt_gradient.encode,
    trial=prompt_gradient.trial,
    tolerance=TOLERANCE["bf16 gradient"],
)


class PromptDT(SavedNetwork):
    """Predict actions from a prompt and a context.

    Attributes:
        config: Size.
        family: The task family it was trained on.
        normalizer: Statistics of the training tasks, saved with the weights.
        precision: What ``forward`` computes in; see ``computing``.
    """

    kind, sizes = "Prompt-DT", ModelConfig
    takes_gradient: ClassVar[bool] = True
    reads_returns: ClassVar[bool] = True
    precision: Precision = "fp32"

    def __init__(self, config: ModelConfig, family: Family):
        super().__init__(config, family)
        o, a, w = len(family.observations), len(family.actions), config.width
        self.normalizer = Normalizer(o, a, family.return_scale, family.horizon)
        if config.prompt_length:  # else a Decision Transformer without prompt
            self.prompt_embedding = Embedding(o, a, family.horizon, w)
        self.context_embedding = Embedding(o, a, family.horizon, w)
        self.norm_in = nn.LayerNorm(w)
        self.blocks = nn.ModuleList(
            Block(w, config.n_heads, config.dropout) for _ in range(config.n_layers)
        )
        self.norm_out = nn.LayerNorm(w)
        # The released model has heads for returns and observations too, which nothing trains.
        self.head = nn.Linear(w, a)
        self.apply(_initialise)

    def forward(self, prompt: Segment, context: Segment) -> Tensor:
        """Predict the action of every context row from what came before it.

        Args:
            prompt: B prompts of K* whole rows (K* may be 0), raw units.
            context: B contexts of K rows, raw units, padding at the end.

        Returns:
            Actions in [-1, 1], (B, K, A). Rows that are padding are meaningless.
        """
        with self.autocast(context):
            # Of …, r̂_t, o_t, a_t, … the action must not see itself: it is predicted where o_t is
            # (arXiv 2106.01345, figure 1). No other token of the last block is needed.
            x = self.encoded(prompt, context, slice(3 * prompt.length + 1, None, 3))
            return torch.tanh(self.head(x))

    def autocast(self, context: Segment) -> torch.autocast:
        """Return the mode that ``precision`` computes in, where ``context`` lies."""
        device = context.mask.device.type
        half = self.precision == "bf16" and (device != "cpu" or has_bf16())
        return torch.autocast(device, torch.bfloat16, enabled=half)

    def encoded(self, prompt: Segment, context: Segment, queries: slice) -> Tensor:
        """Return what some of the 3 (K* + K) tokens become, normalised, (B, r, W)."""
        context_tokens = self.tokens(self.context_embedding, context)
        prompt_tokens = context_tokens[:, :0]
        if prompt.length:
            prompt_tokens = self.tokens(self.prompt_embedding, prompt)
        band = self.config.band
        if band is not None and context.length > band:  # else it would hide nothing
            return self.norm_out(encode(self.blocks, prompt_tokens, context_tokens, queries, band))
        half = torch.is_autocast_enabled(context.mask.device.type)
        way = self._way_to_encode(prompt_tokens, context_tokens) if half else encode
        return self.norm_out(way(self.blocks, prompt_tokens, context_tokens, queries))

    def _way_to_encode(
        self, prompt: Tensor, context: Tensor
    ) -> Callable[[nn.ModuleList, Tensor, Tensor, slice], Tensor]:
        """Return what encodes in bfloat16: the double where a prompt alone takes a gradient."""
        lengths = prompt.shape[1], context.shape[1]
        if not lengths[0] or context.requires_grad or not prompt_gradient.fits(self.blocks):
            return encode
        return ENCODE.choose((self.config, *lengths), self.blocks, *lengths)

    def tokens(self, embedding: Embedding, segment: Segment) -> Tensor:
        """Return the tokens of rows in raw units, (B, 3 K, W)."""
        tokens = embedding(
            self.normalizer.returns(segment.returns_to_go),
            self.normalizer.observations(segment.observations),
            segment.actions,
            segment.timesteps,
        )
        tokens = self.norm_in(tokens)
        return dropout(tokens, self.config.dropout) if self.training else tokens

    def computing(self, precision: Precision) -> PromptDT:
        """Return this very model, weights shared, with ``forward`` computed in ``precision``.

        ``"bf16"`` computes in bfloat16, with the weights in float32, where the processor has
        instructions for it; elsewhere it would take several times as long, and float32 is computed.
        So, like any rounding, it may differ between machines. What a ``PromptedPolicy`` computes in
        is said by the policy.
        """
        model = copy.copy(self)
        model.precision = precision
        return model

    def fit(self, data: Trajectories) -> None:
        """Take the statistics of the training data, before any training."""
        self.normalizer.fit(data)

    def loss(self, prompt: Segment, context: Segment, tasks: Tensor) -> Tensor:
        """Return what pretraining descends: L_DT.

        Args:
            prompt: B prompts.
            context: B contexts of the same tasks.
            tasks: Which of the training tasks these are, (B,), counted from 0.
        """
        return action_loss(self, prompt, context)

    def revise(
        self, done: float, batch_of: Callable[[np.ndarray], tuple[Segment, Segment]]
    ) -> None:
        """Change what a gradient step does not, before each of them: nothing here.

        Args:
            done: Share of the training that is done.
            batch_of: Prompts and contexts of given training tasks, drawn anew.
        """

    def for_task(self, demos: Sequence[Trajectory]) -> PromptDT:
        """Return itself: a Prompt-DT is told its task by the prompt alone."""
        return self

    def next_actions(self, prompt: Segment, mode: Mode, longest: int) -> NextActions:
        """Begin to act in B episodes; see ``FrozenModel``."""
        # One verdict for all models of a size, with adapters or without: two policies that begin
        # as one (a method's and the untuned one) must act alike to the last bit.
        double = ACT["banded" if self.config.band is not None else mode, self.precision]
        return double.choose(self.config, self, mode, longest)(self, prompt, mode, longest)

    def frozen(self) -> PromptDT:
        """Switch to evaluation for good: no dropout, no parameter takes a gradient."""
        return self.eval().requires_grad_(False)

    def with_adapters(self, bottleneck: int) -> PromptDT:
        """Return a frozen copy with a trainable adapter after each block's MLP."""
        model = copy.deepcopy(self).frozen()
        for block in model.blocks:
            block.adapter = Adapter(self.config.width, bottleneck)
        return model

    def with_weights(self, weights: Mapping[str, Tensor]) -> PromptDT:
        """Return a frozen copy with other numbers for some of its parameters, or with adapters.

        Raises:
            ValueError: if ``weights`` are not of a model of this size.
        """
        adapters = [w for name, w in weights.items() if name.endswith("adapter.down.weight")]
        model = self.with_adapters(len(adapters[0])) if adapters else copy.deepcopy(self)
        try:
            _, unknown = model.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise ValueError(f"`weights` do not fit this model: {error}.") from error
        if unknown:
            raise ValueError(f"`weights` name what this model does not have: {unknown}.")
        return model.frozen()

    @classmethod
    def load(cls, path: Path) -> PromptDT:
        """Read a checkpoint, frozen; nothing in it is executed.

        Raises:
            ValueError: if the file is missing or is no checkpoint of a Prompt-DT.
        """
        return super().load(path).frozen()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def action_loss(
    model: Callable[[Segment, Segment], Tensor],
    prompt: Segment,
    context: Segment,
    weight: Tensor | None = None,
) -> Tensor:
    """Return L_DT, the mean squared error of actions in real rows (arXiv 2411.01168, Eq. 7).

    Args:
        model: Prompt and context to actions, (B, K, A).
        prompt: B prompts.
        context: B contexts.
        weight: Of each context, (B,), 1 by default; the mean is divided by rows, not by weights.
    """
    error = (model(prompt, context) - context.actions).square()
    if weight is not None:
        error = error * weight[:, None, None]
    return masked_mean(error, context.mask)


def act_by_forward(model: FrozenModel, prompt: Segment, mode: Mode, longest: int) -> NextActions:
    """Act by ``forward`` on the whole context at every step: the plain way.

    Args:
        model: A frozen model.
        prompt: One prompt for each episode, (B, K*, ·).
        mode, longest: What a faster way may rest on; see ``PromptedPolicy`` and ``Episodes``.
    """
    return lambda rows, begin, t: model(prompt, rows[:, begin : t + 1])[:, -1].float()


ACT: Mapping[tuple[Mode | Literal["banded"], Precision], Double] = {
    (mode, precision): Double(
        f"acting, {mode} {precision}",
        plain=act_by_forward,
        fast=ring.ActFromRing if mode == "banded" else inference.ActFromCache,
        trial=ring.trial if mode == "banded" else inference.trial,
        tolerance=TOLERANCE[precision],
    )
    for mode in (*get_args(Mode), "banded")
    for precision in get_args(Precision)
}
"""Ways of acting; with banded attention the modes are one, for nothing is encoded anew."""


@dataclass(frozen=True, eq=False)
class PromptedPolicy:
    """A frozen model that acts under prompts; episode i follows prompt i mod B.

    Attributes:
        model: A frozen one.
        prompt: B prompts.
        target_return: Return asked for at the start, raw; the family's by default.
        mode: ``"exact"`` reads the last K rows at each step: what every result is made with.
            ``"block"`` is for screening and live views, several times as fast: what was encoded
            is kept, and the context is cut every K / 2 steps only, so that it has K rows on
            average (for K = 20 it grows from 16 to 25). With banded attention it is exact.
        precision: ``"bf16"`` acts in bfloat16 with 8 episodes or more, where the processor has
            it; elsewhere that would be slower, and is float32.

    Raises:
        ValueError: if ``mode`` or ``precision`` is unknown.
    """

    model: FrozenModel
    prompt: Segment
    target_return: float | None = None
    mode: Mode = "exact"
    precision: Precision = "fp32"

    def __post_init__(self):
        for name, known in (("mode", get_args(Mode)), ("precision", get_args(Precision))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}: got {getattr(self, name)!r}."
                )

    def start(self, seeds: Sequence[int]) -> Episodes:
        """Begin one episode per seed."""
        return Episodes(self, len(seeds))

    def share(self, places: Sequence[int]) -> PromptedPolicy:
        """Return the policy of some of the episodes, given by their places in the batch."""
        which = torch.as_tensor(places) % len(self.prompt)
        return dataclasses.replace(self, prompt=self.prompt[which])


class Episodes:
    """B episodes in lock-step: their rows so far, and what acts on the last of them."""

    def __init__(self, policy: PromptedPolicy, n: int):
        model, family = policy.model, policy.model.family
        k, horizon, banded = model.config.reach, family.horizon, model.config.band is not None
        # A context that is as long as the longest loses all but the shortest's rows. Exact mode
        # has K rows always; block mode as many below K as above, for the model was trained on K.
        dropped = max(1, k // 2) if policy.mode == "block" and not banded else 1
        self.shortest = k - (dropped - 1) // 2
        self.longest = self.shortest + dropped - 1
        target = family.target_return if policy.target_return is None else policy.target_return
        self.rows = Segment(
            returns_to_go=torch.full((n, horizon, 1), float(target)),
            observations=torch.zeros(n, horizon, len(family.observations)),
            actions=torch.zeros(n, horizon, len(family.actions)),
            rewards=torch.zeros(n, horizon, 1),
            timesteps=torch.arange(horizon).expand(n, -1),
            mask=torch.ones(n, horizon),
        )
        self.begin = self.t = 0  # first and newest row of the context
        half = policy.precision == "bf16" and n >= 8 and has_bf16()
        model = model.computing("bf16" if half else "fp32")
        with torch.inference_mode():
            prompt = policy.prompt[torch.arange(n) % len(policy.prompt)]
            self.next_actions = model.next_actions(prompt, policy.mode, self.longest)

    @torch.inference_mode()
    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return actions, (B, A) in [-1, 1], for raw observations, (B, O)."""
        t = self.t
        if t - self.begin == self.longest:
            self.begin = t + 1 - self.shortest
        self.rows.observations[:, t] = torch.from_numpy(np.asarray(observations, np.float32))
        actions = self.next_actions(self.rows, self.begin, t)
        self.rows.actions[:, t] = actions
        return actions.numpy()

    @torch.inference_mode()
    def receive(self, rewards: np.ndarray) -> None:
        """Ask from now on for what the rewards, (B,) raw, leave of the target return."""
        self.t += 1
        returns = self.rows.returns_to_go
        if self.t < returns.shape[1]:
            earned = torch.from_numpy(np.asarray(rewards, np.float32))[:, None]
            returns[:, self.t] = returns[:, self.t - 1] - earned
