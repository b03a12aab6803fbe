"""Prompt Diffuser (arXiv 2411.01168): generate the prompt by diffusion, guided by the task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from workbench.diffusion import DenoisingTrace, DiffuserConfig, PromptDiffuser, diffusion_loss
from workbench.methods.method import Snapshot, evaluation_prompts, numpy_rng
from workbench.model import PromptDT, PromptedPolicy
from workbench.pretrain import action_loss
from workbench.projection import Mode, Projection
from workbench.trajectory import Trajectories, Trajectory


@dataclass(frozen=True)
class PromptDiffusion:
    """Tune a diffuser on L_DM + λ L_DT with projected gradients.

    Published: λ = 1. Not published, so ours: learning rate, batch, clipping, the projection's
    reading and its settings.

    Attributes:
        lam: λ, weight of the downstream gradient in Eq. 8.
        projection: Reading of Eq. 8 and 9; ``"none"`` is the plain sum.
        lr: Learning rate of AdamW.
        batch_size: Prompts (L_DM) and prompt-context pairs (L_DT) per update.
        clip: Largest norm of the combined gradient.
        temperature: Factor on the variance of every sampling step, in [0, 1].
        energy, memory, refresh: Of the ``subspace`` projection, see ``Projection``.
        diffuser: Pretrained diffuser to start from; None starts from random weights.
        config: Size of the diffuser when there is no pretrained one.
    """

    lam: float = 1.0
    projection: Mode = "subspace"
    lr: float = 3e-4
    batch_size: int = 32
    clip: float = 1.0
    temperature: float = 0.5
    energy: float = 0.9
    memory: int = 5
    refresh: int = 10
    diffuser: PromptDiffuser | None = None
    config: DiffuserConfig = DiffuserConfig()

    label = "Prompt Diffuser"

    def __post_init__(self):
        self.combiner()
        if not 0 <= self.temperature <= 1:
            raise ValueError(f"`temperature` must lie in [0, 1]: got {self.temperature}.")
        for name, ok in (
            ("lr", self.lr >= 0),
            ("batch_size", self.batch_size >= 1),
            ("clip", self.clip > 0),
        ):
            if not ok:
                raise ValueError(f"`{name}` is out of its range: got {getattr(self, name)}.")

    def combiner(self) -> Projection:
        """Return the rule that combines the two gradients, with nothing remembered yet."""
        return Projection(
            self.projection, self.lam, energy=self.energy, memory=self.memory, refresh=self.refresh
        )

    def starting_diffuser(self, model: PromptDT, rng: torch.Generator) -> PromptDiffuser:
        """Return a trainable copy of the pretrained diffuser, or a new one drawn from ``rng``."""
        if self.diffuser is not None:
            return copy.deepcopy(self.diffuser).train().requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
            return PromptDiffuser(self.config, model.family)

    def start(
        self, model: PromptDT, demos: Sequence[Trajectory], rng: torch.Generator
    ) -> _Learning:
        """Begin with a copy of the diffuser; ``model`` and ``self.diffuser`` stay as they are."""
        return _Learning(self, model, demos, rng)


class _Learning:
    def __init__(self, method, model, demos, rng):
        self.method, self.model, self.rng = method, model, rng
        self.draw, self.data = numpy_rng(rng), Trajectories(demos)
        self.diffuser = method.starting_diffuser(model, rng)
        self.length = self.diffuser.config.prompt_length
        prompts = evaluation_prompts(demos, self.length, self.draw)
        self.condition = model.normalizer.pack(prompts)[1]
        self.sampling_seed = int(torch.randint(2**62, (1,), generator=rng))
        self.parameters = tuple(self.diffuser.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=method.lr)
        self.combiner = method.combiner()

    @torch.enable_grad()
    def update(self) -> Mapping[str, float]:
        n, pack = self.method.batch_size, self.model.normalizer.pack
        x0, y = pack(self.data.sample(self.draw, n, self.length, whole=True))
        loss_dm = diffusion_loss(self.diffuser, x0, y, self.rng)
        g_dm = torch.autograd.grad(loss_dm, self.parameters)

        y = pack(self.data.sample(self.draw, n, self.length, whole=True))[1]
        context = self.data.sample(self.draw, n, self.model.config.context_length, whole=False)
        prompt = self.model.normalizer.unpack(
            self.diffuser.sample(y, self.rng, self.method.temperature), y
        )
        loss_dt = action_loss(self.model, prompt, context)
        g_dt = torch.autograd.grad(loss_dt, self.parameters)

        combined = self.combiner.combine(g_dm, g_dt)
        for parameter, gradient in zip(self.parameters, combined.gradient, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, self.method.clip)
        self.optimizer.step()
        return {
            "loss_dm": loss_dm.item(),
            "loss_dt": loss_dt.item(),
            "cosine": combined.cosine,
            "conflict": float(combined.conflict),
            "removed": combined.removed,
        }

    @torch.no_grad()
    def snapshot(self) -> Snapshot:
        """Denoise the same noise under the same conditions at every snapshot."""
        rng = torch.Generator().manual_seed(self.sampling_seed)
        x = self.diffuser.noise(len(self.condition), rng)
        y, temperature = self.condition, self.method.temperature
        trace = DenoisingTrace.of(x, y, self.diffuser.chain(x, y, rng, temperature))
        prompt = self.model.normalizer.unpack(trace.x[-1], y)
        return Snapshot(PromptedPolicy(self.model, prompt.detach()), trace)
