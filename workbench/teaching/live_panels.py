"""Panels for the notebooks that run something while one looks: a tuning, an episode.

A ``Job`` owns the stream; a second thread draws what it has yielded so far.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import ipywidgets as w

from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectory
from workbench.methods.projection import MODES
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.runs.compare import Comparison, compare
from workbench.runs.jobs import Job
from workbench.runs.store import RunStore
from workbench.shipped.networks import load_model
from workbench.tasks import Task, find
from workbench.teaching.notebook import Charts, own_runs
from workbench.teaching.panels import (
    LOOK,
    WIDE,
    TaskPicker,
    comparison_payload,
    curves,
    dropdown,
    episodes_payload,
    recorded_run,
)
from workbench.tuning.loop import EVALUATION_SEED
from workbench.tuning.presets import LAMBDAS, first_look
from workbench.tuning.prompt_kinds import PROMPTS, draw
from workbench.tuning.spec import RunSpec
from workbench.viewing.player.component import widget
from workbench.viewing.scene.appearance import goal_words

_POLL = 0.5  # seconds between two looks at a job


class Tuning(w.VBox):
    """Tune a prompt here and now: λ, the projection, Tune and Stop; curves grow while it runs.

    Before the first press it shows the recorded run of the chosen robot and data.

    Args:
        family: Task family.
        task: A test task.
        quality: Of the demonstrations.
        updates: To begin with.
        episodes: Per evaluation.
        store: Where runs are kept; by default ``own_runs``.
    """

    def __init__(
        self,
        family: str = "cheetah-vel",
        task: int | None = None,
        quality: str = "medium",
        *,
        updates: int = 50,
        episodes: int = 5,
        store: RunStore | None = None,
    ):
        self.store = store or own_runs()
        self.episodes, self.job = episodes, None
        self.picker = TaskPicker(family, task, quality)
        self.lam = w.SelectionSlider(
            options=LAMBDAS,
            value=1.0,
            description="λ",
            tooltip="Weight of the downstream loss. 0: only look like the data. The paper uses 1.",
            style=WIDE,
            layout=LOOK,
        )
        self.projection = dropdown(
            "Projection",
            {"none: the plain sum" if m == "none" else m: m for m in MODES},
            "subspace",
            "What is removed from g_DT where the two gradients fight (Eq. 8 and 9).",
        )
        self.updates = w.IntSlider(
            updates,
            10,
            300,
            10,
            description="Updates",
            tooltip="Optimisation steps; stop whenever you like.",
            style=WIDE,
            layout=LOOK,
        )
        self.tune = w.Button(
            description="Tune", button_style="primary", icon="play", tooltip="Start tuning."
        )
        self.stop = w.Button(
            description="Stop",
            icon="stop",
            disabled=True,
            tooltip="Stop now and keep what is drawn.",
        )
        self.status, self.progress = w.HTML(), w.IntProgress(0, 0, updates, layout=LOOK)
        self.comparison = _recorded_or_empty(self.spec)
        self.charts = Charts(*curves(self.comparison))
        self._player = widget(self._payload()) if self._drawable() else w.HBox()
        self.tune.on_click(lambda _: self.begin())
        self.stop.on_click(lambda _: self.job.stop())
        self.picker.on_change(self._choose)
        self._say_what_is_shown()
        right = w.VBox([self.lam, self.projection, self.updates])
        self.picker.layout = right.layout = w.Layout(flex="1 1 320px")
        super().__init__(
            [
                w.HBox([self.picker, right], layout=w.Layout(flex_flow="row wrap")),
                w.HBox([self.tune, self.stop, self.progress]),
                self.status,
                self.charts,
                self._player,
            ]
        )

    @property
    def spec(self) -> RunSpec:
        """The run that the controls ask for."""
        task = self.picker.task
        return dataclasses.replace(
            first_look(task.family, task.index, self.picker.quality),
            settings={"lam": self.lam.value, "projection": self.projection.value},
            updates=self.updates.value,
            eval_every=max(10, self.updates.value // 4),
            episodes=self.episodes,
        )

    def _choose(self) -> None:
        """Show the recorded run of another choice, as long as there is no run of one's own."""
        if self.job is not None:
            return
        found = _recorded_or_empty(self.spec)
        if not found.steps:
            self.status.value = (
                "No run of this ships. Press <b>Tune</b>; the figures below are of another run."
            )
            return
        self.comparison = found
        self.charts.show(*curves(found))
        self._player.payload = self._payload()
        self._say_what_is_shown()

    def begin(self) -> threading.Thread:
        """Start tuning; return the thread that draws it, which ends with the tuning."""
        spec = self.spec
        self.tune.disabled, self.stop.disabled = True, False
        self.progress.value, self.progress.max = 0, spec.updates
        self.job = Job(lambda: compare(spec, self.store))
        watch = threading.Thread(target=self._watch, args=(spec, self.job), daemon=True)
        watch.start()
        return watch

    def _watch(self, spec: RunSpec, job: Job) -> None:
        """Draw what the job has yielded, until it ends."""
        seen, over = -1, False
        while not over:
            over = not job.running
            items = job.items
            if len(items) != seen or over:
                seen = len(items)
                self._draw(Comparison.of(spec, items))
                self._say(job)
            if not over:
                job.wait(_POLL)
        self.tune.disabled, self.stop.disabled = False, True

    def _draw(self, comparison: Comparison) -> None:
        fresh = len(comparison.evaluated) != len(self.comparison.evaluated)
        self.comparison = comparison
        self.charts.show(*curves(comparison))
        self.progress.value = comparison.steps[-1].update if comparison.steps else 0
        if self._drawable() and (fresh or comparison.untuned is None):
            self._player.payload = self._payload()

    def _drawable(self) -> bool:
        return bool(self.comparison.evaluated) or self.comparison.preview is not None

    def _payload(self) -> dict:
        return comparison_payload(self.comparison)

    def _say(self, job: Job) -> None:
        done, spec = self.progress.value, self.comparison.spec
        if job.error is not None:
            self.status.value = f"<b>It ended early:</b> {job.error}"
        elif job.running:
            what = "Tuning" if self.comparison.steps else "Running the untuned prompt to compare"
            self.status.value = f"{what}: update {done} of {spec.updates}"
        elif job.stopped:
            self.status.value = f"<b>Stopped after {done} updates.</b> Press Tune for a new run."
        else:
            mean, half = self.comparison.difference(self.comparison.evaluated[-1])
            self.status.value = (
                f"<b>Done.</b> Tuned minus untuned, same episodes: {mean:+.1f} ± {half:.1f} (95 %)."
            )

    def _say_what_is_shown(self) -> None:
        spec = self.comparison.spec
        shown = self.comparison.steps
        self.status.value = (
            f"Recorded run: {goal_words(spec.resolved_task)}, {spec.quality} data, "
            f"{spec.updates} updates. Press <b>Tune</b> for a run of your own."
            if shown
            else "Press <b>Tune</b>."
        )


def _recorded_or_empty(spec: RunSpec) -> Comparison:
    try:
        return recorded_run(spec.family, spec.quality)
    except ValueError:
        return Comparison(spec, None, None, ())


class Prompted(w.VBox):
    """Give the frozen transformer two kinds of prompt and watch both robots in the same episode.

    Args:
        family: Task family.
        task: A test task.
    """

    def __init__(self, family: str = "cheetah-vel", task: int | None = None):
        self.picker, self.job = TaskPicker(family, task, "expert", "Prompt of A"), None
        self.kind = dropdown(
            "Prompt of B",
            {_KINDS.get(kind, kind): kind for kind in PROMPTS},
            "wrong-task",
            "Cut from whose run: what the second robot is shown instead.",
        )
        self.run = w.Button(
            description="Run both", button_style="primary", icon="play", tooltip="One episode each."
        )
        self.status = w.HTML("Press <b>Run both</b>: one episode each, in some seconds.")
        self.screen = w.VBox()
        self.run.on_click(lambda _: self.begin())
        super().__init__([self.picker, self.kind, self.run, self.status, self.screen])

    def begin(self) -> threading.Thread:
        """Run the two episodes; return the thread that shows them, which ends with them."""
        task, kinds = self.picker.task, (self.picker.quality, self.kind.value)
        self.run.disabled, self.status.value = True, "Running …"
        self.job = Job(lambda: _episodes(task, dict.fromkeys(kinds)))
        watch = threading.Thread(target=self._watch, args=(self.job,), daemon=True)
        watch.start()
        return watch

    def _watch(self, job: Job) -> None:
        job.wait()
        if job.error is not None:
            self.status.value = f"<b>It ended early:</b> {job.error}"
        else:
            packed = episodes_payload(
                {f"{_KINDS.get(k, k)} prompt": episode for k, episode in job.items}
            )
            if self.screen.children:
                self.screen.children[0].payload = packed
            else:
                self.screen.children = (widget(packed),)
            returns = [f"{episode.episode_return:.0f}" for _, episode in job.items]
            self.status.value = "Return: " + ", ".join(
                f"<b>{column}</b> {value}" for column, value in zip("AB", returns, strict=False)
            )
        self.run.disabled = False


_KINDS = {"wrong-task": "another task's expert", "none": "no"}
"""Kinds of prompt in words, where the name is not one."""


def _episodes(task: Task, kinds) -> Iterator[tuple[str, Trajectory]]:
    family, model = find(task.family), load_model(task.family)
    for kind in kinds:
        prompt = draw(family, task, kind, 1, model.config.prompt_length, seed=0)
        found = evaluate(PromptedPolicy(model, prompt), task, [EVALUATION_SEED])
        yield kind, found.trajectories[0]
