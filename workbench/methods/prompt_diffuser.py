"""Prompt Diffuser, Algorithm 1 of arXiv 2411.01168: tune a generator on L_DM and L_DT."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.trajectory import Trajectories, Trajectory
from workbench.methods.method import (
    GradientReport,
    Snapshot,
    Update,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.projection import Mode, Projection
from workbench.networks.checkpoint import SavedNetwork
from workbench.networks.diffusion import DenoisingTrace, DiffuserConfig, PromptDiffuser
from workbench.networks.informed_diffusion import all_transitions
from workbench.networks.prompt_dt import PromptDT, PromptedPolicy, action_loss


class Generator(Protocol):
    """A conditional model of prompts: x0 (B, K*, D) given y (B, K*, 2), both normalised."""

    prompt_length: int
    n_evidence: int
    """Few-shot transitions that are read besides y: 0 but for an informed diffuser."""

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


Guidance = Literal["both", "diffusion", "downstream"]


@dataclass(frozen=True)
class GeneratorTuning:
    """Tune a generator on its own loss + λ L_DT with projected gradients.

    Published: λ = 1. Not published, so ours: learning rate, batch, clipping, the projection's
    reading and its settings.

    Attributes:
        lam: λ, weight of the downstream gradient in Eq. 8.
        projection: Reading of Eq. 8 and 9; ``"none"`` is the plain sum.
        guidance: Which losses guide: both, or one alone (the paper's guidance ablation).
        lr: Learning rate of AdamW.
        batch_size: Prompts (own loss) and prompt-context pairs (L_DT) per update.
        clip: Largest norm of the combined gradient.
        temperature: Factor on the variance of the sampling noise, in [0, 1].
        n_candidates: Prompts generated for each that is acted with: the one with the least L_DT
            on few-shot contexts. 1, no choice, in the paper.
        energy, memory, refresh: Of the ``subspace`` projection, see ``Projection``.
    """

    lam: float = 1.0
    projection: Mode = "subspace"
    guidance: Guidance = "both"
    lr: float = 3e-4
    batch_size: int = 32
    clip: float = 1.0
    temperature: float = 0.5
    n_candidates: int = 1
    energy: float = 0.9
    memory: int = 5
    refresh: int = 10

    kind: ClassVar[type[SavedNetwork]]
    """The generator; each method has a field for a pretrained one and ``config``, its size."""
    data: ClassVar[str] = "few-shot"
    guided: ClassVar[bool] = True
    published: ClassVar[tuple[str, ...]] = ("lam",)

    def __post_init__(self):
        self.combiner()
        if self.guidance not in get_args(Guidance):
            known = ", ".join(get_args(Guidance))
            raise ValueError(f"`guidance` must be one of {known}: got {self.guidance!r}.")
        check_ranges(
            self,
            temperature=0 <= self.temperature <= 1,
            lr=self.lr >= 0,
            batch_size=self.batch_size >= 1,
            clip=self.clip > 0,
            n_candidates=self.n_candidates >= 1,
        )

    def combiner(self) -> Projection:
        """Return the rule that combines the two gradients, with nothing remembered yet."""
        return Projection(
            self.projection, self.lam, energy=self.energy, memory=self.memory, refresh=self.refresh
        )

    def starting_generator(self, model: PromptDT, rng: torch.Generator) -> Generator:
        """Return a trainable copy of the pretrained generator, or a new one drawn from ``rng``."""
        (field,) = self.needs
        if (generator := getattr(self, field)) is not None:
            return copy.deepcopy(generator).train().requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            return self.kind(self.config, model.family)

    def start(
        self,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        *,
        prompts: Sequence[Trajectory] | None = None,
    ) -> GeneratorLearner:
        """Begin with a copy of the generator; ``model`` and the pretrained one stay as they are."""
        return GeneratorLearner(self, model, demos, rng, prompts or demos)


class GeneratorLearner:
    """Tunes a generator so that its prompts look like the data and serve the task.

    Args:
        method: The settings.
        model: Frozen.
        demos: What both losses are computed on.
        rng: Source of all randomness.
        prompts: Trajectories whose returns-to-go and timesteps are the condition of the prompts
            that are acted with, and of those in the downstream loss.
    """

    def __init__(
        self,
        method: GeneratorTuning,
        model: PromptDT,
        demos: Sequence[Trajectory],
        rng: torch.Generator,
        prompts: Sequence[Trajectory],
    ):
        self.method, self.model, self.rng = method, model, rng
        self.draw, self.data = numpy_rng(rng), Trajectories(demos)
        self.initial = self.data if prompts is demos else Trajectories(prompts)
        self.generator = method.starting_generator(model, rng)
        self.length = self.generator.prompt_length
        cut = evaluation_prompts(prompts, self.length, self.draw)
        self.condition = model.normalizer.pack(cut)[1]
        if self.generator.n_evidence:
            self.evidence = all_transitions(self.data, model.normalizer, self.draw)
        self.sampling_seed = int(torch.randint(2**62, (1,), generator=rng))
        self.parameters = self.generator.trainable()
        names = {id(p): name for name, p in self.generator.named_parameters()}
        self.names = tuple(names[id(p)] for p in self.parameters)
        self.n_trainable = sum(p.numel() for p in self.parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=method.lr)
        self.combiner = method.combiner()

    @torch.enable_grad()
    def update(self) -> Update:
        """Take one step along the combined gradient (Eq. 8).

        Returns:
            ``loss_dm``, ``loss_dt``; with both, how their gradients met.
        """
        n, pack = self.method.batch_size, self.model.normalizer.pack
        losses, report = {}, None
        if self.method.guidance != "downstream":
            x0, y = pack(self.data.sample(self.draw, n, self.length, whole=True))
            y = self.told(y)
            self.generator.prepare(x0, y, self.rng)
            loss_dm = self.generator.own_loss(x0, y, self.rng)
            g_dm = gradient = torch.autograd.grad(loss_dm, self.parameters)
            losses["loss_dm"] = loss_dm.item()
        if self.method.guidance != "diffusion":
            loss_dt = self.downstream_loss()
            # a VAE's encoder has no part in its prompts: zeros
            g_dt = gradient = torch.autograd.grad(loss_dt, self.parameters, materialize_grads=True)
            losses["loss_dt"] = loss_dt.item()
        if self.method.guidance == "both":
            combined = self.combiner.combine(g_dm, g_dt)
            gradient, report = combined.gradient, GradientReport.of(combined, self.names)
        for parameter, direction in zip(self.parameters, gradient, strict=True):
            parameter.grad = direction
        torch.nn.utils.clip_grad_norm_(self.parameters, self.method.clip)
        self.optimizer.step()
        return Update(losses, report)

    def downstream_loss(self) -> Tensor:
        """Return L_DT of generated prompts (Eq. 7)."""
        n = self.method.batch_size
        cut = self.initial.sample(self.draw, n, self.length, whole=True)
        y = self.told(self.model.normalizer.pack(cut)[1])
        context = self.data.sample(self.draw, n, self.model.config.context_length, whole=False)
        x0 = self.generator.sample(y, self.rng, self.method.temperature)
        return action_loss(self.model, self.model.normalizer.unpack(x0, y), context)

    def told(self, y: Tensor) -> Tensor:
        """Return y, with what an informed diffuser is told of the few-shot data: all of it."""
        return self.generator.told(y, self.evidence) if self.generator.n_evidence else y

    def chosen(self, y: Tensor, x0: Tensor) -> Tensor:
        """Return the indices of the candidates that are kept, one for each row of the condition.

        Args:
            y: Conditions, (n_prompts · n_candidates, K*, ·), candidates of a prompt together.
            x0: Candidates, (n_prompts · n_candidates, K*, D).

        Returns:
            Of each prompt the candidate with the least L_DT (Eq. 7) on the same few-shot contexts.
        """
        n, b = self.method.n_candidates, self.method.batch_size
        if n == 1:
            return torch.arange(len(x0))
        draw = np.random.default_rng(self.sampling_seed)
        context = self.data.sample(draw, b, self.model.config.context_length, whole=False)
        prompts = self.model.normalizer.unpack(x0, y)
        losses = torch.stack(
            [action_loss(self.model, prompts[torch.full((b,), i)], context) for i in range(len(x0))]
        )
        best = losses.view(-1, n).argmin(1)
        return torch.arange(len(best)) * n + best

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Generate from the same noise under the same conditions at every snapshot."""
        rng = torch.Generator().manual_seed(self.sampling_seed)
        temperature = self.method.temperature
        y = self.told(self.condition.repeat_interleave(self.method.n_candidates, 0))
        trace = self.generator.trace(y, rng, temperature)
        x0 = trace.x[-1] if trace else self.generator.sample(y, rng, temperature)
        kept = self.chosen(y, x0)
        prompt = self.model.normalizer.unpack(x0[kept], y[kept])
        if trace is not None:
            trace = DenoisingTrace(trace.x[:, kept], trace.x0_hat[:, kept], trace.y[kept])
        return Snapshot(PromptedPolicy(self.model, prompt.detach()), trace)


@dataclass(frozen=True)
class PromptDiffusion(GeneratorTuning):
    """Tune a diffuser on L_DM + λ L_DT with projected gradients.

    Attributes:
        diffuser: Pretrained diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    diffuser: PromptDiffuser | None = None
    config: DiffuserConfig = DiffuserConfig()

    kind: ClassVar[type] = PromptDiffuser
    label: ClassVar[str] = "Prompt Diffuser"
    needs: ClassVar[Mapping[str, str]] = {"diffuser": "diffuser"}
