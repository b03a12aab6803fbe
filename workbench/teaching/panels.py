"""Panels for the notebooks: the app's figures and player, beside controls that say what they do.

Nothing here computes: a panel asks the same functions as the app, and long work is a ``Job``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as w
import numpy as np
import plotly.graph_objects as go

from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Segment, Trajectory
from workbench.methods import Snapshot
from workbench.networks.diffusion import DenoisingTrace
from workbench.networks.prompt_dt import PromptDT, PromptedPolicy
from workbench.runs.compare import Comparison
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import FAMILIES, Task, find
from workbench.teaching.notebook import Charts
from workbench.tuning.loop import TuneStep
from workbench.tuning.presets import SHIPPED_SPECS, first_task
from workbench.viewing.figures.data import return_strips
from workbench.viewing.figures.runs import COLUMNS, TUNED, UNTUNED, gradients, losses, returns
from workbench.viewing.player import from_runs
from workbench.viewing.player.component import payload, widget
from workbench.viewing.player.contents import PlayerColumn
from workbench.viewing.scene import geometry
from workbench.viewing.scene.appearance import goal_words

WIDE = {"description_width": "120px"}
"""Style of controls whose descriptions are sentences, not words."""
LOOK = w.Layout(width="min(420px, 100%)")
"""Layout of a single control."""
ABOVE = w.Layout(margin="0 0 10px")
"""Layout of controls that stand above what they change."""


class TaskPicker(w.VBox):
    """Robot, task, and whose demonstrations.

    Args:
        family: Chosen at first.
        task: A test task of it.
        quality: Of the demonstrations.
        label: What a reader calls the demonstrations here.

    Attributes:
        task: The chosen test task.
        quality: The chosen quality.
    """

    def __init__(
        self,
        family: str = "cheetah-vel",
        task: int | None = None,
        quality: str = "medium",
        label: str = "Demonstrations",
    ):
        shown = {f.label: f.name for f in FAMILIES.values() if assets.has_models(f.name)}
        if family not in shown.values():
            raise ValueError(
                f"No models ship for {family!r}: choose from {', '.join(shown.values())}."
            )
        self._robot = dropdown(
            "Robot", shown, family, "One robot that is rewarded for different things."
        )
        self._task = dropdown("Task", {}, None, "What the robot should do. It is never told.")
        self._quality = dropdown(
            label,
            list(QUALITIES),
            quality,
            "Who recorded them: an expert, a half-trained policy, or one that never learned.",
        )
        self._listeners: list[Callable[[], None]] = []
        self._filling = False
        self._fill(task)
        self._robot.observe(lambda _: self._fill(None), "value")
        for control in (self._task, self._quality):
            control.observe(lambda _: self._notify(), "value")
        super().__init__([self._robot, self._task, self._quality])

    def _fill(self, task: int | None) -> None:
        family = find(self._robot.value)
        index = first_task(family.name) if task is None else task
        options = [(goal_words(t), t) for t in family.tasks("test")]
        wanted = next((t for _, t in options if t.index == index), None)
        if wanted is None:
            raise ValueError(
                f"`task` must be a test task of {family.name}, {list(family.test_indices)}: "
                f"got {index}."
            )
        self._filling = True  # listeners hear of it once, at the end
        self._task.options, self._task.value = options, wanted
        self._filling = False
        self._notify()

    def _notify(self) -> None:
        if not self._filling:
            for listener in self._listeners:
                listener()

    @property
    def task(self) -> Task:
        """The chosen test task."""
        return self._task.value

    @property
    def quality(self) -> str:
        """The chosen quality."""
        return self._quality.value

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever something else is chosen."""
        self._listeners.append(listener)


class Demonstrations(w.VBox):
    """Pick a task; see an expert's episode beside one of another quality, and all returns."""

    def __init__(self, family: str = "cheetah-vel", task: int | None = None):
        self.picker = TaskPicker(family, task, "medium", "Run of B")
        self._player = widget(self._payload())
        self._charts = Charts(self._strips())
        self.picker.on_change(self._show)
        self.picker.layout = ABOVE
        super().__init__([self.picker, self._player, self._charts])

    def _show(self) -> None:
        self._player.payload = self._payload()
        self._charts.show(self._strips())

    def _payload(self) -> dict:
        qualities = dict.fromkeys(("expert", self.picker.quality))
        firsts = {f"{q} run": assets.demos(self.picker.task, q)[0] for q in qualities}
        return episodes_payload(firsts)

    def _strips(self) -> go.Figure:
        return strips(self.picker.task)


def strips(task: Task) -> go.Figure:
    """Draw the returns of the shipped demonstrations of a task, a row per quality."""
    sets = {q: [t.episode_return for t in assets.demos(task, q)] for q in QUALITIES}
    return return_strips({q: np.array(returns) for q, returns in sets.items()})


class Explorer(w.VBox):
    """Controls above, a figure of their values below; redrawn as soon as one is moved.

    Args:
        draw: ``(name=value, ...) -> figure``, quick.
        **controls: ipywidgets that have a value, by the names that ``draw`` takes. They are laid
            out as those of the other panels.
    """

    def __init__(self, draw: Callable[..., go.Figure], **controls: w.Widget):
        self._draw, self.controls = draw, controls
        self.charts = Charts(self._figure())
        for control in controls.values():
            control.observe(lambda _: self.charts.show(self._figure()), "value")
            control.style.description_width = WIDE["description_width"]
            control.layout = LOOK
        super().__init__([*controls.values(), self.charts])

    def _figure(self) -> go.Figure:
        return self._draw(**{name: control.value for name, control in self.controls.items()})


class Scrubber(w.VBox):
    """One slider through the diffusion steps, from noise to the finished points; or press play.

    Args:
        draw: ``k -> figure``, of diffusion step k.
        n_diffusion_steps: N.
    """

    def __init__(self, draw: Callable[[int], go.Figure], n_diffusion_steps: int):
        n = n_diffusion_steps
        self.slider = w.SelectionSlider(
            options=[(f"k = {k}", k) for k in range(n, -1, -1)],
            description="Diffusion step",
            tooltip=f"k = {n}, on the left, is pure noise; k = 0 is finished.",
            style=WIDE,
            layout=LOOK,
        )
        self.play = w.Play(value=0, min=0, max=n, interval=400, tooltip="Play the chain.")
        w.jslink((self.play, "value"), (self.slider, "index"))
        self.charts = Charts(draw(n))
        self.slider.observe(lambda change: self.charts.show(draw(change["new"])), "value")
        super().__init__([w.HBox([self.slider, self.play]), self.charts])


class Replay(w.VBox):
    """A tuning that is done, beside the untuned prompt: its chain, both robots, and all curves."""

    def __init__(self, comparison: Comparison):
        super().__init__([widget(comparison_payload(comparison)), Charts(*curves(comparison))])


def episodes_payload(episodes: Mapping[str, Trajectory]) -> dict[str, Any]:
    """Pack episodes of one task for the player.

    Args:
        episodes: What a reader calls it → an episode with its states; at most four.
    """
    task = next(iter(episodes.values())).task
    columns = [
        PlayerColumn("ABCD"[i], label, COLUMNS[i], [from_runs.episode_of(episode)])
        for i, (label, episode) in enumerate(episodes.items())
    ]
    known = repr([(label, e.episode_return, len(e)) for label, e in episodes.items()])
    return payload(
        id=hashlib.sha256(f"{task} {known}".encode()).hexdigest()[:16],
        scene=geometry.scene(task),
        columns=columns,
        chart=from_runs.chart_of(task),
        actions=[variable.name for variable in find(task.family).actions],
    )


def comparison_payload(comparison: Comparison) -> dict[str, Any]:
    """Pack a tuning and its untuned prompt for the player; whichever is there."""
    spec = comparison.spec
    task, model = spec.resolved_task, load_model(spec.family)
    demos = assets.demos(task, spec.quality, spec.split)
    untuned = [comparison.untuned] if comparison.untuned is not None else []
    tuned = comparison.steps or ([comparison.preview] if comparison.preview is not None else [])
    shown = [
        from_runs.Shown("A", "untuned prompt", UNTUNED, untuned, demos, key=spec.untuned.id),
        from_runs.Shown("B", "generated prompt", TUNED, tuned, demos, key=spec.id),
    ]
    return from_runs.payload_of(shown, task, model)


def curves(comparison: Comparison) -> tuple[go.Figure, go.Figure, go.Figure]:
    """Return the app's three figures of a tuning: returns, losses, gradients."""
    updates = comparison.spec.updates
    return (
        returns(comparison.evaluated, comparison.untuned, updates),
        losses(comparison.steps, updates),
        gradients(comparison.steps, updates),
    )


def recorded_run(family: str = "cheetah-vel", quality: str = "medium") -> Comparison:
    """Return a tuning that ships, with its untuned run.

    Raises:
        ValueError: if none of this quality ships.
    """
    store = RunStore(assets.ROOT / "runs")
    for spec in SHIPPED_SPECS.get(family, ()):
        if spec.quality == quality and (found := Comparison.stored(spec, store)) is not None:
            return found
    raise ValueError(
        f"No recorded run of {family} on {quality} data ships: make it with "
        f"`python -m workbench record {family}`."
    )


def dropdown(label: str, options: Mapping | list, value: object, help_text: str) -> w.Dropdown:
    """Return a dropdown as all panels have it.

    Args:
        label: Before it.
        options: Words → values, or words that are values.
        value: Chosen at first.
        help_text: Shown when it is pointed at.
    """
    pairs = list(options.items()) if isinstance(options, Mapping) else options
    return w.Dropdown(
        options=pairs,
        value=value,
        description=label,
        tooltip=help_text,
        style=WIDE,
        layout=LOOK,
    )


def denoising(
    trace: DenoisingTrace, cut: Segment, model: PromptDT, task: Task, label: str = "one prompt"
) -> w.Widget:
    """Return the player of one denoising chain: the first of ``trace``.

    Args:
        trace: Of a diffuser of this family.
        cut: Where the condition was cut from; what acts with it is not shown.
        model: The frozen model, for names and units.
        task: What the prompt is for.
        label: What a reader calls it.
    """
    step = TuneStep(0, {}, 0.0, Snapshot(PromptedPolicy(model, cut), trace))
    shown = from_runs.Shown("A", label, TUNED, [step], assets.demos(task, "expert"))
    return widget(from_runs.payload_of([shown], task, model))
