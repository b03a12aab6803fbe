"""The published way of evaluating, written by us: one environment, all of it encoded each step.

The released Prompt-DT code (arXiv 2206.13499) calls a GPT-2 of ``transformers`` on the prompt and
the last K rows, padded to K on the left, at every environment step, and reads one action of all
that it predicts. Here the same is done with the very weights of a ``PromptDT``: actions are equal
up to rounding (checked before anything is timed), so that only the pattern differs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.trajectory import Segment
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.prompt_dt import PromptDT
from workbench.tasks import Task, find, make

Encoder = Callable[[Tensor, Tensor], Tensor]
"""Encodes tokens (B, n, W) under a mask (B, n), 1 where real, to (B, n, W)."""


class PublishedModel(nn.Module):
    """A Prompt-DT in the published pattern: whole sequences in, all three heads out.

    Args:
        model: Frozen; its weights are used.
        encoder: The transformer, with the weights of ``model``; see ``gpt2``.
    """

    def __init__(self, model: PromptDT, encoder: Encoder):
        super().__init__()
        self.config, self.family, self.normalizer = model.config, model.family, model.normalizer
        self.prompt_embedding = model.prompt_embedding
        self.context_embedding = model.context_embedding
        self.norm_in, self.action_head = model.norm_in, model.head
        self.encoder = encoder
        # The released model predicts observations and returns as well, and drops them.
        width, o = model.config.width, len(model.family.observations)
        self.observation_head, self.return_head = nn.Linear(width, o), nn.Linear(width, 1)

    def _stacked(self, embedding: nn.Module, segment: Segment) -> Tensor:
        time = embedding.timesteps(segment.timesteps)
        returns = embedding.returns_to_go(self.normalizer.returns(segment.returns_to_go)) + time
        seen = embedding.observations(self.normalizer.observations(segment.observations)) + time
        done = embedding.actions(segment.actions) + time
        b, n = segment.timesteps.shape
        stacked = torch.stack((returns, seen, done), 1).permute(0, 2, 1, 3)
        return self.norm_in(stacked.reshape(b, 3 * n, -1))

    def forward(self, prompt: Segment, context: Segment) -> Tensor:
        """Return the action of every context row, (B, K, A), as ``PromptDT.forward`` does."""
        tokens, masks = [], []
        for embedding, segment in (
            (self.prompt_embedding, prompt),
            (self.context_embedding, context),
        ):
            b, n = segment.timesteps.shape
            tokens.append(self._stacked(embedding, segment))
            masks.append(torch.stack((segment.mask,) * 3, 1).permute(0, 2, 1).reshape(b, 3 * n))
        hidden = self.encoder(torch.cat(tokens, 1), torch.cat(masks, 1))
        b, n, w = hidden.shape
        rows = hidden.reshape(b, n // 3, 3, w).permute(0, 2, 1, 3)
        self.return_head(rows[:, 2])
        self.observation_head(rows[:, 2])
        return torch.tanh(self.action_head(rows[:, 1]))[:, -context.length :]


class HalfModel(PublishedModel):
    """The same in bfloat16, as torch does it by itself."""

    def forward(self, prompt: Segment, context: Segment) -> Tensor:
        """Return the action of every context row, (B, K, A)."""
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(prompt, context)


class PlainDiffuser(PromptDiffuser):
    """A diffuser whose chain is differentiated by autograd, step after step."""

    def sample(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Draw one x0 per condition, (B, K*, D), as ``PromptDiffuser.sample`` does."""
        *_, last = self.chain(self.noise(len(y), rng), y, rng, temperature)
        return last.x


def gpt2(model: PromptDT, attention: str) -> Encoder:
    """Return ``transformers``' GPT-2 with the blocks of ``model``.

    Args:
        model: A Prompt-DT.
        attention: ``"eager"`` (as released) or ``"sdpa"`` (what the library chooses today).
    """
    from transformers import GPT2Config, GPT2Model

    sizes = model.config
    config = GPT2Config(
        vocab_size=1,
        n_positions=1024,
        n_embd=sizes.width,
        n_layer=sizes.n_layers,
        n_head=sizes.n_heads,
        n_inner=4 * sizes.width,
        activation_function="relu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        use_cache=False,
        attn_implementation=attention,
    )
    network = GPT2Model(config).eval()
    with torch.no_grad():
        network.wpe.weight.zero_()  # the released copy has no positions of its own
        for theirs, ours in zip(network.h, model.blocks, strict=True):
            pairs = (
                (theirs.ln_1, ours.norm_attention),
                (theirs.ln_2, ours.norm_mlp),
                (theirs.attn.c_attn, ours.qkv),
                (theirs.attn.c_proj, ours.out),
                (theirs.mlp.c_fc, ours.up),
                (theirs.mlp.c_proj, ours.down),
            )
            for to, of in pairs:
                to.weight.copy_(of.weight.T if of.weight.ndim == 2 else of.weight)
                to.bias.copy_(of.bias)
        network.ln_f.load_state_dict(model.norm_out.state_dict())
    network.requires_grad_(False)
    return lambda tokens, mask: network(inputs_embeds=tokens, attention_mask=mask)[0]


def evaluate_published(
    model: PublishedModel, prompt: Segment, task: Task, seed: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Run one episode as the released evaluation does and return its observations and actions.

    Histories grow by ``torch.cat``; the last K rows are padded on the left to K.

    Args:
        model: The published pattern.
        prompt: One prompt, B = 1.
        task: The task.
        seed: Of the initial state.
        steps: Where to stop, at most the horizon.

    Returns:
        Observations before each action (T, O), raw, and actions (T, A).
    """
    family, k = find(task.family), model.config.context_length
    o, a = len(family.observations), len(family.actions)
    env = make(task)
    seen = torch.from_numpy(env.reset(seed=seed)[0]).reshape(1, o).float()
    done, earned = torch.zeros(0, a), torch.zeros(0)
    wanted = torch.tensor(family.target_return).reshape(1, 1).float()
    timesteps = torch.tensor(0).reshape(1, 1)
    for t in range(steps):
        done, earned = torch.cat([done, torch.zeros(1, a)]), torch.cat([earned, torch.zeros(1)])
        n = min(k, t + 1)

        def padded(rows: Tensor, n: int = n) -> Tensor:
            rows = rows[-n:].reshape(1, n, -1)
            return torch.cat([torch.zeros(1, k - n, rows.shape[-1], dtype=rows.dtype), rows], 1)

        context = Segment(
            returns_to_go=padded(wanted),
            observations=padded(seen),
            actions=padded(done),
            rewards=padded(earned[:, None]),
            timesteps=padded(timesteps)[..., 0],
            mask=padded(torch.ones(n, 1))[..., 0],
        )
        done[-1] = model(prompt, context)[0, -1]
        following, reward, ended, _, _ = env.step(done[-1].numpy())
        earned[-1] = reward
        if ended or t + 1 == steps:
            break
        seen = torch.cat([seen, torch.from_numpy(following).reshape(1, o).float()])
        wanted = torch.cat([wanted, (wanted[-1] - reward).reshape(1, 1).float()])
        timesteps = torch.cat([timesteps, torch.tensor(t + 1).reshape(1, 1)])
    return seen.numpy(), done.numpy()
