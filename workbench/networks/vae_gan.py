"""A conditional VAE and a conditional GAN of the diffuser's size, to stand in its place.

The extended abstract of arXiv 2411.01168 (section 4) claims that diffusion makes better prompts
than other generators, and shows no figure. Both know the same ``x`` and ``y``, (B, K*, ·), as
``diffusion``, normalised by ``Normalizer.pack``, and make a prompt in one step. Neither network
is published; what is chosen here is ours.
"""

from __future__ import annotations

import abc
import functools
import itertools
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.networks.adamw import AdamW
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.diffusion import DiffuserConfig, PromptDiffuser
from workbench.networks.informed_diffusion import InformedConfig, InformedDiffuser
from workbench.tasks import Family


def _check_positive(config: Any) -> None:
    for field in fields(config):
        if not getattr(config, field.name) > 0:
            raise ValueError(f"`{field.name}` must be positive: got {getattr(config, field.name)}.")


@dataclass(frozen=True)
class VAEConfig:
    """Size and loss of a prompt VAE; by default as many trainable numbers as the diffuser.

    Attributes:
        prompt_length: K*.
        width: Hidden units, of the encoder and of the decoder.
        n_layers: Hidden layers of each.
        latent: Numbers in z.
        beta: Weight of the KL divergence, 2 σ² where σ is the output's standard deviation.
        clip_x0: Largest magnitude of a sample, normalised units, as the diffuser's.
    """

    prompt_length: int = 5
    width: int = 208
    n_layers: int = 2
    latent: int = 32
    beta: float = 0.05
    clip_x0: float = 5.0

    def __post_init__(self):
        _check_positive(self)


@dataclass(frozen=True)
class GANConfig:
    """Size and losses of a prompt GAN; by default its *generator* is of the diffuser's size.

    Attributes:
        prompt_length: K*.
        width: Hidden units of the generator and of the critic.
        n_layers: Hidden layers of the generator; the critic has one less.
        critic_lr: Learning rate of the critic's own Adam.
        penalty: Weight γ of the critic's gradient penalties.
        clip_x0: Largest magnitude of a sample, normalised units, as the diffuser's.
    """

    prompt_length: int = 5
    width: int = 227
    n_layers: int = 3
    critic_lr: float = 1e-3
    penalty: float = 1.0
    clip_x0: float = 5.0

    def __post_init__(self):
        _check_positive(self)


class _MLP(nn.Module):
    """Layers with the diffuser's activation over the joined, flattened inputs."""

    def __init__(self, n_in: int, width: int, n_layers: int, n_out: int):
        super().__init__()
        widths = [n_in, *[width] * n_layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out = nn.Linear(width, n_out)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (B, n_out)."""
        h = torch.cat([x.flatten(1) for x in inputs], 1)
        for layer in self.hidden:
            h = _mish(layer(h))
        return self.out(h)


def _mish(x: Tensor) -> Tensor:
    """Return x tanh(softplus(x)), with a second derivative everywhere, for a critic's penalty.

    Beyond 20 it is x to the last bit; torch's second derivative is no number from 89 on.
    """
    return torch.where(x > 20, x, F.mish(x.clamp(max=20)))


class _OneStep(SavedNetwork, abc.ABC):
    """A generator of one step: what ``methods.generated`` needs and both have in common."""

    def __init__(self, config: VAEConfig | GANConfig, family: Family):
        super().__init__(config, family)
        self.d = len(family.observations) + len(family.actions) + 1
        self.n_x, self.n_y = config.prompt_length * self.d, config.prompt_length * 2

    @property
    def prompt_length(self) -> int:
        """K*."""
        return self.config.prompt_length

    def trace(self, y: Tensor, rng: torch.Generator, temperature: float) -> None:
        """Return None: there is no chain."""

    @abc.abstractmethod
    def _draw(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Draw one x0 per condition, (B, K*, D), of any size."""

    def sample(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Draw one x0 per condition, (B, K*, D), within ±``clip_x0``; differentiable.

        Args:
            y: Condition, (B, K*, 2).
            rng: Source of the noise.
            temperature: Factor on the noise's variance, in [0, 1].
        """
        clip = self.config.clip_x0
        return self._draw(y, rng, temperature).clamp(-clip, clip)


class PromptVAE(_OneStep):
    """p(x0 | y) = ∫ N(x0; μ(z, y), σ² I) N(z; 0, I) dz with encoder q(z | x0, y) (arXiv 1312.6114).

    σ² = β / 2 is fixed. Then β is what the evidence bound says, and samples with the output's
    noise have the variance of the data wherever that exceeds σ². A learned σ shrinks on a few
    demonstrations, and its loss would outgrow L_DT.
    """

    kind, sizes = "VAE", VAEConfig

    def __init__(self, config: VAEConfig, family: Family):
        super().__init__(config, family)
        size = config.width, config.n_layers
        self.encoder = _MLP(self.n_x + self.n_y, *size, 2 * config.latent)
        self.decoder = _MLP(config.latent + self.n_y, *size, self.n_x)

    def prepare(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> None:
        """Do nothing: the loss needs no preparation."""

    def inner_optimizers(self) -> dict[str, AdamW]:
        """Return nothing: ``prepare`` changes nothing."""
        return {}

    def own_loss(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Return the mean squared error of x0 + β KL(q ‖ N(0, I)), per element of x0.

        That is 2 σ² times the negative evidence lower bound, without its constant.
        """
        mean, log_variance = self.encoder(x0, y).chunk(2, 1)
        log_variance = log_variance.clamp(-10, 10)
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=rng)
        error = (self.decoder(z, y).view_as(x0) - x0).square().mean()
        kl = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        return error + self.config.beta * kl / self.n_x

    def _draw(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        z = temperature**0.5 * torch.randn(len(y), self.config.latent, generator=rng)
        mean = self.decoder(z, y).view(len(y), self.prompt_length, self.d)
        noise = torch.randn(mean.shape, generator=rng)
        return mean + (temperature * self.config.beta / 2) ** 0.5 * noise


class PromptGAN(_OneStep):
    """x0 = G(z, y), taught by a critic of (x, y); z has the prompt's shape, like the chain's x_N.

    The losses are those of arXiv 2501.05441, which train without tricks and drop no modes: the
    critic compares a real and a made prompt of the same condition, and its gradients at both are
    penalised. The critic belongs to the loss: it is saved, and does not count as trainable.
    """

    kind, sizes = "GAN", GANConfig

    def __init__(self, config: GANConfig, family: Family):
        super().__init__(config, family)
        n_in, width = self.n_x + self.n_y, config.width
        self.generator = _MLP(n_in, width, config.n_layers, self.n_x)
        self.critic = _MLP(n_in, width, max(1, config.n_layers - 1), 1)
        self._optimizer: AdamW | None = None

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Return the generator's numbers."""
        return tuple(self.generator.parameters())

    def __getstate__(self) -> dict:
        """Leave the optimiser out of copies: each makes its own, of its own critic."""
        return {**self.__dict__, "_optimizer": None}

    @property
    def critic_optimizer(self) -> AdamW:
        """The critic's own optimiser, made when it is first needed.

        Without momentum: the critic must follow the generator, not overshoot.
        """
        if self._optimizer is None:
            self._optimizer = AdamW(self.critic.parameters(), weight_decay=0.0, decays=(0.0, 0.99))
        return self._optimizer

    def inner_optimizers(self) -> dict[str, AdamW]:
        """Return what ``prepare`` changes beside the weights."""
        return {"critic": self.critic_optimizer}

    def prepare(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> None:
        """Improve the critic by one step.

        Its loss is E softplus(D(G(z, y), y) - D(x0, y)) + γ/2 E‖∇_x D‖², the latter at real and
        at made prompts.
        """
        with torch.no_grad():
            made = self._draw(y, rng, 1.0)
        both = torch.stack([self._within(x0), made]).requires_grad_()
        real, fake = self.critic(both[0], y), self.critic(both[1], y)
        slope = torch.autograd.grad((real + fake).sum(), both, create_graph=True)[0]
        penalty = slope.square().sum((2, 3)).mean(1).sum()
        loss = F.softplus(fake - real).mean() + self.config.penalty / 2 * penalty
        numbers = tuple(self.critic.parameters())
        for number, gradient in zip(numbers, torch.autograd.grad(loss, numbers), strict=True):
            number.grad = gradient
        self.critic_optimizer.step(self.config.critic_lr)

    def own_loss(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Return E softplus(D(x0, y) - D(G(z, y), y)); its gradient reaches the generator alone."""
        frozen = {name: number.detach() for name, number in self.critic.named_parameters()}
        score = functools.partial(torch.func.functional_call, self.critic, frozen)
        made = self._draw(y, rng, 1.0)
        return F.softplus(score((self._within(x0), y)) - score((made, y))).mean()

    def _within(self, x0: Tensor) -> Tensor:
        """Limit real prompts to what samples are limited to.

        Where a training column hardly varies, rare rows lie fifty deviations out (reach's puck),
        and the critic diverges on them.
        """
        return x0.clamp(-self.config.clip_x0, self.config.clip_x0)

    def _draw(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        shape = len(y), self.prompt_length, self.d
        z = temperature**0.5 * torch.randn(shape, generator=rng)
        return self.generator(z, y).view(shape)


GENERATORS: dict[str, type[SavedNetwork]] = {
    "diffuser": PromptDiffuser,
    "vae": PromptVAE,
    "gan": PromptGAN,
    "informed": InformedDiffuser,
}
"""What can generate prompts, by the name of its file."""
GeneratorConfig = DiffuserConfig | VAEConfig | GANConfig | InformedConfig
