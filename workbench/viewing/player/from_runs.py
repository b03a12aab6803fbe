"""Tuning runs → what the player draws: their denoising chains and the episodes these led to."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.data.films import Film, shrunk
from workbench.data.trajectory import Trajectory
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.prompt_dt import PromptDT
from workbench.tasks import Family, Task, find, make
from workbench.tuning.loop import EVALUATION_SEED, TuneStep
from workbench.viewing.player.component import payload
from workbench.viewing.player.contents import (
    Chain,
    Chart,
    Demos,
    EpisodeReplay,
    PlayerColumn,
    Variables,
)
from workbench.viewing.player.reading import moments_of, reading_of
from workbench.viewing.player.realism import DemoStatistics, PrincipalPlane, reward_terms
from workbench.viewing.scene import geometry
from workbench.viewing.scene.appearance import curve_of, ending_of, view_of

MAX_MOMENTS = 12
"""Chains of one tuning that the player gets, at most: those of evaluated updates come first."""
MAX_EPISODES = 4
"""Episodes of one tuning that the player gets, at most."""
_MEASURED_FRAMES = 11  # diffusion steps at which one-step errors are simulated
_POINTS = 240  # windows of demonstrations on the map
_PADDING = "always 0"  # the unit of a variable that pads an observation
_NO_STATE = (
    "The simulator cannot check the prompts of this robot: its observations leave out part of the "
    "simulator's state, so that it cannot be put where a row says."
)
_OWN_ENVIRONMENT = (
    "The one-step error is off: an environment that came in by Gymnasium only runs forward and "
    "cannot be put where a row says."
)


@dataclass(frozen=True, eq=False)
class Shown:
    """One column of the page: a run so far.

    Attributes:
        name: ``"A"``.
        label: What a reader calls it, such as ``"Prompt Diffuser, projection off"``.
        colour: ``"#rrggbb"``, the same in the replay and in every curve.
        steps: The steps so far, in order; one with a snapshot alone may stand for a start.
        demos: The few-shot trajectories, to hold the prompt against; () leaves that out.
        update: Where the tuning slider begins; None for the newest.
        key: Names the run: the playhead starts anew when it changes.
    """

    name: str
    label: str
    colour: str
    steps: Sequence[TuneStep]
    demos: Sequence[Trajectory] = ()
    update: int | None = None
    key: str = ""


def payload_of(
    shown: Sequence[Shown],
    task: Task,
    model: PromptDT,
    *,
    ghosts: bool = False,
    autoplay: bool = False,
    standing: bool = False,
    method: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Pack runs beside each other: their chains, and the first episode of each evaluation.

    Args:
        shown: One to four columns, A first. One without anything to show yet is left out.
        task: What all of them act in.
        model: The frozen model, for its normalised units.
        ghosts: Begin with all robots in one scene.
        autoplay: Play once when it first appears.
        standing: Let the robot stand where a run has no episode yet.
        method: The picture of the method over the panels; None leaves it out.

    Raises:
        ValueError: if no column has anything to show.
    """
    made = [column_of(column, model, task if standing else None) for column in shown]
    columns = [column for column in made if column.episodes or column.chain is not None]
    length = next((c.chain.x.shape[2] for c in columns if c.chain is not None), 0)
    known = (str(task), *((c.key, c.name, c.label, c.update, len(c.demos)) for c in shown))
    updates = [column.update for column in shown if column.update is not None]
    return payload(
        id=hashlib.sha256(repr(known).encode()).hexdigest()[:16],
        scene=geometry.scene(task),
        columns=columns,
        variables=variables_of(model, shown, length),
        chart=chart_of(task),
        actions=[variable.name for variable in find(task.family).actions],
        update=max(updates, default=None),
        ghosts=ghosts,
        autoplay=autoplay,
        method=method,
    )


def column_of(shown: Shown, model: PromptDT, stands_in: Task | None = None) -> PlayerColumn:
    """Return a run as the player shows it.

    Args:
        shown: The run.
        model: The frozen model.
        stands_in: Task in which the robot stands before the first evaluation; None shows none.
    """
    evaluated = _evenly([s for s in shown.steps if s.evaluation is not None], MAX_EPISODES)
    episodes = [_acted(step, model) for step in evaluated]
    if stands_in is not None and shown.steps and not episodes:
        episodes = [standing_robot(stands_in)]
    return PlayerColumn(shown.name, shown.label, shown.colour, episodes, chain_of(shown, model))


def chain_of(shown: Shown, model: PromptDT) -> Chain | None:
    """Return how the first prompt came out of noise at each moment of a tuning.

    A prompt that nothing denoised is shown as it is, at the evaluated moments; a run that acts
    without a prompt has no chain.
    """
    keep = _spread(shown.steps)
    if keep:
        prompts = [(update, *_first(trace)) for update, trace in keep]
        measured = [_measures(trace, _recorded(shown, model, trace)) for _, trace in keep]
    else:
        plain = {s.update: _plain(s, model) for s in shown.steps if s.snapshot is not None}
        plain = [(update, x) for update, x in plain.items() if x.size]
        if not plain:
            return None
        prompts = [(update, x[None], x[None][:0]) for update, x in plain]
        recorded = _recorded_of(tuple(shown.demos), model, plain[0][1].shape[0])
        measured = [_measured(x, guess, recorded) for _, x, guess in prompts]
    updates, x, x0_hat = zip(*prompts, strict=True)
    x, x0_hat = (np.stack(values)[..., _varying(model.family)] for values in (x, x0_hat))
    names = ("distance", "guess_distance", "error", "guess_error")
    each = {
        name: None if values[0] is None else np.stack(values)
        for name, values in zip(names, zip(*measured, strict=True), strict=True)
    }
    frames = _frames(x0_hat.shape[1]) if each["error"] is not None else ()
    return Chain(updates, x, x0_hat, frames=frames, **each)


def variables_of(model: PromptDT, shown: Sequence[Shown], length: int) -> Variables:
    """Return names and units of a prompt's columns, and what the demonstrations look like there.

    Args:
        model: The frozen model.
        shown: The columns, with their demonstrations.
        length: K*; 0 leaves the demonstrations out.
    """
    family, statistics, varying = model.family, model.normalizer, _varying(model.family)
    named = [(v.name, v.unit, "observation") for v in family.observations]
    named += [(v.name, v.unit, "action") for v in family.actions]
    named += [("reward of the step", "per step", "reward")]
    names, units, groups = zip(*(named[i] for i in varying), strict=True)
    sets: dict[DemoStatistics, list[Shown]] = {}
    for column in shown if length else ():
        if column.demos:
            own = _recorded_of(tuple(column.demos), model, length)
            same = (known for known in sets if np.array_equal(known.rows, own.rows))
            sets.setdefault(next(same, own), []).append(column)
    windows = [recorded.windows[..., varying] for recorded in sets]
    plane = PrincipalPlane.of(np.concatenate(windows)) if sets else None
    demos = [
        Demos(
            columns=[column.name for column in columns],
            colour=columns[0].colour,
            band=recorded.band[..., varying],
            points=None if plane is None else plane.project(pieces[:: -(-len(pieces) // _POINTS)]),
            spacing=recorded.spacing,
            recorded_error=recorded.recorded_error,
        )
        for (recorded, columns), pieces in zip(sets.items(), windows, strict=True)
    ]
    return Variables(
        names=names,
        units=units,
        groups=groups,
        mean=statistics.mean.numpy()[varying],
        scale=statistics.scale.numpy()[varying],
        left_out=len(named) - len(varying),
        demos=demos,
        why_no_error=_why_no_error(family),
        **({} if plane is None else vars(plane)),
    )


@functools.lru_cache(maxsize=32)
def episode_of(trajectory: Trajectory, update: int = 0) -> EpisodeReplay:
    """Return an episode as the player replays it.

    Args:
        trajectory: With its states, but where it is filmed.
        update: Updates of the tuning after which it was recorded.
    """
    task, states = trajectory.task, trajectory.states
    if states is None:  # what is filmed has no state: nothing of it is drawn but its pictures
        states = np.zeros((len(trajectory), 0))
    return EpisodeReplay(
        poses=geometry.poses(task, states),
        rewards=trajectory.rewards,
        measured=curve_of(task, states, trajectory.rewards),
        path=find(task.family).position_of(states) if view_of(task.family).trail else None,
        ending=ending_of(task, states),
        update=update,
        terms=reward_terms(trajectory),
        actions=np.asarray(trajectory.actions),
        film=trajectory.film,
    )


@functools.lru_cache(maxsize=32)
def _acted(step: TuneStep, model: PromptDT) -> EpisodeReplay:
    """Return the first episode of an evaluation, with what the transformer read of its prompt."""
    trajectory, policy = step.evaluation.trajectories[0], step.snapshot.policy
    shown = episode_of(trajectory, step.update)
    if not policy.prompt.length:
        return shown
    moments = moments_of(trajectory)
    read = reading_of(policy.model, policy.prompt, trajectory, moments)
    return dataclasses.replace(
        shown, reading=read[..., _varying(model.family)], reading_steps=moments
    )


@functools.lru_cache(maxsize=16)
def standing_robot(task: Task) -> EpisodeReplay:
    """Return a robot that stands where the evaluation's first episode begins, for a whole one."""
    family, env = find(task.family), make(task)
    env.reset(seed=EVALUATION_SEED)
    states, nothing = np.tile(env.state(), (family.horizon, 1)), np.zeros(family.horizon)
    picture = env.picture()
    return EpisodeReplay(
        poses=np.tile(geometry.poses(task, states[:1]), (family.horizon, 1, 1)),
        rewards=nothing,
        measured=nothing,
        path=family.position_of(states) if view_of(task.family).trail else None,
        ending="not run yet",
        stands=True,
        film=None if picture is None else Film.of([shrunk(picture)], family.horizon),
    )


def chart_of(task: Task) -> Chart:
    """Return what the player plots beside the return, and against what."""
    curve = view_of(task.family).curve
    return Chart(
        title=curve.title,
        name=curve.name,
        unit=curve.unit,
        target=curve.target(task.goal),
        target_label=curve.target_words(task.goal),
        seconds=curve.seconds,
        digits=curve.digits,
    )


def _why_no_error(family: Family) -> str:
    if family.state_of is not None:
        return ""
    return _NO_STATE if family.formula else _OWN_ENVIRONMENT


def _varying(family: Family) -> list[int]:
    """Return which columns of a prompt ever vary: all but the padding of an observation."""
    n = len(family.observations)
    named = [*family.observations, *family.actions]
    return [i for i, v in enumerate(named) if i >= n or v.unit != _PADDING] + [len(named)]


def _trace(step: TuneStep) -> DenoisingTrace | None:
    if step.trace is not None:
        return step.trace
    return step.snapshot.trace if step.snapshot is not None else None


def _first(trace: DenoisingTrace) -> tuple[np.ndarray, np.ndarray]:
    """Return the chain of the first prompt, (N+1, K*, D) and (N, K*, D)."""
    return trace.x[:, 0].double().numpy(), trace.x0_hat[:, 0].double().numpy()


def _plain(step: TuneStep, model: PromptDT) -> np.ndarray:
    """Return the first prompt of a policy, (K*, D) normalised."""
    prompt = step.snapshot.policy.prompt[:1]
    return model.normalizer.pack(prompt.detach())[0][0].double().numpy()


def _evenly(items: Sequence, n: int) -> list:
    """Keep at most ``n`` of some items, the first and the last among them."""
    if len(items) <= n:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, n)]


def _spread(steps: Sequence[TuneStep]) -> list[tuple[int, DenoisingTrace]]:
    """Keep at most ``MAX_MOMENTS`` traces: those of shown episodes, and others evenly between."""
    traces = {s.update: trace for s in steps if (trace := _trace(s)) is not None}
    episodes = _evenly([s.update for s in steps if s.evaluation is not None], MAX_EPISODES)
    first = [update for update in episodes if update in traces]
    others = _evenly([u for u in traces if u not in first], MAX_MOMENTS - len(first))
    return [(update, traces[update]) for update in sorted([*first, *others])]


def _frames(n: int) -> list[int]:
    """Return the frames of a chain of ``n`` steps at which one-step errors are simulated."""
    return sorted({round(i) for i in np.linspace(0, n, min(n + 1, _MEASURED_FRAMES))})


def _recorded(shown: Shown, model: PromptDT, trace: DenoisingTrace) -> DemoStatistics | None:
    return _recorded_of(tuple(shown.demos), model, trace.x.shape[2])


@functools.lru_cache(maxsize=16)
def _recorded_of(
    demos: tuple[Trajectory, ...], model: PromptDT, length: int
) -> DemoStatistics | None:
    return DemoStatistics.of(demos, model.normalizer, length) if demos else None


@functools.lru_cache(maxsize=64)
def _measures(trace: DenoisingTrace, recorded: DemoStatistics | None):
    return _measured(*_first(trace), recorded)


def _measured(x: np.ndarray, x0_hat: np.ndarray, recorded: DemoStatistics | None):
    """Return distances and one-step errors of a chain (N+1, K*, D) and its guesses (N, K*, D)."""
    if recorded is None:
        return None, None, None, None
    frames = _frames(len(x0_hat))
    inner = [i for i in frames if i < len(x0_hat)]
    errors = recorded.one_step_errors(np.concatenate([x[frames], x0_hat[inner]]))
    if errors is None:
        return recorded.distances(x), recorded.distances(x0_hat), None, None
    return (
        recorded.distances(x),
        recorded.distances(x0_hat),
        errors[: len(frames)],
        errors[len(frames) :],
    )
