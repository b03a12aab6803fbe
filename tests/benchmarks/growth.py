"""How cost grows: each function yields one point after the other, the rest held at its default."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from tests.benchmarks.cases import VARIANTS, prompted, seeds, simulator_limit, steps_of
from workbench.data.rollout import evaluate
from workbench.methods import METHODS
from workbench.networks.diffusion import DiffuserConfig
from workbench.networks.prompt_dt import ModelConfig, PromptDT, PromptedPolicy
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import find


@dataclass(frozen=True)
class Point:
    """One measurement: what grew, to which size, which line it is on, and the cost."""

    axis: str
    line: str
    size: float
    value: float
    unit: str


def _rate(policy: PromptedPolicy, task, n: int) -> float:
    began = time.process_time()
    steps = steps_of(policy, task, n)
    return steps / (time.process_time() - began)


def evaluation() -> Iterator[Point]:
    """Evaluate more and more episodes in lock-step, in every mode, beside the bare simulator."""
    task = find("cheetah-vel").tasks("test")[0]
    limit = simulator_limit(task.family)
    steps_of(prompted(task), task, 2)
    for n in (1, 2, 4, 8, 16, 32, 64):
        for name, how in VARIANTS.items():
            yield Point("episodes", name, n, _rate(prompted(task, **how), task, n), "steps/s")
        yield Point("episodes", "bare mj_step", n, limit, "steps/s")


def tasks_and_workers() -> Iterator[Point]:
    """Evaluate 1 to 5 tasks of 20 episodes, by one process and by two."""
    tasks = find("cheetah-vel").tasks("test")
    for workers in (1, 2):
        evaluate(prompted(tasks[0]), tasks[0], seeds(2), workers=workers)
        began = time.perf_counter()
        for n, task in enumerate(tasks, 1):
            evaluate(prompted(task), task, seeds(20), workers=workers)
            seconds = time.perf_counter() - began
            yield Point("tasks", f"{workers} worker{'s'[: workers - 1]}", n, seconds, "s")


def context() -> Iterator[Point]:
    """Evaluate untrained models of longer and longer contexts."""
    family = find("cheetah-vel")
    task = family.tasks("test")[0]
    prompt = prompted(task).prompt
    for k in (5, 10, 20, 40):
        torch.manual_seed(0)
        model = PromptDT(ModelConfig(context_length=k), family).frozen()
        for name in ("exact fp32", "block fp32"):
            policy = PromptedPolicy(model, prompt, **VARIANTS[name])
            yield Point("context rows K", name, k, _rate(policy, task, 16), "steps/s")


def tuning() -> Iterator[Point]:
    """Tune with longer chains, and with larger batches."""
    task = find("cheetah-vel").tasks("test")[0]
    model, demos = load_model(task.family).computing("bf16"), assets.demos(task, "medium")

    def cost(n_diffusion_steps: int, batch_size: int) -> float:
        config = DiffuserConfig(n_diffusion_steps=n_diffusion_steps)
        method = dataclasses.replace(
            METHODS["prompt-diffuser"](), config=config, batch_size=batch_size
        )
        learner = method.start(model, demos, torch.Generator().manual_seed(0))
        learner.update()
        began = time.process_time()
        for _ in range(5):
            learner.update()
        return 1e3 * (time.process_time() - began) / 5

    for n in (5, 10, 20, 50, 100):
        yield Point("diffusion steps N", "tuning update", n, cost(n, 32), "ms")
    for batch in (8, 16, 32, 64, 128):
        yield Point("batch", "tuning update", batch, cost(20, batch), "ms")


def limits() -> Iterator[Point]:
    """Measure the bare simulator of each family."""
    for family in ("cheetah-vel", "ant-dir", "reach"):
        yield Point("simulator", find(family).label, 1, simulator_limit(family), "steps/s")


PARTS = (limits, evaluation, context, tuning, tasks_and_workers)
