"""Multi-game Decision Transformer (arXiv 2205.15241): it predicts the return and asks for the best.

A Decision Transformer is told what return to reach. This one learns how likely each return is and
asks for the upper tail of what it believes possible (section 3.2 there), so that nobody has to know
what a good return of an unseen task is:

    log p(R | expert, …) = log p(R | …) + κ · R + const.

What is ours: the paper reads observation, return, action, reward, and predicts the return of every
row. Here the order is Prompt-DT's (return, observation, action), and the return of the whole
episode is predicted once, from the trajectory prompt, which tells the task as the pixels of 41
games do: with the returns of earlier rows in the context the later ones follow from what was
earned. So it can begin with a Prompt-DT's weights. Actions are numbers with a squared error, not
tokens, and the mean of the tilted distribution is asked for, where the paper draws a return: equal
seeds are equal episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.data.trajectory import Segment, Trajectories
from workbench.networks.frozen_model import Mode, NextActions
from workbench.networks.prompt_dt import ModelConfig, PromptDT, _initialise, action_loss
from workbench.tasks import Family

_ACTION_VARIANCE = 0.1
"""Of the Gaussian that a squared error stands for, near what is left of it after training: it sets
actions against returns as two log-likelihoods, as the paper adds them up."""


@dataclass(frozen=True)
class MultiGameConfig(ModelConfig):
    """Size of a multi-game DT.

    Attributes:
        n_bins: Bins of the return, between the lowest and the highest of the training data (120
            in the paper).
        optimism: κ, by how much the log-likelihood of the highest bin is raised over the lowest's
            (10 in the paper, of another range of returns).
    """

    n_bins: int = 64
    optimism: float = 30.0

    def __post_init__(self):
        super().__post_init__()
        if self.n_bins < 2 or self.optimism < 0:
            raise ValueError(
                "`n_bins` must be at least 2, and `optimism` not negative: "
                f"got {self.n_bins} and {self.optimism}."
            )


class MultiGameDT(PromptDT):
    """A Prompt-DT that says under a prompt which returns are possible.

    Attributes:
        low, high: The lowest and the highest return of the training data.
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
        """Take the statistics of the training data, and the range of its returns."""
        super().fit(data)
        returns = [t.episode_return for t in data.items]
        self.low.fill_(min(returns))
        self.high.fill_(max(*returns, min(returns) + 1e-3))

    def return_logits(self, prompt: Segment) -> Tensor:
        """Return log p(R | prompt) but for a constant, of every bin, (B, n_bins).

        It is read where the prompt ends; ``prompt`` must have rows.
        """
        nothing = Segment.empty(self.family, len(prompt)).to(prompt.mask.device)
        with self.autocast(prompt):
            last = self.encoded(prompt, nothing, slice(3 * prompt.length - 1, None))
            return self.return_head(last[:, 0]).float()

    def loss(self, prompt: Segment, context: Segment, tasks: Tensor) -> Tensor:
        """Return the negative log-likelihood of returns and actions, scaled as L_DT is.

        A context says what its episode earned where it begins with the episode; of the others the
        return of the whole is not known.
        """
        whole = context.timesteps[:, 0] == 0
        share = 2 * _ACTION_VARIANCE / len(self.family.actions)
        error = action_loss(self, prompt, context)
        if not whole.any():
            return error
        u = (context.returns_to_go[whole, 0, 0] - self.low) / (self.high - self.low)
        bins = (u * self.config.n_bins).long().clamp(0, self.config.n_bins - 1)
        return error + share * F.cross_entropy(self.return_logits(prompt[whole]), bins)

    def asked_return(self, prompt: Segment) -> Tensor:
        """Return what is asked for under each of B prompts, (B, 1) raw.

        It is the mean of p(R | expert) ∝ p(R) exp(κ u), u in [0, 1] the place of R among the bins.
        """
        places = (torch.arange(self.config.n_bins) + 0.5) / self.config.n_bins
        expert = (self.return_logits(prompt) + self.config.optimism * places).softmax(-1)
        return (self.low + (self.high - self.low) * (expert @ places))[:, None]

    def next_actions(self, prompt: Segment, mode: Mode, longest: int) -> NextActions:
        """Begin to act in B episodes, and ask for a return of its own; without a prompt as told."""
        act = super().next_actions(prompt, mode, longest)
        asked = self.asked_return(prompt) if prompt.length else None

        def ask_and_act(rows: Segment, begin: int, t: int) -> Tensor:
            if t == 0 and asked is not None:
                rows.returns_to_go[:, 0] = asked
            return act(rows, begin, t)

        return ask_and_act
