"""Values → what the browser's player draws: a denoising chain and the episodes it led to."""

from __future__ import annotations

from typing import Any

from workbench import figures, player, render
from workbench.compare import Comparison
from workbench.model import PromptDT
from workbench.tasks import Task, find
from workbench.trajectory import Trajectory
from workbench.tune import TuneStep
from workbench.views import curve_of, ending_of, view_of


def chain_of(step: TuneStep, model: PromptDT) -> player.Chain | None:
    """Return the denoising chain of the first prompt of an evaluated step, or None."""
    trace = step.snapshot.trace if step.snapshot else None
    if trace is None:
        return None
    family, statistics = model.family, model.normalizer
    groups = (("observation", family.observations), ("action", family.actions))
    named = [(v.name, v.unit, group) for group, variables in groups for v in variables]
    names, units, labels = zip(*named, ("reward of the step", "per step", "reward"), strict=True)
    return player.Chain(
        x=trace.x[:, 0].numpy(),
        x0_hat=trace.x0_hat[:, 0].numpy(),
        mean=statistics.mean.numpy(),
        scale=statistics.scale.numpy(),
        names=names,
        units=units,
        groups=labels,
        label="The prompt before any update"
        if step.update == 0
        else f"The prompt after {step.update} updates",
    )


def run_of(label: str, colour: str, trajectory: Trajectory) -> player.Run:
    """Return an episode as the player replays it."""
    task, states = trajectory.task, trajectory.states
    return player.Run(
        label=label,
        colour=colour,
        poses=render.poses(task, states),
        rewards=trajectory.rewards,
        measured=curve_of(task, states, trajectory.rewards),
        path=find(task.family).position_of(states) if view_of(task.family).trail else None,
        ending=ending_of(task, states),
    )


def chart_of(task: Task) -> player.Chart:
    """Return what the player plots beside the return, and against what."""
    curve = view_of(task.family).curve
    return player.Chart(
        title=curve.title,
        name=curve.name,
        unit=curve.unit,
        target=curve.target(task.goal),
        target_label=curve.target_words(task.goal),
        seconds=curve.seconds,
        digits=curve.digits,
    )


def payload_of(
    comparison: Comparison, step: TuneStep | None, model: PromptDT, *, autoplay: bool = False
) -> dict[str, Any]:
    """Pack the chain of ``step`` and the first episode with and without tuning.

    Args:
        comparison: What is known so far.
        step: The evaluated step to show; the preview when None.
        model: The frozen model, for names and units.
        autoplay: Play once when it first appears.
    """
    shown = step or comparison.preview
    task = find(comparison.spec.family).task(comparison.spec.task)
    runs = []
    if comparison.untuned is not None:
        episode = comparison.untuned.evaluation.trajectories[0]
        runs.append(run_of("untuned prompt", figures.UNTUNED, episode))
    if step is not None:
        episode = step.evaluation.trajectories[0]
        runs.append(run_of("generated prompt", figures.TUNED, episode))
    return player.payload(
        id=f"{comparison.spec.id}-{shown.update}-{len(runs)}",
        scene=render.scene(task),
        runs=runs,
        chain=chain_of(shown, model),
        chart=chart_of(task),
        autoplay=autoplay,
    )
