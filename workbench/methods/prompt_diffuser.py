"""Prompt Diffuser (arXiv 2411.01168): Algorithm 1, and the tuning of a generator by it.

``guided_update`` is one pass of Algorithm 1's loop. Pretraining runs it over the training tasks
(``pretraining.generators``), an adaptation on the few-shot data of one test task.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from workbench.data.trajectory import Segment, Trajectories, Trajectory
from workbench.methods.descent import Descent
from workbench.methods.method import (
    GradientReport,
    Snapshot,
    TunedOn,
    Update,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.projection import Combined, Mode, Projection
from workbench.networks.diffusion import DenoisingTrace, DiffuserConfig, PromptDiffuser
from workbench.networks.informed_diffusion import InformedDiffuser, all_transitions
from workbench.networks.prompt_dt import PromptDT, PromptedPolicy, action_loss


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


Guidance = Literal["both", "diffusion", "downstream"]
GUIDANCES: tuple[Guidance, ...] = get_args(Guidance)


@dataclass(frozen=True, eq=False)
class GuidedUpdate:
    """What one pass of Algorithm 1 found.

    Attributes:
        gradient: ∇L, one tensor per parameter.
        loss_dm: L_DM (Eq. 6) or its counterpart; None where it does not guide.
        loss_dt: L_DT (Eq. 7); None where it does not guide.
        combined: How the two gradients were combined; None where one alone guides.
    """

    gradient: tuple[Tensor, ...]
    loss_dm: float | None
    loss_dt: float | None
    combined: Combined | None

    @property
    def losses(self) -> dict[str, float]:
        """The losses that guide, by name."""
        named = {"loss_dm": self.loss_dm, "loss_dt": self.loss_dt}
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
    model: PromptDT,
    x0: Tensor,
    y: Tensor,
    context: Segment | None,
    rng: torch.Generator,
    combiner: Projection,
    *,
    temperature: float,
    guidance: Guidance = "both",
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
    """
    parameters, loss_dm, loss_dt = generator.trainable(), None, None
    gradient: tuple[Tensor, ...] = ()
    combined: Combined | None = None
    if guidance != "downstream":
        generator.prepare(x0, y.detach(), rng)
        loss_dm = generator.own_loss(x0, y, rng)  # Eq. 6
        keep = guidance == "both"  # both losses read the same task code
        gradient = g_dm = torch.autograd.grad(loss_dm, parameters, retain_graph=keep)
    if guidance != "diffusion":
        assert context is not None
        made = generator.sample(y, rng, temperature)  # through the whole reverse chain
        loss_dt = action_loss(model, model.normalizer.unpack(made, y), context)  # Eq. 7
        # a VAE's encoder has no part in its prompts: zeros
        gradient = g_dt = torch.autograd.grad(loss_dt, parameters, materialize_grads=True)
    if guidance == "both":
        combined = combiner.combine(g_dm, g_dt)  # Eq. 8 and 9
        gradient = combined.gradient
    return GuidedUpdate(gradient, _number(loss_dm), _number(loss_dt), combined)


def _number(loss: Tensor | None) -> float | None:
    return None if loss is None else loss.item()


DiffusedData = Literal["initial", "few-shot", "generated"]


@dataclass(frozen=True)
class GeneratorTuning:
    """Tune a generator on its own loss + λ L_DT with projected gradients.

    Published: λ = 1, and that L_DM is of the initial prompts (``dm_data="initial"``). The rest is
    ours; the defaults are those that the shipped tables were measured with.

    Attributes:
        lam: λ, weight of the downstream gradient in Eq. 9.
        projection: Reading of Eq. 8 and 9; ``"none"`` is the plain sum.
        guidance: Which losses guide: both, or one alone (the paper's guidance ablation).
        dm_data: What L_DM is computed on: the ``"initial"`` prompts, D* of Eq. 6; prompts cut
            from the ``"few-shot"`` data that L_DT is computed on; or those ``"generated"`` by the
            pretrained generator, so that tuning stays near them whatever the data are.
        lr: Learning rate of AdamW at first; see ``Descent``.
        lr_half: Updates after which the learning rate has halved; 0 keeps it as it is.
        average: Of the weights, what acts; see ``Descent``. 0 acts with the last ones.
        batch_size: Prompts and contexts per update.
        clip: Largest norm of the combined gradient.
        temperature: Factor on the variance of the sampling noise of prompts that act, in [0, 1].
        training_temperature: The same while L_DT is computed; -1 is that of the prompts that act.
        n_candidates: Prompts generated for each that is acted with: the one with the least L_DT
            on few-shot contexts. 1, no choice, in the paper.
        energy, memory, refresh: Of the ``subspace`` projections, see ``Projection``.
    """

    lam: float = 1.0
    projection: Mode = "subspace"
    guidance: Guidance = "both"
    dm_data: DiffusedData = "few-shot"
    lr: float = 3e-4
    lr_half: int = 0
    average: float = 0.0
    batch_size: int = 32
    clip: float = 1.0
    temperature: float = 0.5
    training_temperature: float = -1.0
    n_candidates: int = 1
    energy: float = 0.9
    memory: int = 5
    refresh: int = 10

    kind: ClassVar[type[Any]]
    """The generator; each method has a field for a pretrained one and ``config``, its size."""
    needs: ClassVar[Mapping[str, str]]
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = True
    published: ClassVar[tuple[str, ...]] = ("lam",)

    def __post_init__(self):
        self.combiner()
        for name, known in (("guidance", GUIDANCES), ("dm_data", get_args(DiffusedData))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(known)}: got {getattr(self, name)!r}."
                )
        check_ranges(
            self,
            temperature=0 <= self.temperature <= 1,
            training_temperature=0 <= self.training_temperature <= 1
            or self.training_temperature == -1,
            lr=self.lr >= 0,
            lr_half=self.lr_half >= 0,
            average=0 <= self.average < 1,
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
            return self.kind(self.config, model.family)  # type: ignore[attr-defined]

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
    """Tunes a generator so that its prompts look like the initial ones and serve the task.

    Args:
        method: The settings.
        model: Frozen.
        demos: The few-shot data: contexts of L_DT, and what an informed diffuser reads.
        rng: Source of all randomness.
        prompts: The initial prompts are cut from these; their returns-to-go and timesteps are the
            condition of the prompts that act.
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
        self.diffused = self.initial if method.dm_data == "initial" else self.data
        self.generator = method.starting_generator(model, rng)
        if method.dm_data == "generated":
            self.pretrained = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.length = self.generator.prompt_length
        cut = evaluation_prompts(prompts, self.length, self.draw)
        self.condition = model.normalizer.pack(cut)[1]
        if self.generator.n_transitions:
            self.transitions = all_transitions(self.data, model.normalizer, self.draw)
        self.sampling_seed = int(torch.randint(2**62, (1,), generator=rng))
        parameters = self.generator.trainable()
        names = {id(p): name for name, p in self.generator.named_parameters()}
        self.names = tuple(names[id(p)] for p in parameters)
        self.n_trainable = sum(p.numel() for p in parameters)
        self.descent = Descent(
            parameters,
            method.lr,
            lr_half=method.lr_half,
            average=method.average,
            clip=method.clip,
        )
        self.combiner = method.combiner()
        self.temperature = method.training_temperature
        if self.temperature < 0:
            self.temperature = method.temperature

    def update(self) -> Update:
        """Take one step of Algorithm 1 on the few-shot data.

        Returns:
            ``loss_dm``, ``loss_dt``; with both, how their gradients met.
        """
        n = self.method.batch_size
        prompt = self.diffused.sample(self.draw, n, self.length, whole=True)
        x0, y = self.model.normalizer.pack(prompt)
        context = self.data.sample(self.draw, n, self.model.config.context_length, whole=False)
        if self.method.dm_data == "generated":
            x0 = self._pretrained_prompts(y)
        with torch.enable_grad():
            y = self.with_task(y)
        found = guided_update(
            self.generator,
            self.model,
            x0,
            y,
            context,
            self.rng,
            self.combiner,
            temperature=self.temperature,
            guidance=self.method.guidance,
        )
        self.descent.step(found.gradient)
        if found.combined is None:
            return Update(found.losses)
        return Update(found.losses, GradientReport.of(found.combined, self.names))

    @torch.no_grad()
    def _pretrained_prompts(self, y: Tensor) -> Tensor:
        """Sample the generator as it was before any update, under y (B, K*, 2)."""
        if self.generator.n_transitions:
            y = self.pretrained.with_task(y, self.transitions)
        return self.pretrained.sample(y, self.rng, 1.0)

    def with_task(self, y: Tensor) -> Tensor:
        """Return y, with the code of all few-shot transitions where the generator reads one."""
        if not self.generator.n_transitions:
            return y
        return cast(InformedDiffuser, self.generator).with_task(y, self.transitions)

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
        with self.descent.averaged():
            y = self.with_task(self.condition.repeat_interleave(self.method.n_candidates, 0))
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
