"""The conditional diffusion model that generates trajectory prompts (arXiv 2411.01168, Eq. 1-6).

``x`` has K* columns ``[s; a; r]`` (Eq. 4), the condition ``y`` columns ``[r̂; t]`` (Eq. 5); both
come normalised from ``Normalizer.pack``. Diffusion steps k run from N (noise) to 0 (the prompt).

Read in this order: the noise schedule, ``denoise`` (the sampler), ``diffusion_loss`` (Eq. 6),
``PromptDiffuser`` (the network).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from workbench.networks.adamw import AdamW
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.fast.chain_gradient import sample_with_gradient
from workbench.tasks import Family

EpsModel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Predicts the noise: ``(x_k (B, K*, D), y (B, K*, 2), k (B,) int64) -> eps_hat (B, K*, D)``."""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """How much noise each of the N diffusion steps adds (arXiv 2006.11239).

    Attributes:
        beta: Variance added by step k, (N,), at index k - 1.
    """

    beta: Tensor

    def __post_init__(self):
        if self.beta.ndim != 1 or not ((self.beta > 0) & (self.beta < 1)).all():
            raise ValueError("`beta` must be a vector of numbers strictly between 0 and 1.")
        if self.alpha_bar[-1] > 0.05:
            warnings.warn(
                f"This schedule never reaches noise: after N = {self.n_diffusion_steps} steps "
                f"alpha_bar is still {self.alpha_bar[-1]:.2f}. Sampling starts from noise, so "
                "samples will be biased. Use `NoiseSchedule.cosine` or a larger beta.",
                stacklevel=2,
            )

    @classmethod
    def cosine(cls, n_diffusion_steps: int) -> NoiseSchedule:
        """Return the cosine schedule of arXiv 2102.09672, right for any N."""
        k = torch.arange(n_diffusion_steps + 1, dtype=torch.float64) / n_diffusion_steps
        f = torch.cos((k + 0.008) / 1.008 * math.pi / 2).square()
        return cls((1 - f[1:] / f[:-1]).clamp(max=0.999).float())

    @classmethod
    def linear(
        cls,
        n_diffusion_steps: int,
        first: float = 1e-4,
        last: float = 2e-2,
        *,
        rescale: bool = True,
    ) -> NoiseSchedule:
        """Return DDPM's linear schedule, its 1000-step range rescaled to N unless told not to."""
        beta = torch.linspace(first, last, n_diffusion_steps, dtype=torch.float64)
        if rescale:
            beta = 1 - (1 - beta).pow(1000 / n_diffusion_steps)
        return cls(beta.clamp(max=0.999).float())

    @property
    def n_diffusion_steps(self) -> int:
        """N."""
        return len(self.beta)

    @property
    def alpha_bar(self) -> Tensor:
        """ᾱ_k = Π_{i ≤ k} (1 - β_i), (N,), at index k - 1."""
        return torch.cumprod(1 - self.beta.double(), 0).to(self.beta.dtype)

    def scales(self, k: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return √ᾱ_k and √(1 - ᾱ_k) for steps k (B,), shaped (B, 1, 1), of ``like``'s type."""
        alpha_bar = self.alpha_bar.double()[k - 1].view(-1, 1, 1)
        return alpha_bar.sqrt().to(like.dtype), (1 - alpha_bar).sqrt().to(like.dtype)

    def noised(self, x0: Tensor, k: Tensor, eps: Tensor) -> Tensor:
        """Return x_k = √ᾱ_k x0 + √(1 - ᾱ_k) eps (arXiv 2006.11239, Eq. 4); k is (B,), 1..N."""
        signal, noise = self.scales(k, x0)
        return signal * x0 + noise * eps

    def coefficients(self) -> list[StepCoefficients]:
        """Return those of the N denoising steps, in their order: k = N first."""
        alpha_bar, beta = [1.0, *self.alpha_bar.tolist()], [0.0, *self.beta.tolist()]
        return [
            StepCoefficients(
                sqrt_alpha_bar=alpha_bar[k] ** 0.5,
                sqrt_one_minus_alpha_bar=(1 - alpha_bar[k]) ** 0.5,
                of_x0=alpha_bar[k - 1] ** 0.5 * beta[k] / (1 - alpha_bar[k]),
                of_xk=(1 - beta[k]) ** 0.5 * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]),
                variance=beta[k] * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k]),
            )
            for k in range(self.n_diffusion_steps, 0, -1)
        ]


@dataclass(frozen=True)
class StepCoefficients:
    """The numbers of one denoising step (arXiv 2006.11239, Eq. 4 and 7).

    x_k = sqrt_alpha_bar x0 + sqrt_one_minus_alpha_bar ε; the posterior q(x_{k-1} | x_k, x0) has
    the mean μ = of_x0 x0 + of_xk x_k and the variance β̃_k.

    Attributes:
        sqrt_alpha_bar: √ᾱ_k.
        sqrt_one_minus_alpha_bar: √(1 - ᾱ_k).
        of_x0, of_xk: Weights of x0 and of x_k in the posterior mean.
        variance: β̃_k.
    """

    sqrt_alpha_bar: float
    sqrt_one_minus_alpha_bar: float
    of_x0: float
    of_xk: float
    variance: float


@dataclass(frozen=True, eq=False)
class DenoisingStep:
    """One step of a chain: from x_k, through the implied x̂0, to x_{k-1}.

    Attributes:
        diffusion_step: k of the *result*, N - 1 .. 0.
        x: x_{k}, the result, (B, K*, D).
        x0_hat: The finished prompt as the model predicts it now, (B, K*, D).
    """

    diffusion_step: int
    x: Tensor
    x0_hat: Tensor


def denoise(
    eps_model: EpsModel,
    schedule: NoiseSchedule,
    x: Tensor,
    y: Tensor,
    rng: torch.Generator,
    *,
    temperature: float,
    clip: float | None = 5.0,
    varies: Tensor | None = None,
) -> Iterator[DenoisingStep]:
    """Sample by low-temperature ancestral steps: x_{k-1} ~ N(μ_θ, temperature · Σ_k).

    Differentiable end to end: the consumer decides about gradients. μ_θ is the posterior mean
    of arXiv 2006.11239, Eq. 7, at the implied x̂0; Σ_k its variance β̃_k.

    Args:
        eps_model: Predicts the noise.
        schedule: The noise schedule, N steps.
        x: x_N, noise, (B, K*, D).
        y: Condition, (B, K*, 2).
        rng: Draws the noise of every step.
        temperature: Factor on the variance, in [0, 1]; 1 is plain ancestral sampling.
        clip: Largest magnitude of x̂0, in normalised units; steadies short chains.
        varies: 1 for each column that is diffused, 0 for one that stays at 0, (D,); all by
            default.

    Raises:
        ValueError: if ``temperature`` lies outside [0, 1].
    """
    if not 0 <= temperature <= 1:
        raise ValueError(f"`temperature` must lie in [0, 1]: got {temperature}.")
    for k, step in zip(
        range(schedule.n_diffusion_steps, 0, -1), schedule.coefficients(), strict=True
    ):
        eps_hat = eps_model(x, y, torch.full((len(x),), k))
        x0_hat = x.sub(eps_hat, alpha=step.sqrt_one_minus_alpha_bar) / step.sqrt_alpha_bar
        if clip is not None:
            x0_hat = x0_hat.clamp(-clip, clip)
        noise = torch.randn(x.shape, generator=rng, dtype=x.dtype)
        if varies is not None:
            noise = noise * varies
        mean = (step.of_x0 * x0_hat).add(x, alpha=step.of_xk)
        x = mean.add(noise, alpha=(temperature * step.variance) ** 0.5)
        yield DenoisingStep(k - 1, x, x0_hat)


def diffusion_loss(
    eps_model: EpsModel, schedule: NoiseSchedule, x0: Tensor, y: Tensor, rng: torch.Generator
) -> Tensor:
    """Return L_DM = E‖ε - ε_θ(√ᾱ_k x0 + √(1 - ᾱ_k) ε, y, k)‖² (arXiv 2411.01168, Eq. 6).

    Averaged over elements; k is uniform on 1..N.
    """
    k = torch.randint(1, schedule.n_diffusion_steps + 1, (len(x0),), generator=rng)
    eps = torch.randn(x0.shape, generator=rng)
    return (eps - eps_model(schedule.noised(x0, k, eps), y, k)).square().mean()


@dataclass(frozen=True, eq=False)
class DenoisingTrace:
    """A whole chain, detached.

    Attributes:
        x: x_N, x_{N-1}, …, x_0, (N + 1, B, K*, D).
        x0_hat: The prediction made at each step, N .. 1, (N, B, K*, D).
        y: Condition, (B, K*, 2).
    """

    x: Tensor
    x0_hat: Tensor
    y: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, steps: Iterable[DenoisingStep]) -> DenoisingTrace:
        """Fold a chain that began at noise ``x``."""
        kept = [(s.x.detach().clone(), s.x0_hat.detach().clone()) for s in steps]
        xs = torch.stack([x.detach().clone(), *(x for x, _ in kept)])
        return cls(xs, torch.stack([x0_hat for _, x0_hat in kept]), y.detach().clone())


Prediction = Literal["v", "eps"]


@dataclass(frozen=True)
class DiffuserConfig:
    """Size and sampling of a prompt diffuser. Published: an MLP of 0.17M parameters.

    Attributes:
        prompt_length: K*.
        n_diffusion_steps: N; not published.
        schedule: ``"cosine"`` or ``"linear"`` (rescaled to N); not published.
        width: Hidden units.
        n_layers: Hidden layers.
        clip_x0: Largest magnitude of x̂0 inside the chain, normalised units; ours.
        prediction: What the MLP itself puts out. ``"eps"``: ε̂, as the paper writes it. ``"v"``
            (arXiv 2202.00512): v̂, from which ε̂ = √ᾱ_k v̂ + √(1 - ᾱ_k) x_k, and the loss is that
            of v. Ours, because at k = N, where √ᾱ is 0.0025, x̂0 divides every error of a plain ε̂
            by it and the chain begins at the clip (the same fault in images: arXiv 2305.08891);
            here x̂0 = √ᾱ_k x_k - √(1 - ᾱ_k) v̂ whatever k is.
        constant: Columns of ``[s; a; r]`` that are the same in all training data: they are not
            diffused and stay at 0, their mean.
    """

    prompt_length: int = 5
    n_diffusion_steps: int = 20
    schedule: str = "cosine"
    width: int = 224
    n_layers: int = 3
    clip_x0: float = 5.0
    prediction: Prediction = "v"
    constant: tuple[int, ...] = ()

    def __post_init__(self):
        if self.schedule not in ("cosine", "linear"):
            raise ValueError(f"`schedule` must be 'cosine' or 'linear': got {self.schedule!r}.")
        if self.prediction not in get_args(Prediction):
            raise ValueError(f"`prediction` must be 'v' or 'eps': got {self.prediction!r}.")
        for name in ("prompt_length", "n_diffusion_steps", "width", "n_layers", "clip_x0"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive: got {getattr(self, name)}.")


class PromptDiffuser(SavedNetwork):
    """ε_θ(x_k, y, k): an MLP over the flattened prompt, its condition and the diffusion step."""

    kind, sizes = "diffuser", DiffuserConfig
    step_features: Tensor
    varies: Tensor

    def __init__(self, config: DiffuserConfig, family: Family, *, n_condition: int = 2):
        super().__init__(config, family)
        self.d = len(family.observations) + len(family.actions) + 1
        n_in = config.prompt_length * (self.d + n_condition) + _STEP_FEATURES
        widths = [n_in, *[config.width] * config.n_layers]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out = nn.Linear(config.width, config.prompt_length * self.d)
        make = NoiseSchedule.cosine if config.schedule == "cosine" else NoiseSchedule.linear
        self.schedule = make(config.n_diffusion_steps)
        # k / N as sines and cosines, as transformers encode positions (arXiv 1706.03762, 3.5)
        share = torch.arange(config.n_diffusion_steps + 1)[:, None] / config.n_diffusion_steps
        angles = share * math.pi * 2.0 ** torch.arange(_STEP_FEATURES // 2) / 2
        features = torch.cat([angles.sin(), angles.cos()], 1)
        self.register_buffer("step_features", features, persistent=False)
        varies = torch.ones(self.d)
        varies[list(config.constant)] = 0
        self.register_buffer("varies", varies, persistent=False)

    def forward(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        """Predict the noise in ``x``, (B, K*, D), at diffusion steps ``k``, (B,) 1..N."""
        output = self.mlp(x, y, k)
        if self.config.prediction == "eps":
            return output
        signal, noise = self.schedule.scales(k, x)
        return signal * output + noise * x

    def mlp(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        """Return what the layers put out, (B, K*, D); ``config.prediction`` says what that is."""
        h = self.inputs(x, y, k)
        for layer in self.hidden:
            h = nn.functional.mish(layer(h))
        return self.out(h).view_as(x) * self.varies

    def inputs(self, x: Tensor, y: Tensor, k: Tensor) -> Tensor:
        """Return what the first layer reads, (B, ·): x, y and k, one behind the other."""
        return torch.cat([x.flatten(1), y.flatten(1), self.step_features[k].to(x.dtype)], 1)

    @property
    def prompt_length(self) -> int:
        """K*."""
        return self.config.prompt_length

    def prepare(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> None:
        """Do nothing: the loss needs no preparation."""

    def inner_optimizers(self) -> dict[str, AdamW]:
        """Return nothing: ``prepare`` changes nothing."""
        return {}

    def own_loss(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Return L_DM over the columns that vary: Eq. 6, each k weighted by 1 / ᾱ_k under ``"v"``.

        With v = √ᾱ_k ε - √(1 - ᾱ_k) x0 the weighted error is that of v: ‖ε - ε̂‖² = ᾱ_k ‖v - v̂‖².
        Without the weight the steps near noise, where the chain begins, would count for nothing.
        """
        k = torch.randint(1, self.config.n_diffusion_steps + 1, (len(x0),), generator=rng)
        eps = torch.randn(x0.shape, generator=rng) * self.varies
        x0 = x0 * self.varies
        target = eps
        if self.config.prediction == "v":
            signal, noise = self.schedule.scales(k, x0)
            target = signal * eps - noise * x0
        error = self.mlp(self.schedule.noised(x0, k, eps), y, k) - target
        return error.square().mean() / self.varies.mean()

    def trace(self, y: Tensor, rng: torch.Generator, temperature: float) -> DenoisingTrace:
        """Denoise fresh noise under ``y`` and keep the whole chain."""
        x = self.noise(len(y), rng)
        return DenoisingTrace.of(x, y, self.chain(x, y, rng, temperature))

    def noise(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw x_N ~ N(0, I), (n, K*, D); 0 in columns that do not vary."""
        shape = n, self.config.prompt_length, self.d
        return torch.randn(*shape, generator=rng) * self.varies

    def chain(
        self,
        x: Tensor,
        y: Tensor,
        rng: torch.Generator,
        temperature: float,
        eps_model: EpsModel | None = None,
    ) -> Iterator[DenoisingStep]:
        """Denoise ``x`` (B, K*, D) under ``y`` with this model's schedule; see ``denoise``."""
        return denoise(
            eps_model or self,
            self.schedule,
            x,
            y,
            rng,
            temperature=temperature,
            clip=self.config.clip_x0,
            varies=self.varies,
        )

    def sample(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Draw one x0 per condition, (B, K*, D), differentiable through all N steps."""
        x = self.noise(len(y), rng)
        if torch.is_grad_enabled():
            return sample_with_gradient(self, x, y, rng, temperature)
        *_, last = self.chain(x, y, rng, temperature)
        return last.x

    @classmethod
    def upgraded(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Read the configuration of a file: before ``prediction`` there was ε̂ alone."""
        plain = {"prediction": "eps", **super().upgraded(config)}
        return {**plain, "constant": tuple(plain.get("constant", ()))}


_STEP_FEATURES = 16
