"""One pass of Algorithm 1 of arXiv 2411.01168: both losses of one prompt, their combined gradient.

Pretraining runs it over the training tasks (``pretraining.generators``), an adaptation on the
few-shot data of one test task (``prompt_diffuser``). Beside L_DT, or in its place, the value of the
actions may guide there (``networks.critic``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from workbench.data.trajectory import Segment
from workbench.methods.projection import Combined, Projection
from workbench.networks.critic import Value
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.prompt_dt import action_loss


class Generator(Protocol):
    """A conditional model of prompts: x0 (B, K*, D) given y (B, K*, 2), both normalised.

    Besides, it is an ``nn.Module``.
    """

    @property
    def prompt_length(self) -> int:
        """K*."""

    @property
    def n_transitions(self) -> int:
        """Few-shot transitions that are read besides y: 0 but for an informed diffuser."""

    def eval(self) -> Any:
        """See ``nn.Module``."""

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """See ``nn.Module``."""

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Return what the combined gradient changes; a GAN's critic is not among it."""

    def prepare(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> None:
        """Do what an update needs before its loss: a GAN improves its critic here."""

    def own_loss(self, x0: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Return the loss that keeps prompts like the data: L_DM of Eq. 6, or its counterpart."""

    def sample(self, y: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
        """Draw one x0 per condition, (B, K*, D), differentiable."""

    def trace(self, y: Tensor, rng: torch.Generator, temperature: float) -> DenoisingTrace | None:
        """Return the chain that makes x0, or None for a generator of one step."""


Guidance = Literal["both", "diffusion", "downstream", "q-regularised", "diffusion-ql"]
GUIDANCES: tuple[Guidance, ...] = get_args(Guidance)
"""Which losses guide: L_DM and L_DT, or one alone; L_DM and L_DT + η L_Q as in Q-value regularised
transformers (arXiv 2405.17098); L_DM and η L_Q as in Diffusion-QL (arXiv 2208.06193)."""
BY_VALUE: tuple[Guidance, ...] = ("q-regularised", "diffusion-ql")
"""Those that need a critic."""


@dataclass(frozen=True, eq=False)
class GuidedUpdate:
    """What one pass of Algorithm 1 found.

    Attributes:
        gradient: ∇L, one tensor per parameter.
        loss_dm: L_DM (Eq. 6) or its counterpart; None where it does not guide.
        loss_dt: L_DT (Eq. 7); None where it does not guide.
        value: E[Q] of the actions, in the units of the discounted return; None where it does not
            guide. (L_Q divides it by its size: all but its gradient is lost.)
        combined: How the two gradients were combined; None where one alone guides.
    """

    gradient: tuple[Tensor, ...]
    loss_dm: float | None
    loss_dt: float | None
    value: float | None
    combined: Combined | None

    @property
    def losses(self) -> dict[str, float]:
        """The losses that guide, and the value, by name."""
        named = {"loss_dm": self.loss_dm, "loss_dt": self.loss_dt, "value": self.value}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def measured(self) -> dict[str, float]:
        """The losses, and how the gradients agree over all parameters."""
        if self.combined is None:
            return self.losses
        c = self.combined
        agreement = {"cosine": c.cosine, "conflict": float(c.conflict), "removed": c.removed}
        return {**self.losses, **agreement}


@torch.enable_grad()
def guided_update(
    generator: Generator,
    model: FrozenModel,
    x0: Tensor,
    y: Tensor,
    context: Segment | None,
    rng: torch.Generator,
    combiner: Projection,
    *,
    temperature: float,
    guidance: Guidance = "both",
    trust: Tensor | None = None,
    value: Value | None = None,
) -> GuidedUpdate:
    """Do one pass of Algorithm 1: both losses of one prompt τ*, and their combined gradient.

    Args:
        generator: What learns.
        model: The frozen Prompt-DT.
        x0: ``[s; a; r]`` of the prompts τ*, (B, K*, D) normalised.
        y: Their condition, (B, K*, ·), with the task code where the generator reads one.
        context: Contexts τ of the same tasks, (B, K, ·), whose actions are to be predicted.
        rng: Draws diffusion steps and noise.
        combiner: Eq. 8 and 9.
        temperature: Of the chain that L_DT samples; the paper lowers it after training.
        guidance: Which losses guide.
        trust: Weight of each context in L_DT, (B,); all count fully by default.
        value: What guides by value, where it does.
    """
    parameters = generator.trainable()
    loss_dm: Tensor | None = None
    loss_dt: Tensor | None = None
    mean_q: Tensor | None = None
    gradient: tuple[Tensor, ...] = ()
    combined: Combined | None = None
    if guidance != "downstream":
        generator.prepare(x0, y.detach(), rng)
        loss_dm = generator.own_loss(x0, y, rng)  # Eq. 6
        keep = guidance != "diffusion"  # all losses read the same task code
        gradient = g_dm = torch.autograd.grad(loss_dm, parameters, retain_graph=keep)
    if guidance != "diffusion":
        assert context is not None
        made = generator.sample(y, rng, temperature)  # through the whole reverse chain
        prompt = model.normalizer.unpack(made, y)
        actions = model(prompt, context)
        loss = torch.zeros(())
        if guidance != "diffusion-ql":
            loss = loss_dt = action_loss(lambda *_: actions, prompt, context, trust)  # Eq. 7
        if guidance in BY_VALUE:
            assert value is not None
            loss_q, mean_q = value.loss(context, actions)
            loss = loss + value.eta * loss_q
        # a VAE's encoder has no part in its prompts: zeros
        gradient = g_dt = torch.autograd.grad(loss, parameters, materialize_grads=True)
    if guidance not in ("diffusion", "downstream"):
        combined = combiner.combine(g_dm, g_dt)  # Eq. 8 and 9
        gradient = combined.gradient
    return GuidedUpdate(gradient, _number(loss_dm), _number(loss_dt), _number(mean_q), combined)


def _number(loss: Tensor | None) -> float | None:
    return None if loss is None else loss.item()
