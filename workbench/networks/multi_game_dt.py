"""Multi-game Decision Transformer (arXiv 2205.15241): it predicts the return and asks for the best.

A Decision Transformer is told what return to reach. This one reads a row as observation,
return-to-go, action, learns how likely each return is, p(R_t | …, o_t), and acts on the upper tail
of what it believes possible (section 3.2): log p(R_t | expert) = log p(R_t) + κ · R_t. So nobody
has to know what a good return of an unseen task is.

What is ours: the trajectory prompt before the context, as in Prompt-DT, in the place of 41 games'
pixels; actions are numbers with a squared error, not tokens; the reward is not predicted; the
return asked for is the mean of the tilted distribution, where the paper draws one, so that equal
seeds are equal episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Segment, Trajectories, masked_mean
from workbench.networks.frozen_model import Mode, NextActions
from workbench.networks.prompt_dt import Embedding, ModelConfig, PromptDT, _initialise
from workbench.tasks import Family

_ACTION_VARIANCE = 0.1
"""Of the Gaussian that a squared error stands for, near what is left of it after training: it sets
actions against returns as two log-likelihoods, as the paper adds them up."""


@dataclass(frozen=True)
class MultiGameConfig(ModelConfig):
    """Size of a multi-game DT.

    Attributes:
        n_bins: Bins of the return-to-go per step that is left (120 returns in the paper).
        optimism: κ, by how much the log-likelihood of the highest bin is raised over the lowest's
            (10 in the paper).
    """

    n_bins: int = 64
    optimism: float = 10.0

    def __post_init__(self):
        super().__post_init__()
        if self.n_bins < 2 or self.optimism < 0:
            raise ValueError(
                "`n_bins` must be at least 2, and `optimism` not negative: "
                f"got {self.n_bins} and {self.optimism}."
            )


class MultiGameDT(PromptDT):
    """Predict returns, and actions that earn them.

    A return-to-go shrinks as the episode ends, so that bins of it would be coarse there: what is
    binned is the return-to-go per step that is left, R_t / (T - t).

    Attributes:
        low, high: The range of the bins, from the training data.
    """

    kind, sizes = "multi-game DT", MultiGameConfig
    low: Tensor
    high: Tensor

    def __init__(self, config: MultiGameConfig, family: Family):
        super().__init__(config, family)
        self.return_head = nn.Linear(config.width, config.n_bins)
        self.return_head.apply(_initialise)
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(1.0))

    def fit(self, data: Trajectories) -> None:
        """Take the statistics of the training data, and the range of returns per step."""
        super().fit(data)
        n = len(data)
        every = data.segments(np.arange(n), np.zeros(n, int), int(data.lengths.max()))
        rates = self._rates(every)[every.mask > 0]
        low, high = torch.quantile(rates[:: max(1, len(rates) // 1_000_000)], _ENDS)
        self.low.copy_(low)
        self.high.copy_(torch.maximum(high, low + 1e-3))

    def tokens(self, embedding: Embedding, segment: Segment) -> Tensor:
        """Return the tokens of rows, (B, 3 K, W), in the order observation, return, action."""
        rows = super().tokens(embedding, segment).unflatten(1, (-1, 3))
        return rows[:, :, [1, 0, 2]].flatten(1, 2)

    def loss(self, prompt: Segment, context: Segment, tasks: Tensor) -> Tensor:
        """Return the negative log-likelihood of returns and actions, scaled as L_DT is."""
        with self.autocast(context):
            x = self.encoded(prompt, context, slice(3 * prompt.length, None)).unflatten(1, (-1, 3))
            logits, actions = self.return_head(x[:, :, 0]), torch.tanh(self.head(x[:, :, 1]))
        width = (self.high - self.low) / self.config.n_bins
        bins = ((self._rates(context) - self.low) / width).long().clamp(0, self.config.n_bins - 1)
        surprise = F.cross_entropy(logits.float().flatten(0, 1), bins.flatten(), reduction="none")
        error = (actions - context.actions).square()
        share = 2 * _ACTION_VARIANCE / len(self.family.actions)
        return masked_mean(error, context.mask) + share * masked_mean(
            surprise.view_as(context.mask), context.mask
        )

    def asked_return(self, prompt: Segment, context: Segment) -> Tensor:
        """Return what is asked for in the last row of contexts, (B, 1) raw.

        It is the mean of p(R | expert) ∝ p(R) exp(κ u), u in [0, 1] the place of R among the bins.
        The last row's own return-to-go and action are not read.
        """
        newest = 3 * (prompt.length + context.length) - 3
        with self.autocast(context):
            logits = self.return_head(self.encoded(prompt, context, slice(newest, newest + 1)))
        places = (torch.arange(self.config.n_bins) + 0.5) / self.config.n_bins
        expert = (logits[:, 0].float() + self.config.optimism * places).softmax(-1)
        rate = self.low + (self.high - self.low) * (expert @ places)
        left = self.family.horizon - context.timesteps[:, -1]
        return (rate * left)[:, None]

    def next_actions(self, prompt: Segment, mode: Mode, longest: int) -> NextActions:
        """Begin to act in B episodes, asking in every row for a return of its own."""

        def act(rows: Segment, begin: int, t: int) -> Tensor:
            context = rows[:, begin : t + 1]  # views
            # From row to row returns-to-go differ by what was earned, as in the training data:
            # so what is asked for now moves those of the rows before as well.
            asked = self.asked_return(prompt, context)
            context.returns_to_go.add_((asked - context.returns_to_go[:, -1])[:, None])
            return self(prompt, context)[:, -1].float()

        return act

    def _rates(self, segment: Segment) -> Tensor:
        """Return returns-to-go per step that is left, (B, K)."""
        left = (self.family.horizon - segment.timesteps).clamp(min=1)
        return segment.returns_to_go[..., 0] / left


_ENDS = torch.tensor([0.001, 0.999])
