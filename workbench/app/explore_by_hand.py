"""A prompt written by hand: change numbers of one, and see at once what the robot makes of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import streamlit as st
import torch

from workbench.app.columns import Column
from workbench.data.rollout import Evaluation, evaluate
from workbench.data.trajectory import Segment, Trajectory
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.tasks import Family, find
from workbench.tuning.loop import EVALUATION_SEED, TuneStep
from workbench.viewing.figures.runs import COLUMNS
from workbench.viewing.player import from_runs
from workbench.viewing.player.component import player
from workbench.viewing.player.reading import moments_of, reading_of
from workbench.viewing.scene.outcome import outcome

_REACH = 3.0  # standard deviations to either side of the training mean that the slider goes


def write_by_hand(columns: list[Column], always: bool = False) -> None:
    """Draw the offer to write a prompt, and once it is taken the numbers and what they lead to.

    Args:
        columns: A and B, whose prompts one may begin with.
        always: Whether it is taken without being asked.
    """
    bases = {c.name: c for c in columns if _prompt(c) is not None and c.newest is not None}
    if not bases:
        return
    on = always or st.toggle(
        "Write a prompt by hand",
        key="by-hand",
        bind="query-params",
        help="Begin with the prompt of A or B, change its numbers, and the robot runs with it.",
    )
    if on:
        _write(bases)


def _prompt(column: Column) -> Segment | None:
    """Return the first of a column's newest prompts, or None if it acts without one."""
    snapshot = next((s.snapshot for s in reversed(column.steps) if s.snapshot), None)
    if snapshot is None or not snapshot.policy.prompt.length:
        return None
    return snapshot.policy.prompt[:1].detach()


def _write(bases: dict[str, Column]) -> None:
    left, middle, right = st.columns([1, 2, 3], vertical_alignment="bottom")
    name = left.segmented_control(
        "Begin with",
        list(bases),
        default=list(bases)[-1],
        required=True,
        key="by-hand-base",
        bind="query-params",
        help="Whose prompt the numbers are at first.",
    )
    base = bases[name]
    policy, family = base.newest.snapshot.policy, find(base.spec.family)
    numbers = _numbers(policy.prompt[:1])
    read = _read(base.spec.id, base.newest.update, base)
    names = _names(family)
    order = [i for i in np.argsort(-read) if i < numbers.shape[1]]
    chosen = middle.selectbox(
        "Number of the prompt",
        [names[i] for i in order],
        key=f"by-hand-{family.name}",
        help="Ordered by how much the transformer reads it at the start: the first one tells it "
        "most of the task.",
    )
    i = names.index(chosen)
    mean, scale = (float(getattr(policy.model.normalizer, n)[i]) for n in ("mean", "scale"))
    low, high = mean - _REACH * scale, mean + _REACH * scale
    if i >= len(family.observations):
        low, high = -1.0, 1.0
    start = float(np.clip(numbers[:, i].mean(), low, high))
    unit = [*family.observations, *family.actions][i].unit
    value = right.slider(
        f"{chosen}{f', {unit}' if unit else ''}: in all {len(numbers)} rows",
        round(low, 3),
        round(high, 3),
        round(start, 3),
        step=round((high - low) / 120, 4),
        key=f"by-hand-{base.spec.id}-{i}",
        help=f"At first the mean of its rows. The range is {_REACH:g} standard deviations of the "
        "training data to either side.",
    )
    written = numbers.copy()
    if abs(value - round(start, 3)) > 1e-9:
        written[:, i] = value
    written = _edited(written, names, f"{base.spec.id}-{i}-{value}")
    if np.allclose(written, numbers):
        st.caption("Move the slider, or change any cell of the table: the robot runs with it.")
    _show(base, _segment(policy.prompt[:1].detach(), written), written)


def _edited(numbers: np.ndarray, names: list[str], key: str) -> np.ndarray:
    """Draw every number of the prompt to be changed; return them as they are then."""
    with st.expander("Every number of the prompt", icon=":material/edit:"):
        table = pd.DataFrame(
            numbers.T, index=names, columns=[f"row {j + 1}" for j in range(len(numbers))]
        )
        edited = st.data_editor(table, key=f"by-hand-cells-{key}", height=320)
        st.caption("Raw units, a line per number and a column per row of the prompt.")
    return edited.to_numpy(np.float32).T


def _show(base: Column, prompt: Segment, written: np.ndarray) -> None:
    task, model = base.spec.resolved_task, base.newest.snapshot.policy.model
    evaluation = _episode(base.spec.id, base.newest.update, written.tobytes(), base, prompt)
    before = base.newest.evaluation.trajectories[0]
    after = evaluation.trajectories[0]
    st.markdown(
        f"With this prompt the robot **{outcome(after)}** and earns **{_minus(after)}**; with that "
        f"of {base.name} it {outcome(before)} and earns {_minus(before)}. Both begin alike."
    )
    snapshot = dataclasses.replace(
        base.newest.snapshot,
        policy=dataclasses.replace(base.newest.snapshot.policy, prompt=prompt),
        trace=None,
    )
    mine = TuneStep(0, {}, 0.0, snapshot, evaluation)
    other = dataclasses.replace(base.newest, update=0, trace=None)
    other = dataclasses.replace(other, snapshot=dataclasses.replace(other.snapshot, trace=None))
    key = f"{base.spec.id}-{hash(written.tobytes())}"
    shown = [
        from_runs.Shown(base.name, f"prompt of {base.name}", base.colour, [other], key=key),
        from_runs.Shown("✎", "your prompt", COLUMNS[2], [mine], key=key),
    ]
    player(from_runs.payload_of(shown, task, model, autoplay=True), key="by-hand-player")


def _minus(episode: Trajectory) -> str:
    return f"{episode.episode_return:.1f}".replace("-", "−")


def _names(family: Family) -> list[str]:
    return [variable.name for variable in (*family.observations, *family.actions)]


def _numbers(prompt: Segment) -> np.ndarray:
    """Return observations and actions of one prompt, (K*, O + A) raw."""
    return torch.cat([prompt.observations, prompt.actions], -1)[0].float().numpy().copy()


def _segment(prompt: Segment, numbers: np.ndarray) -> Segment:
    """Return a prompt with other observations and actions; the rest stays as it was."""
    n = prompt.observations.shape[-1]
    values = torch.tensor(numbers, dtype=torch.float32)[None]
    return dataclasses.replace(
        prompt, observations=values[..., :n], actions=values[..., n:].clamp(-1, 1)
    )


@st.cache_resource(max_entries=32, show_spinner="The robot runs with it …")
def _episode(
    run_id: str, update: int, numbers: bytes, _base: Column, _prompt: Segment
) -> Evaluation:
    policy: PromptedPolicy = dataclasses.replace(
        _base.newest.snapshot.policy, prompt=_prompt, precision="fp32"
    )
    return evaluate(policy, _base.spec.resolved_task, [EVALUATION_SEED])


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(run_id: str, update: int, _base: Column) -> np.ndarray:
    """Return how much each number of a prompt moves the first actions, (D,)."""
    step = _base.newest
    policy, episode = step.snapshot.policy, step.evaluation.trajectories[0]
    sizes = reading_of(policy.model, policy.prompt, episode, moments_of(episode)[:2])
    return np.square(sizes).sum((0, 1))
