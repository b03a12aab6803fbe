"""Prompt Diffuser (arXiv 2411.01168): Algorithm 1, and the tuning of a generator by it.

An adaptation runs Algorithm 1's pass, ``guided_update``, on the few-shot data of one test task.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from workbench.data.trajectory import Positions, Trajectories, Trajectory
from workbench.methods.descent import Descent
from workbench.methods.guided_update import (
    BY_VALUE,
    GUIDANCES,
    Generator,
    Guidance,
    guided_update,
)
from workbench.methods.method import (
    GradientReport,
    Snapshot,
    TunedOn,
    Update,
    check_positions,
    check_ranges,
    evaluation_prompts,
    numpy_rng,
)
from workbench.methods.projection import Mode, Projection
from workbench.networks.critic import Critic, Value
from workbench.networks.diffusion import DenoisingTrace, DiffuserConfig, PromptDiffuser
from workbench.networks.frozen_model import FrozenModel
from workbench.networks.informed_diffusion import InformedDiffuser, all_transitions
from workbench.networks.prompt_dt import PromptedPolicy, action_loss

DiffusedData = Literal["initial", "few-shot", "generated"]


@dataclass(frozen=True)
class GeneratorTuning:
    """Tune a generator on its own loss + λ L_DT with projected gradients.

    Published: λ = 1, that L_DM is of the initial prompts, and Eq. 8 and 9. The rest is ours.

    Attributes:
        lam: λ, weight of the downstream gradient in Eq. 9.
        projection: Reading of Eq. 8 and 9; ``"none"`` is the plain sum.
        guidance: Which losses guide: both, or one alone (the paper's guidance ablation); or the
            value of the actions beside L_DT or in its place, see ``GUIDANCES``.
        eta: η, weight of L_Q where value guides; 0.001 to 5 in the code of Q-value regularised
            transformers, by the task.
        trust: How much worse than the prompts' own rewards the data may be and still be imitated,
            in standard deviations of the reward; 0 trusts all data, as published. See
            ``GeneratorLearner.trusted``.
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
        prompt_positions: Where in an episode prompts, and the conditions of those that act, are
            cut; see ``Positions``.
        n_candidates: Prompts generated for each that is acted with: the one with the least L_DT
            on few-shot contexts. 1, no choice, in the paper.
        energy, memory, refresh: Of the ``subspace`` projections, see ``Projection``.
        critic: What says the value of actions, where value guides.
    """

    lam: float = 1.0
    projection: Mode = "published"
    guidance: Guidance = "both"
    eta: float = 1.0
    trust: float = 0.0
    dm_data: DiffusedData = "initial"
    lr: float = 1e-3
    lr_half: int = 100
    average: float = 0.98
    batch_size: int = 32
    clip: float = 1.0
    temperature: float = 0.5
    training_temperature: float = 1.0
    prompt_positions: Positions = "published"
    n_candidates: int = 1
    energy: float = 0.9
    memory: int = 5
    refresh: int = 10
    critic: Critic | None = None

    kind: ClassVar[type[Any]]
    """The generator; each method has a field for a pretrained one and ``config``, its size."""
    needs: ClassVar[Mapping[str, str]]
    data: ClassVar[TunedOn] = "few-shot"
    guided: ClassVar[bool] = True
    published: ClassVar[tuple[str, ...]] = ("lam", "projection", "dm_data", "prompt_positions")

    def __post_init__(self):
        self.combiner()
        check_positions(self.prompt_positions)
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
            trust=self.trust >= 0,
            eta=0 <= self.eta < float("inf"),
            lr=self.lr >= 0,
            lr_half=self.lr_half >= 0,
            average=0 <= self.average < 1,
            batch_size=self.batch_size >= 1,
            clip=self.clip > 0,
            n_candidates=self.n_candidates >= 1,
        )

    @property
    def also_needs(self) -> Mapping[str, str]:
        """Pretrained networks that these settings need besides, as in ``needs``."""
        return {"critic": "critic"} if self.guidance in BY_VALUE else {}

    def combiner(self) -> Projection:
        """Return the rule that combines the two gradients, with nothing remembered yet."""
        return Projection(
            self.projection, self.lam, energy=self.energy, memory=self.memory, refresh=self.refresh
        )

    def starting_generator(self, model: FrozenModel, rng: torch.Generator) -> Generator:
        """Return a trainable copy of the pretrained generator, or a new one drawn from ``rng``."""
        (field,) = self.needs
        if (generator := getattr(self, field)) is not None:
            return copy.deepcopy(generator).train().requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            return self.kind(self.config, model.family)  # type: ignore[attr-defined]

    def start(
        self,
        model: FrozenModel,
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
        model: FrozenModel,
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
        cut = evaluation_prompts(prompts, self.length, self.draw, method.prompt_positions)
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
        self.trust = self.trusted() if method.trust else None
        self.value = self.valued() if method.guidance in BY_VALUE else None

    def update(self) -> Update:
        """Take one step of Algorithm 1 on the few-shot data.

        Returns:
            ``loss_dm``, ``loss_dt``, ``value``, those that guide; how their gradients met.
        """
        n = self.method.batch_size
        prompt = self.diffused.prompts(self.draw, n, self.length, self.method.prompt_positions)
        x0, y = self.model.normalizer.pack(prompt)
        index = self.draw.integers(len(self.data), size=n)
        length = self.model.config.context_length
        start = self.data.starts(self.draw, index, length, whole=False)
        context = self.data.segments(index, start, length)
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
            trust=None if self.trust is None else self.trust[index],
            value=self.value,
        )
        self.descent.step(found.gradient)
        if found.combined is None:
            return Update(found.losses)
        return Update(found.losses, GradientReport.of(found.combined, self.names))

    @torch.no_grad()
    def trusted(self) -> Tensor:
        """Return how far each few-shot trajectory is to be imitated, (n,) in (0, 1].

        Prompts are made of whole transitions, so the generator says what it expects of the task:
        mean reward r̄ of prompts anywhere in an episode. A trajectory of mean reward r̄_τ < r̄
        counts exp(-(r̄ - r̄_τ) / (trust σ)), σ the reward's standard deviation over the training
        tasks: the weights of advantage-weighted regression (arXiv 1910.00177), with r̄ as value.
        """
        draw = np.random.default_rng(self.sampling_seed)
        rng = torch.Generator().manual_seed(self.sampling_seed)
        normalizer = self.model.normalizer
        cut = self.data.sample(draw, _EXPECTED_FROM, self.length, whole=True)
        y = self.with_task(normalizer.pack(cut)[1])
        expected = self.generator.sample(y, rng, self.method.temperature)[..., -1].mean()
        earned = torch.tensor([float(t.rewards.mean()) for t in self.data.items])
        earned = (earned - normalizer.mean[-1]) / normalizer.scale[-1]
        return torch.exp(-(expected - earned).clamp(min=0) / self.method.trust)

    @torch.no_grad()
    def valued(self) -> Value:
        """Return what guides by value: the critic, told the task by all few-shot transitions.

        Raises:
            ValueError: if there is no critic.
        """
        if (critic := self.method.critic) is None:
            raise ValueError(
                f"`guidance` {self.method.guidance} needs a `critic`: pass a pretrained one."
            )
        # drawn apart, so that all else is drawn as without it
        draw = np.random.default_rng(self.sampling_seed)
        code = critic.code(all_transitions(self.data, critic.normalizer, draw))
        return Value(critic, code, self.method.eta)

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


_EXPECTED_FROM = 256  # prompts that the expected reward is the mean of


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
