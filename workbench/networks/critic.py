"""What actions are worth in a task that few-shot transitions tell: the critic of guidance by value.

Imitation (L_DT, Eq. 7 of arXiv 2411.01168) is as good as the data that it imitates. Q-value
regularised transformers (QT, arXiv 2405.17098) and Diffusion-QL (arXiv 2208.06193) add the value
of the actions to it. Theirs learns in one task; here one critic is learned offline over the
training tasks and reads the task code of the informed diffuser, so that it knows an unseen task's
rewards from few-shot transitions of any quality.

What is ours: values of the data's own actions alone are asked for (implicit Q-learning, arXiv
2110.06169), where QT and Diffusion-QL ask for those of their policies: a prompt is tuned long
after the critic, and there is no policy yet.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.data.trajectory import Normalizer, Segment, masked_mean
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.informed_diffusion import InformedDiffuser, task_encoder
from workbench.tasks import Family


@dataclass(frozen=True)
class CriticConfig:
    """Size of a critic.

    Attributes:
        width: Hidden units of each of its three networks, as in QT's.
        n_layers: Hidden layers of each, likewise.
        code: C, size of the task code: the informed diffuser's.
        discount: γ, what a reward counts for one step later; 0.97 looks about 33 steps ahead.
    """

    width: int = 128
    n_layers: int = 3
    code: int = 16
    discount: float = 0.97

    def __post_init__(self):
        for name in ("width", "n_layers", "code"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive: got {getattr(self, name)}.")
        if not 0 <= self.discount < 1:
            raise ValueError(f"`discount` must lie in [0, 1): got {self.discount}.")


class Critic(SavedNetwork):
    """Q₁, Q₂ of (s, a, c) and V of (s, c), in the units of the discounted return.

    Two that learn apart, since the lower one overestimates less (arXiv 1802.09477). V is what the
    Qs bootstrap from, and no more is asked of it.

    Attributes:
        normalizer: Statistics of the training tasks.
    """

    kind, sizes = "critic", CriticConfig

    def __init__(self, config: CriticConfig, family: Family):
        super().__init__(config, family)
        o, a = len(family.observations), len(family.actions)
        self.normalizer = Normalizer(o, a, family.return_scale, family.horizon)
        self.encoder, self.to_code = task_encoder(o + a + 1, config.code)
        self.q = nn.ModuleList(_perceptron(o + a + config.code, config) for _ in range(2))
        self.v = _perceptron(o + config.code, config)

    def reading(self, informed: InformedDiffuser, normalizer: Normalizer) -> Critic:
        """Take the task code of an informed diffuser, and the statistics that it was made with."""
        self.encoder = copy.deepcopy(informed.encoder).requires_grad_(False)
        self.to_code = copy.deepcopy(informed.to_code).requires_grad_(False)
        self.normalizer = copy.deepcopy(normalizer)
        return self

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Return what training changes: the code stays the informed diffuser's."""
        return *self.q.parameters(), *self.v.parameters()

    def code(self, transitions: Tensor) -> Tensor:
        """Return the task code, (B, C), of few-shot ``[s; a; r]``, (B, M, D) normalised."""
        return self.to_code(self.encoder(transitions).mean(1))

    def forward(self, observations: Tensor, actions: Tensor, code: Tensor) -> Tensor:
        """Return Q₁ and Q₂, (2, B, …).

        Args:
            observations: (B, …, O) raw.
            actions: (B, …, A) in [-1, 1].
            code: (B, C), or (1, C) for all.
        """
        inputs = self._inputs(observations, code, actions)
        return self._returns(torch.stack([q(inputs)[..., 0] for q in self.q]))

    def value(self, observations: Tensor, code: Tensor) -> Tensor:
        """Return V, (B, …), of raw observations, (B, …, O)."""
        return self._returns(self.v(self._inputs(observations, code))[..., 0])

    @property
    def unit(self) -> Tensor:
        """The spread of discounted returns: σ_r / (1 - γ), raw."""
        return self.normalizer.scale[-1] / (1 - self.config.discount)

    def _inputs(self, observations: Tensor, code: Tensor, *others: Tensor) -> Tensor:
        code = code.view(len(code), *[1] * (observations.ndim - 2), -1)
        code = code.expand(*observations.shape[:-1], -1)
        return torch.cat([self.normalizer.observations(observations), *others, code], -1)

    def _returns(self, outputs: Tensor) -> Tensor:
        mean = self.normalizer.mean[-1] / (1 - self.config.discount)
        return mean + self.unit * outputs


def _perceptron(n_in: int, config: CriticConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in [n_in, *[config.width] * (config.n_layers - 1)]:
        layers += [nn.Linear(width, config.width), nn.Mish()]
    return nn.Sequential(*layers, nn.Linear(config.width, 1))


def n_step_targets(critic: Critic, segment: Segment, code: Tensor, horizon: int) -> Tensor:
    """Return Σ_j γ^j r_j + γ^m V(s_m, c), what Q of the first row is to be, (B,) raw.

    Args:
        critic: Whose V is asked for what comes after the rewards.
        segment: B segments of n + 1 rows: m = n where all are real. Where the time limit T cuts an
            episode off, m is the row before the last. Where it ended before, as by a fall, all its
            rewards count and nothing follows.
        code: (B, C).
        horizon: T.
    """
    n = segment.mask.sum(1).long()
    last = segment.timesteps.gather(1, (n - 1)[:, None])[:, 0]
    ended = (n < segment.length) & (last < horizon - 1)
    m = torch.where(ended, n, n - 1)  # rewards that are taken
    powers = critic.config.discount ** torch.arange(segment.length)
    taken = torch.arange(segment.length) < m[:, None]
    rewards = (segment.rewards[..., 0] * powers * taken).sum(1)
    rows = torch.arange(len(n))
    after = critic.value(segment.observations[rows, n - 1], code)
    return rewards + critic.config.discount**m * after * ~ended


def critic_loss(
    critic: Critic,
    target: Critic,
    segment: Segment,
    code: Tensor,
    expectile: float,
    horizon: int,
) -> Tensor:
    """Return what a critic descends, by the data's own actions alone (arXiv 2110.06169, Eq. 5, 6).

    V goes to an upper expectile of min(Q₁, Q₂) over the actions that the data have in a state, and
    both Qs to n-step targets of V. In units of ``Critic.unit``.

    Args:
        critic: Learns.
        target: A running average of it, whose Qs V follows.
        segment: See ``n_step_targets``.
        code: Of the tasks, (B, C).
        expectile: τ: 0.5 is the mean of the data's actions, 1 the best of them.
        horizon: T.
    """
    first = segment.observations[:, 0], segment.actions[:, 0]
    with torch.no_grad():
        low = target(*first, code).min(0).values
        wanted = n_step_targets(critic, segment, code, horizon)
    above = (low - critic.value(first[0], code)) / critic.unit
    weight = torch.where(above > 0, expectile, 1 - expectile)
    off = (critic(*first, code) - wanted) / critic.unit
    return (weight * above.square()).mean() + off.square().mean(1).sum()


def value_loss(
    critic: Critic, code: Tensor, context: Segment, actions: Tensor
) -> tuple[Tensor, Tensor]:
    """Return L_Q = -½ (E[Q₁] / E|Q₂| + E[Q₂] / E|Q₁|) over real rows (arXiv 2405.17098), and E[Q].

    Divided by its own size, which takes no gradient, so that η means the same in every task. QT
    and Diffusion-QL toss a coin which of the two Qs is asked and which divides; this is the mean of
    both outcomes.

    Args:
        critic: Frozen.
        code: Of the task, (1, C).
        context: B contexts of the task.
        actions: What the frozen model does in them under its prompt, (B, K, A); takes the gradient.
    """
    q = critic(context.observations, actions.to(context.observations.dtype), code)
    one, two = (masked_mean(each, context.mask) for each in q)
    size_one, size_two = (masked_mean(each.detach().abs(), context.mask) for each in q)
    return -(one / size_two + two / size_one) / 2, (one + two).detach() / 2


@dataclass(frozen=True, eq=False)
class Value:
    """What guides by value in one task.

    Attributes:
        critic: Frozen.
        code: Of the task, (1, C).
        eta: η, the weight of L_Q.
    """

    critic: Critic
    code: Tensor
    eta: float

    def loss(self, context: Segment, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_Q and E[Q]; see ``value_loss``."""
        return value_loss(self.critic, self.code, context, actions)
