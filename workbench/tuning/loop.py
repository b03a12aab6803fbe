"""Adaptation to one test task: the only loop."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from workbench.data.rollout import Evaluation, evaluate
from workbench.data.trajectory import Trajectory
from workbench.methods import GradientReport, Method, Snapshot, Update
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.frozen_model import FrozenModel
from workbench.tasks import Task
from workbench.tuning.spec import Resolved, RunSpec, check_gradient

TRACE_EVERY = 10
"""Updates between two denoising traces of a run that is evaluated on its way, to be watched."""


EVALUATION_SEED = 5_000
"""First evaluation seed; the same for every method, so that comparisons are paired."""


@dataclass(frozen=True, eq=False)
class TuneStep:
    """What is known after one update.

    Attributes:
        update: Updates done so far; 0 is the start, before any.
        metrics: Losses and other numbers of the update, by name; empty at update 0.
        seconds: Time of this update, without its evaluation.
        snapshot: The policy that was evaluated and its denoising trace, on evaluated steps.
        evaluation: Its episodes, on evaluated steps.
        n_trainable: Numbers that the updates change.
        trace: How the same noise becomes prompts now: of all prompts on evaluated steps, of the
            first one on every tenth update; None in between, and where nothing is denoised.
        gradients: How the update's two gradients met; None where it has none or one.
    """

    update: int
    metrics: Mapping[str, float]
    seconds: float
    snapshot: Snapshot | None = None
    evaluation: Evaluation | None = None
    n_trainable: int = 0
    trace: DenoisingTrace | None = None
    gradients: GradientReport | None = None


def tune(
    method: Method,
    model: FrozenModel,
    demos: Sequence[Trajectory],
    task: Task,
    *,
    updates: int,
    seed: int,
    eval_every: int,
    episodes: int,
    prompts: Sequence[Trajectory] | None = None,
) -> Iterator[TuneStep]:
    """Adapt a frozen model to ``task`` from ``demos`` and yield every update.

    Update 0, every ``eval_every``-th and the last are evaluated; the last alone if that is 0.

    Args:
        method: How to adapt.
        model: A frozen Prompt-DT; never changed.
        demos: Few-shot trajectories of the task.
        task: Where to evaluate.
        updates: Optimisation steps.
        seed: Seed of everything but the evaluation episodes.
        eval_every: Updates between two evaluations.
        episodes: Episodes per evaluation.
        prompts: Trajectories that the initial prompt is cut from; ``demos`` by default.
    """
    for name, value, low in (
        ("updates", updates, 0),
        ("eval_every", eval_every, 0),
        ("episodes", episodes, 1),
    ):
        if value < low:
            raise ValueError(f"`{name}` must be a whole number from {low} up: got {value}.")
    if model.training or any(p.requires_grad for p in model.parameters()):
        raise ValueError("`model` must be frozen: pass `model.frozen()`.")
    check_gradient(type(model), method, updates)
    learner = method.start(model, demos, torch.Generator().manual_seed(seed), prompts=prompts)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + episodes)
    for update in range(updates + 1):
        began = time.perf_counter()
        with _explained(method, update):
            done = learner.update() if update else Update()
            _must_be_finite(done.metrics)
        step = TuneStep(
            update,
            done.metrics,
            time.perf_counter() - began,
            n_trainable=learner.n_trainable,
            gradients=done.gradients,
        )
        if update == updates or (eval_every and update % eval_every == 0):
            with _explained(method, update):
                snapshot = learner.snapshot()
                evaluation = evaluate(snapshot.policy, task, seeds, filmed=1)
            step = replace(step, snapshot=snapshot, evaluation=evaluation, trace=snapshot.trace)
        elif eval_every and update % TRACE_EVERY == 0:
            step = replace(step, trace=_first(learner.snapshot().trace))
        yield step


@contextlib.contextmanager
def _explained(method: Method, update: int) -> Iterator[None]:
    """Say of a tuning whose numbers overflow that it diverged: nothing is wrong with its data.

    Raises:
        ValueError: with the update and the remedy.
    """
    try:
        yield
    except (ValueError, RuntimeError, ArithmeticError) as error:
        overflow = isinstance(error, ArithmeticError | torch.linalg.LinAlgError)
        told = re.search("finite|overflow|[Nn]a[Nn]|unstable", f"{error}")
        if not update or not (overflow or told):
            raise
        lr = getattr(method, "lr", None)
        raise ValueError(
            f"The tuning diverged at update {update}: its numbers overflow. "
            f"Lower `lr`{'' if lr is None else f', which is {lr:g},'} and tune again."
        ) from error


def _first(trace: DenoisingTrace | None) -> DenoisingTrace | None:
    """Keep the chain of the first prompt."""
    if trace is None:
        return None
    return DenoisingTrace(trace.x[:, :1], trace.x0_hat[:, :1], trace.y[:1])


def _must_be_finite(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if name.startswith(("loss", "value")) and not math.isfinite(value):
            raise ArithmeticError(f"`{name}` is {value}")


def run(spec: RunSpec) -> Iterator[TuneStep]:
    """Load what ``spec`` names and tune.

    Raises:
        ValueError: if a network or trajectories that it needs are not there.
    """
    yield from run_resolved(spec.resolved())


def run_resolved(found: Resolved) -> Iterator[TuneStep]:
    """Tune as the spec says, with what its names stand for."""
    spec = found.spec
    yield from tune(
        found.method,
        found.model,
        found.demos,
        found.task,
        updates=spec.updates,
        seed=spec.seed,
        eval_every=spec.eval_every,
        episodes=spec.episodes,
        prompts=found.prompts,
    )
