"""What stands in a column of Explore: the steps of a run, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from workbench.app import jobs
from workbench.data.trajectory import Trajectory
from workbench.networks.prompt_dt import PromptDT
from workbench.runs.compare import preview, without_preview
from workbench.runs.jobs import Entry
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_diffuser
from workbench.tuning.loop import TuneStep
from workbench.tuning.spec import RunSpec, acting_model
from workbench.viewing.player import from_runs
from workbench.viewing.player.method_strip import method_strip

Origin = Literal["job", "own", "recorded", "preview", "nothing"]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of the page.

    Attributes:
        name: ``"A"``.
        label: What it does, short.
        colour: "#rrggbb".
        spec: The run it asks for.
        steps: What is known of that run.
        origin: Where ``steps`` come from: a job of this process, the reader's own store, the runs
            that ship, the prompts before any update alone, or nowhere.
        entry: Its job, if it has one.
        problem: Why there is nothing.
    """

    name: str
    label: str
    colour: str
    spec: RunSpec
    steps: tuple[TuneStep, ...]
    origin: Origin
    entry: Entry[TuneStep] | None = None
    problem: str = ""

    @property
    def active(self) -> bool:
        """Whether its job waits or runs."""
        return self.entry is not None and self.entry.active

    @property
    def newest(self) -> TuneStep | None:
        """The last evaluated step, or None."""
        return next((s for s in reversed(self.steps) if s.evaluation is not None), None)

    @property
    def gradients(self) -> bool:
        """Whether two gradients were combined in it."""
        return any(step.gradients is not None for step in self.steps)

    @property
    def content(self) -> tuple[Any, ...]:
        """A key for caches: it changes when the player would draw something else."""
        moments = sum(1 for step in self.steps if step.snapshot or step.trace)
        return (self.spec.id, self.name, self.label, moments, self.newest is None)


def column_of(name: str, label: str, colour: str, spec: RunSpec) -> Column:
    """Return a column with the best that is known of its run: its job, the stores, a preview."""
    entry = jobs.QUEUE.find(spec.id)
    fixed = {"name": name, "label": label, "colour": colour, "spec": spec, "entry": entry}
    if entry is not None and (items := entry.items):
        return Column(steps=without_preview(items), origin="job", **fixed)
    for store, origin in ((jobs.OWN, "own"), (jobs.SHIPPED, "recorded")):
        if spec.id in store and (steps := _stored(store, spec)):
            return Column(steps=steps, origin=origin, **fixed)
    try:
        return Column(steps=(_preview(spec.id, spec),), origin="preview", **fixed)
    except (ValueError, OSError) as error:
        return Column(steps=(), origin="nothing", problem=str(error), **fixed)


def untuned_of(columns: list[Column]) -> TuneStep | None:
    """Return the evaluated untuned prompt that all columns share and none of them is, or None."""
    specs = {column.spec.untuned.id: column.spec.untuned for column in columns}
    if len(specs) != 1 or any(column.spec.id in specs for column in columns):
        return None
    ((run_id, spec),) = specs.items()
    stores = [store for store in (jobs.OWN, jobs.SHIPPED) if run_id in store]
    return next((steps[0] for store in stores if (steps := _stored(store, spec))), None)


def payload_of(columns: list[Column], model: PromptDT) -> dict[str, Any] | None:
    """Return what the player draws, or None if there is nothing at all."""
    if not any(step.snapshot for column in columns for step in column.steps):
        return None
    key = tuple(column.content for column in columns)
    return _payload(key, columns, model)


@st.cache_resource(max_entries=24, show_spinner=False)
def _payload(key: tuple, _columns: list[Column], _model: PromptDT) -> dict[str, Any]:
    task = _columns[0].spec.resolved_task
    shown = [
        from_runs.Shown(c.name, c.label, c.colour, c.steps, _demos(c.spec), key=c.spec.id)
        for c in _columns
    ]
    diffuser = load_diffuser(task.family)
    strip = method_strip(diffuser.config.n_diffusion_steps, _model.config.prompt_length)
    return from_runs.payload_of(shown, task, _model, autoplay=True, standing=True, method=strip)


def _demos(spec: RunSpec) -> tuple[Trajectory, ...]:
    path = assets.demos_path(spec.resolved_task, spec.quality, spec.split)
    if not path.exists():
        return ()
    return _read_demos(str(path), path.stat().st_mtime_ns, spec)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read_demos(path: str, changed: int, _spec: RunSpec) -> tuple[Trajectory, ...]:
    return assets.demos(_spec.resolved_task, _spec.quality, _spec.split)


def _stored(store: RunStore, spec: RunSpec) -> tuple[TuneStep, ...] | None:
    path = Path(store.root) / spec.id / "result.json"
    try:
        return _read(str(store.root), spec.id, path.stat().st_mtime_ns, spec)
    except OSError:
        return None  # deleted this very moment


@st.cache_resource(max_entries=24, show_spinner=False)
def _read(root: str, run_id: str, changed: int, _spec: RunSpec) -> tuple[TuneStep, ...] | None:
    try:
        return tuple(RunStore(root).load(run_id, acting_model(_spec)))
    except ValueError:
        return None  # damaged, or numbers alone: pressing Tune records it again


@st.cache_resource(max_entries=24, show_spinner=False)
def _preview(run_id: str, _spec: RunSpec) -> TuneStep:
    return preview(_spec.resolved())
