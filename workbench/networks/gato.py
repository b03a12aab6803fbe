"""Gato (arXiv 2205.06175): every scalar is a discrete token, and a demonstration is the prompt.

A value is brought into [-1, 1], where it does not lie there, and put into one of 1,024 bins of
equal width (section 2.1 there)::

    F(x) = sgn(x) log(μ |x| + 1) / log(M μ + 1),   μ = 100, M = 256.

An action is told scalar by scalar, each knowing those before it, by a softmax over the bins. No
return is asked for, so there is nothing to imitate but what acts well: prompts and contexts are of
the same qualities. And no gradient reaches the prompt, for bins have none: of the ways of adapting
those apply that only try prompts, or take them as they are.

What is ours: the paper's sequence has a token for each scalar, 27 a row of a half-cheetah, of which
few rows would fit. Here the embeddings of a row's scalars are put side by side and mapped to two
tokens, its observation and its action; within a row the earlier scalars of an action are read by
the head. Every sequence of a training has a prompt (a quarter in the paper), cut at any row.
Observations are first brought near sd 1. The mean over the bins acts, so that equal seeds are equal
episodes; the paper draws. Of 1,024 bins the likeliest one is a matter of luck, and acts badly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Segment, masked_mean
from workbench.networks.frozen_model import Mode, NextActions
from workbench.networks.prompt_dt import ModelConfig, PromptDT, _initialise, dropout, encode
from workbench.tasks import Family

_MU, _M = 100.0, 256.0


@dataclass(frozen=True)
class GatoConfig(ModelConfig):
    """Size of a Gato.

    Attributes:
        n_bins: Tokens that a scalar may be (1,024 in the paper).
        code: Numbers that a token is embedded in, before a row's are mapped to the width.
    """

    n_bins: int = 1024
    code: int = 16

    def __post_init__(self):
        super().__post_init__()
        if self.n_bins < 2 or self.code < 1:
            raise ValueError(
                "`n_bins` must be at least 2, and `code` at least 1: "
                f"got {self.n_bins} and {self.code}."
            )
        if self.attention != "sliding":
            raise ValueError("A Gato has no banded attention: leave out `attention`.")


def mu_law(x: Tensor) -> Tensor:
    """Return F(x): small values spread, large ones brought near [-1, 1]."""
    return x.sign() * (_MU * x.abs() + 1).log() / math.log(_M * _MU + 1)


class Gato(PromptDT):
    """A transformer that reads and tells bins in place of numbers."""

    kind, sizes = "Gato", GatoConfig
    takes_gradient: ClassVar[bool] = False
    reads_returns: ClassVar[bool] = False

    def __init__(self, config: GatoConfig, family: Family):
        super().__init__(config, family)
        del self.prompt_embedding, self.context_embedding  # of numbers
        o, a, w = len(family.observations), len(family.actions), config.width
        # one table for all scalars, as in the paper; which one it is says the map that follows
        self.vocabulary = nn.Embedding(config.n_bins, config.code)
        self.observation = nn.Linear(o * config.code, w)
        self.action = nn.Linear(a * config.code, w)
        self.place = nn.Embedding(config.prompt_length + config.context_length, w)
        self.asked = nn.Linear(w, a * w)
        self.earlier = nn.Linear(a * config.code, w)
        self.head = nn.Linear(w, config.n_bins)
        self.apply(_initialise)

    def bins(self, x: Tensor) -> Tensor:
        """Return the bins of values that lie in [-1, 1], whole numbers."""
        n = self.config.n_bins
        return ((x.clamp(-1, 1) + 1) / 2 * n).long().clamp(max=n - 1)

    def values(self, bins: Tensor) -> Tensor:
        """Return the middles of bins."""
        return (2 * bins + 1) / self.config.n_bins - 1

    def row_tokens(self, segment: Segment, first: int) -> Tensor:
        """Return two tokens a row, observation and action, (B, 2 K, W).

        Args:
            segment: B prompts or contexts.
            first: Place of its first row.
        """
        seen = self.bins(mu_law(self.normalizer.observations(segment.observations)))
        sides = (
            self.observation(self.vocabulary(seen).flatten(-2)),
            self.action(self.vocabulary(self.bins(segment.actions)).flatten(-2)),
        )
        place = self.place.weight[first : first + segment.length]
        tokens = self.norm_in(torch.stack([side + place for side in sides], 2).flatten(1, 2))
        return dropout(tokens, self.config.dropout) if self.training else tokens

    def encoded(self, prompt: Segment, context: Segment, queries: slice) -> Tensor:
        """Return what some of the 2 (K* + K) tokens become, normalised, (B, r, W)."""
        places = (prompt, 0), (context, self.config.prompt_length)
        before, tokens = (self.row_tokens(segment, first) for segment, first in places)
        return self.norm_out(encode(self.blocks, before, tokens, queries))

    def logits(self, x: Tensor, bins: Tensor) -> Tensor:
        """Return the scores of every bin for every scalar of actions, (B, r, A, n_bins).

        Args:
            x: What the observations' tokens became, (B, r, W).
            bins: Those of the actions, (B, r, A); a scalar's scores depend on those before it.
        """
        codes = self.vocabulary(bins)[:, :, None]  # (B, r, 1, A, ·)
        before = torch.ones(bins.shape[-1], bins.shape[-1], device=x.device).tril(-1)
        earlier = self.earlier((codes * before[..., None]).flatten(-2))
        return self.head(F.relu(self.asked(x).unflatten(-1, (bins.shape[-1], -1)) + earlier))

    def decoded(self, x: Tensor) -> Tensor:
        """Return actions, (B, r, A): scalar by scalar the mean over its bins."""
        middles = self.values(torch.arange(self.config.n_bins, device=x.device))
        actions = torch.zeros(*x.shape[:2], len(self.family.actions), device=x.device)
        for scalar in range(actions.shape[-1]):
            scores = self.logits(x, self.bins(actions))[:, :, scalar].float()
            actions[..., scalar] = (scores.softmax(-1) * middles).sum(-1)
        return actions

    def forward(self, prompt: Segment, context: Segment) -> Tensor:
        """Predict the action of every context row; see ``PromptDT.forward``."""
        with self.autocast(context):
            return self.decoded(self.encoded(prompt, context, slice(2 * prompt.length, None, 2)))

    def loss(self, prompt: Segment, context: Segment, tasks: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of a scalar of an action."""
        bins = self.bins(context.actions)
        with self.autocast(context):
            x = self.encoded(prompt, context, slice(2 * prompt.length, None, 2))
            scores = self.logits(x, bins).float()
        each = F.cross_entropy(scores.flatten(0, 2), bins.flatten(), reduction="none")
        return masked_mean(each.view(bins.shape), context.mask)

    def next_actions(self, prompt: Segment, mode: Mode, longest: int) -> NextActions:
        """Begin to act in B episodes; every step reads the whole context anew."""

        def act(rows: Segment, begin: int, t: int) -> Tensor:
            with self.autocast(rows):
                last = self.encoded(prompt, rows[:, begin : t + 1], slice(-2, -1))
                return self.decoded(last)[:, -1]

        return act
