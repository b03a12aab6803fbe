"""Prompt Decision Transformer (arXiv 2206.13499): the whole transformer in one file.

The input is a trajectory prompt of K* rows followed by the last K rows of the episode, three
tokens a row: return-to-go, observation, action. The action head reads the observation tokens.
Everything outside this file is in raw units; the model normalises inside.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Segment, masked_mean
from workbench.networks.checkpoint import read_checkpoint, write_checkpoint
from workbench.networks.fast.inference import Layers, Recent, has_bf16
from workbench.networks.fast.prompt_gradient import FrozenBlocks
from workbench.tasks import Family, find


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share p of the numbers to zero and divide the others by 1 - p, as ``F.dropout`` does.

    Each is decided by 16 random bits, a quarter of a draw of torch's generator, where ``F.dropout``
    takes a whole draw. p is rounded to 1/65,536.
    """
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    bits = bits.random_(-(2**63), None).view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(p * 2**16)
    return x * (bits >= dropped - 2**15).to(x.dtype).div_(1 - dropped / 2**16)


Precision = Literal["fp32", "bf16"]


Mode = Literal["exact", "block"]


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
    """

    n_layers: int = 3
    n_heads: int = 1
    width: int = 128
    context_length: int = 20
    prompt_length: int = 5
    dropout: float = 0.1

    def __post_init__(self):
        if self.width % self.n_heads:
            raise ValueError(
                f"`width` must be a multiple of `n_heads`: got {self.width=}, {self.n_heads=}."
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1): got {self.dropout}.")

    @classmethod
    def paper(cls) -> ModelConfig:
        """4 layers of width 512, inferred from the 13.71M parameters of arXiv 2411.01168."""
        return cls(n_layers=4, n_heads=4, width=512)


class _Embedding(nn.Module):
    """Turn rows into tokens; the prompt and the context have one each."""

    def __init__(self, n_observations: int, n_actions: int, horizon: int, width: int):
        super().__init__()
        self.returns_to_go = nn.Linear(1, width)
        self.observations = nn.Linear(n_observations, width)
        self.actions = nn.Linear(n_actions, width)
        self.timesteps = nn.Embedding(horizon, width)

    def forward(self, returns_to_go, observations, actions, timesteps) -> Tensor:
        """Return tokens (B, 3K, W) in the order return-to-go, observation, action."""
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


class _Block(nn.Module):
    """A GPT-2 block with ReLU: attention and MLP, each behind a layer norm."""

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

    def _split(self, x: Tensor) -> Tensor:
        b, n, w = x.shape
        return x.view(b, n, self.n_heads, w // self.n_heads).transpose(1, 2)

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout) if self.training else x

    def forward(self, x: Tensor, asked: slice = slice(None)) -> Tensor:
        """Apply the block.

        Args:
            x: Tokens, (B, n, W).
            asked: Which of them to compute; the others serve as keys and values alone.

        Returns:
            The tokens asked for, (B, ·, W).
        """
        q, k, v = map(self._split, self.qkv(self.norm_attention(x)).chunk(3, -1))
        n = x.shape[1]
        q, x = q[:, :, asked], x[:, asked]
        scores = q @ k.transpose(-1, -2) * k.shape[-1] ** -0.5
        future = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)[asked]
        scores = scores.masked_fill(future, -torch.inf)
        weights = self._drop(scores.softmax(-1))
        x = x + self._drop(self.out((weights @ v).transpose(1, 2).flatten(2)))
        x = x + self._drop(self.down(F.relu(self.up(self.norm_mlp(x)))))
        return x if self.adapter is None else self.adapter(x)


class PromptDT(nn.Module):
    """Predict actions from a prompt and a context.

    Attributes:
        config: Size.
        family: The task family it was trained on.
        normalizer: Statistics of the training tasks, saved with the weights.
        precision: What ``forward`` computes in; see ``computing``.
    """

    precision: Precision = "fp32"
    _prepared: FrozenBlocks | None = None

    def __init__(self, config: ModelConfig, family: Family):
        super().__init__()
        self.config, self.family = config, family
        o, a, w = len(family.observations), len(family.actions), config.width
        self.normalizer = Normalizer(o, a, family.return_scale, family.horizon)
        if config.prompt_length:  # else a Decision Transformer without prompt
            self.prompt_embedding = _Embedding(o, a, family.horizon, w)
        self.context_embedding = _Embedding(o, a, family.horizon, w)
        self.norm_in = nn.LayerNorm(w)
        self.blocks = nn.ModuleList(
            _Block(w, config.n_heads, config.dropout) for _ in range(config.n_layers)
        )
        self.norm_out = nn.LayerNorm(w)
        self.head = nn.Linear(w, a)
        self.apply(_initialise)

    @property
    def n_parameters(self) -> int:
        """Trainable numbers, buffers excluded."""
        return sum(p.numel() for p in self.parameters())

    def frozen(self) -> PromptDT:
        """Switch to evaluation for good: no dropout, no parameter takes a gradient."""
        return self.eval().requires_grad_(False)

    def _tokens(self, embedding: _Embedding, segment: Segment) -> Tensor:
        tokens = embedding(
            self.normalizer.returns(segment.returns_to_go),
            self.normalizer.observations(segment.observations),
            segment.actions,
            segment.timesteps,
        )
        tokens = self.norm_in(tokens)
        return dropout(tokens, self.config.dropout) if self.training else tokens

    def forward(self, prompt: Segment, context: Segment) -> Tensor:
        """Predict the action of every context row from what came before it.

        Args:
            prompt: B prompts of K* whole rows (K* may be 0), raw units.
            context: B contexts of K rows, raw units, padding at the end.

        Returns:
            Actions in [-1, 1], (B, K, A). Rows that are padding are meaningless.
        """
        bf16 = torch.autocast(
            context.mask.device.type, torch.bfloat16, enabled=self.precision == "bf16"
        )
        with bf16:
            x = self._tokens(self.context_embedding, context)
            # the head reads the observations of the context: nothing else is asked of the last
            asked = slice(3 * prompt.length + 1, None, 3)
            if prompt.length:
                told = self._tokens(self.prompt_embedding, prompt)
                if not x.requires_grad and (blocks := self._frozen_blocks()):
                    x = blocks(told, x, asked)
                    return torch.tanh(self.head(self.norm_out(x)))
                x = torch.cat([told, x], 1)
            for block in self.blocks[:-1]:
                x = block(x)
            x = self.blocks[-1](x, asked)
            return torch.tanh(self.head(self.norm_out(x)))

    def _frozen_blocks(self) -> FrozenBlocks | None:
        """Return the blocks prepared for bfloat16, where they are frozen."""
        if self.precision != "bf16" or not FrozenBlocks.fits(self.blocks):
            return None
        if self._prepared is None or not self._prepared.still(self.blocks):
            self._prepared = FrozenBlocks(self.blocks)
        return self._prepared

    def save(self, path: Path, *, half: bool = False, **metadata: object) -> None:
        """Write weights, normaliser, size and family as safetensors; see ``write_checkpoint``."""
        header = {"config": dataclasses.asdict(self.config), "family": self.family.name, **metadata}
        write_checkpoint(path, self.state_dict(), header, half=half)

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

    def computing(self, precision: Precision) -> PromptDT:
        """Return this very model, weights shared, with ``forward`` computed in ``precision``.

        ``"bf16"`` computes in bfloat16 with the weights in float32: sooner on a CPU that
        has it (`make bench`). What a ``PromptedPolicy`` computes in is said by the policy.
        """
        model = copy.copy(self)
        model.precision = precision
        return model

    @classmethod
    def load(cls, path: Path) -> PromptDT:
        """Read a checkpoint, frozen; nothing in it is executed.

        Raises:
            ValueError: if the file is missing or is no checkpoint of a Prompt-DT.
        """
        header, state = read_checkpoint(path)
        try:
            model = cls(ModelConfig(**header["config"]), find(header["family"]))
            model.load_state_dict(state)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"{path} is no checkpoint of a Prompt-DT: {error}.") from error
        return model.frozen()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


@dataclass(frozen=True, eq=False)
class PromptedPolicy:
    """A frozen model, told by prompts what to do; episode i follows prompt i mod B.

    Attributes:
        model: A frozen Prompt-DT.
        prompt: B prompts.
        target_return: Return asked for at the start, raw; the family's by default.
        mode: ``"exact"`` reads the last K rows at each step: what every result is made with.
            ``"block"`` is for screening and live views, several times as fast: what was encoded
            is kept, and the context is cut every K / 2 steps only, so that it has K rows on
            average (for K = 20 it grows from 16 to 25).
        precision: ``"bf16"`` acts in bfloat16 with 8 episodes or more, where the processor has
            it; elsewhere that would be slower, and is float32.

    Raises:
        ValueError: if ``mode`` or ``precision`` is unknown.
    """

    model: PromptDT
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

    def start(self, seeds: Sequence[int]) -> _Prompted:
        """Begin one episode per seed."""
        return _Prompted(self, len(seeds))

    def share(self, places: Sequence[int]) -> PromptedPolicy:
        """Return the policy of some of the episodes, given by their places in the batch."""
        which = torch.as_tensor(places) % len(self.prompt)
        return dataclasses.replace(self, prompt=self.prompt[which])


class _Prompted:
    """The rows of B episodes in lock-step, and what is known of those encoded already."""

    def __init__(self, policy: PromptedPolicy, n: int):
        self.model, self.mode = policy.model, policy.mode
        family, k = self.model.family, self.model.config.context_length
        # fewest and most rows of a context; more than K are new to the model, fewer lack news
        cut = max(1, k // 2) if self.mode == "block" else 1
        self.fewest = k - (cut - 1) // 2
        self.most = self.fewest + cut - 1
        target = family.target_return if policy.target_return is None else policy.target_return
        half = policy.precision == "bf16" and n >= 8 and has_bf16()
        with torch.inference_mode():
            prompt = policy.prompt[torch.arange(n) % len(policy.prompt)]
            dtype, self.prompted = torch.bfloat16 if half else torch.float32, 3 * prompt.length
            capacity = self.prompted + 3 * self.most
            same_bits = policy.mode == "exact"
            self.layers = Layers(self.model.blocks, dtype, n, capacity, same_bits=same_bits)
            if prompt.length:
                self.layers.newest(self.model._tokens(self.model.prompt_embedding, prompt), 0)
        shape = (n, family.horizon)
        self.observations = torch.zeros(*shape, len(family.observations))
        self.actions = torch.zeros(*shape, len(family.actions))
        self.returns_to_go = torch.full((*shape, 1), float(target))
        self.recent = Recent(self.layers, n, self.most, self.model.config.width)
        self.t = self.begin = 0

    def _tokens(self) -> Tensor:
        """Return the tokens of the last row, whose action is known by now, and of this one."""
        low = max(0, self.t - 1)
        rows = slice(low, self.t + 1)
        n, length = len(self.observations), self.t + 1 - low
        context = Segment(
            returns_to_go=self.returns_to_go[:, rows],
            observations=self.observations[:, rows],
            actions=self.actions[:, rows],
            rewards=self.returns_to_go[:, rows],
            timesteps=torch.arange(low, self.t + 1).expand(n, -1),
            mask=torch.ones(n, length),
        )
        return self.model._tokens(self.model.context_embedding, context)

    @torch.inference_mode()
    def act(self, observations: np.ndarray) -> np.ndarray:
        t = self.t
        self.observations[:, t] = torch.from_numpy(np.asarray(observations, np.float32))
        self.recent.put(t, self._tokens())
        known = 0  # tokens from ``begin`` on
        if self.mode == "block" and t and t - self.begin < self.most:
            known = 3 * (t - self.begin) - 1  # not the last action, which was to be chosen
        else:
            self.begin = max(0, t + 1 - self.fewest)
        new = 3 * self.begin + known, 3 * t + 2  # up to the observation
        encoded = self.recent.newest(*new, self.prompted + known)
        action = torch.tanh(self.model.head(self.model.norm_out(encoded)))
        self.actions[:, t] = action
        return action.numpy()

    @torch.inference_mode()
    def receive(self, rewards: np.ndarray) -> None:
        self.t += 1
        if self.t < self.returns_to_go.shape[1]:
            earned = torch.from_numpy(np.asarray(rewards, np.float32))[:, None]
            self.returns_to_go[:, self.t] = self.returns_to_go[:, self.t - 1] - earned


def action_loss(
    model: Callable[[Segment, Segment], torch.Tensor], prompt: Segment, context: Segment
) -> torch.Tensor:
    """Return the mean squared action error over real context rows (arXiv 2411.01168, Eq. 7)."""
    error = (model(prompt, context) - context.actions).square()
    return masked_mean(error, context.mask)
