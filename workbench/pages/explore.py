"""The first page: tune a prompt for one task and watch noise become a trajectory that runs."""

from __future__ import annotations

import threading

import streamlit as st
import torch

from workbench import assets, figures, player, render, replay
from workbench.compare import Comparison, compare
from workbench.job import Job
from workbench.pages.controls import choose_run
from workbench.presets import RECORDED
from workbench.store import RunStore
from workbench.tasks import find
from workbench.tune import RunSpec, TuneStep, load_diffuser, load_model
from workbench.views import goal_words

SHIPPED = RunStore(assets.ROOT / "runs")
OWN = RunStore("runs")
MAX_JOBS = 2
# The robots belong above the fold: Streamlit leaves 6 rem above the first line and 5 beside it.
_STYLE = "<style>.stMainBlockContainer{padding:2.2rem 2rem 3rem}</style>"
_RENDERERS = {"egl": "EGL", "osmesa": "OSMesa", "ray": "the ray-caster, without OpenGL"}


class _Slot:
    """What one browser session is doing: its job and the run it shows."""

    def __init__(self):
        self.job: Job | None = None
        self.spec: RunSpec | None = None

    def release(self) -> None:
        """Stop the job when the tab has closed."""
        if self.job is not None:
            self.job.stop()


@st.cache_resource(scope="session", on_release=_Slot.release, show_spinner=False)
def _slot() -> _Slot:
    return _Slot()


@st.cache_resource(show_spinner=False)
def _jobs() -> tuple[threading.Lock, list[Job]]:
    return threading.Lock(), []


@st.cache_resource(show_spinner=False)
def _warm_up(family: str) -> threading.Thread:
    """Load behind the first paint what the first press of Tune would wait for, once a process."""

    def load() -> None:
        load_diffuser(family)
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # the first one imports for 2 s

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    return thread


def page() -> None:
    """Draw the page."""
    slot, spec = _slot(), choose_run()
    _start_and_stop(slot, spec)
    st.html(_STYLE)
    st.header("Watch a prompt come out of noise")
    st.markdown(
        f"{find(spec.family).hint} **Five recorded runs** and a short *prompt* are all it gets. "
        "Prompt Diffuser turns noise into that prompt, and tunes it while the transformer stays "
        "as it is."
    )
    running = slot.job is not None and slot.job.running
    st.fragment(_live, run_every=0.5 if running else None)(spec)
    _warm_up(spec.family)


def _start_and_stop(slot: _Slot, spec: RunSpec) -> None:
    """Draw the two buttons under the controls."""
    running = slot.job is not None and slot.job.running
    left, right = st.sidebar.columns(2)
    if left.button(
        "Tune",
        type="primary",
        icon=":material/play_arrow:",
        disabled=running,
        width="stretch",
        key="tune",
        help="Start tuning with these settings.",
    ):
        _begin(slot, spec)
        st.rerun()
    if right.button(
        "Stop",
        icon=":material/stop:",
        disabled=not running,
        width="stretch",
        key="stop",
        help="Stop now and keep what was done.",
    ):
        slot.job.stop()
        st.rerun()


def _begin(slot: _Slot, spec: RunSpec) -> None:
    lock, jobs = _jobs()
    with lock:
        jobs[:] = [job for job in jobs if job.running]
        if len(jobs) >= MAX_JOBS:
            st.session_state.notice = (
                f"{len(jobs)} tunings are running on this machine already. "
                "Wait for one to end, or stop it, then press Tune again."
            )
            return
        slot.job, slot.spec = Job(lambda: compare(spec, OWN)), spec
        jobs.append(slot.job)


def _shown(slot: _Slot, wanted: RunSpec) -> tuple[Comparison, str]:
    """Return what to draw and where it comes from: ``job``, ``own`` or ``recorded``."""
    if slot.job is not None and (slot.spec.id == wanted.id or slot.job.running):
        return Comparison.of(slot.spec, slot.job.items), "job"
    for store, origin in ((OWN, "own"), (SHIPPED, "recorded")):
        found = _stored(store, wanted)
        if found is not None:
            return found, origin
    if slot.job is not None:
        return Comparison.of(slot.spec, slot.job.items), "job"
    return _recorded(wanted) or Comparison(wanted, None, None, ()), "recorded"


def _recorded(wanted: RunSpec) -> Comparison | None:
    """Return the shipped run that is most like what is asked for: same robot, same data."""
    shipped = sorted(RECORDED.get(wanted.family, ()), key=lambda s: s.quality != wanted.quality)
    return next(filter(None, (_stored(SHIPPED, spec) for spec in shipped)), None)


def _stored(store: RunStore, spec: RunSpec) -> Comparison | None:
    if spec.id not in store:
        return None
    return _read(str(store.root), spec.id, spec)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(root: str, run_id: str, _spec: RunSpec) -> Comparison | None:
    try:
        return Comparison.stored(_spec, RunStore(root))
    except ValueError:
        return None  # a damaged run is no run: pressing Tune records it again


def _live(wanted: RunSpec) -> None:
    """Draw the run, again and again while it grows."""
    slot = _slot()
    comparison, origin = _shown(slot, wanted)
    running = origin == "job" and slot.job.running
    if slot.job is not None and not slot.job.running and st.session_state.get("was_running"):
        st.session_state.was_running = False
        st.rerun()
    st.session_state.was_running = running
    if notice := st.session_state.pop("notice", None):
        st.warning(notice, icon=":material/hourglass_top:")
    if origin == "job" and slot.job.error is not None:
        st.error(f"The run ended early: {slot.job.error}", icon=":material/error:")
    if comparison.steps or comparison.preview is not None or running:
        _status(comparison, origin, wanted, slot)
    step = _choose(comparison, running)
    model = load_model(comparison.spec.family)
    if step is not None or comparison.preview is not None:
        player.player(_payload(comparison, step, model), key="player")
    elif running:
        st.info("Loading the transformer and the five recorded runs …", icon=":material/sync:")
    else:
        st.info(
            f"There is no recorded run of {find(wanted.family).label} to show. "
            "Press **Tune** to make one."
        )
        return
    if step is not None:
        _numbers(comparison, step)
    _charts(comparison)
    if step is not None:
        _video(comparison, step)
    with st.expander("Run this on the command line", icon=":material/terminal:"):
        st.code(comparison.spec.command, language="sh", wrap_lines=True)


def _status(comparison: Comparison, origin: str, wanted: RunSpec, slot: _Slot) -> None:
    spec = comparison.spec
    family = find(spec.family)
    settings = spec.canonical["settings"]
    words = (
        f"{family.label}: {goal_words(family.task(spec.task))} · {spec.quality} data · "
        f"λ = {settings['lam']:g} · "
        f"projection {'off' if settings['projection'] == 'none' else settings['projection']} · "
        f"seed {spec.seed}"
    )
    done = comparison.steps[-1].update if comparison.steps else 0
    if origin == "job" and slot.job.running:
        what = "Tuning" if comparison.steps else "Running the untuned prompt for comparison"
        st.progress(
            done / max(1, spec.updates), f"{what}: update {done} of {spec.updates} · {words}"
        )
        return
    kind = {
        "recorded": "Recorded run, shipped with the workbench",
        "own": "Your run, read back",
        "job": f"Stopped after {done} of {spec.updates} updates"
        if slot.job is not None and slot.job.stopped
        else "Your run",
    }[origin]
    hint = "" if spec.id == wanted.id else " Press **Tune** to run the settings on the left."
    st.caption(f"**{kind}** · {words}.{hint}")


def _choose(comparison: Comparison, running: bool) -> TuneStep | None:
    """Let the reader choose an evaluated step; the newest while running."""
    evaluated = comparison.evaluated
    if len(evaluated) < 2 or running:
        return evaluated[-1] if evaluated else None
    by_update = {step.update: step for step in evaluated}
    chosen = st.select_slider(
        "Look at the prompt after this many updates",
        list(by_update),
        value=evaluated[-1].update,
        key=f"update-{comparison.spec.id}-{len(evaluated)}",
        help="The same noise, denoised by the diffuser as it was then.",
    )
    return by_update[chosen]


def _numbers(comparison: Comparison, step: TuneStep) -> None:
    family = find(comparison.spec.family)
    before = comparison.untuned.evaluation.summary()
    after = step.evaluation.summary()
    mean, half = comparison.difference(step)
    columns = st.columns(3)
    columns[0].metric(
        "Untuned prompt: mean return",
        f"{before['return_mean']:.1f}",
        f"± {before['return_sd']:.1f} sd over {before['episodes']} episodes",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="Rows cut from the five recorded runs are the prompt. The higher the return the "
        f"better{'; 0 would be perfect' if family.target_return == 0 else ''}.",
    )
    columns[1].metric(
        f"Generated prompt after {step.update} updates",
        f"{after['return_mean']:.1f}",
        f"± {after['return_sd']:.1f} sd over {after['episodes']} episodes",
        delta_color="off",
        delta_arrow="off",
        border=True,
        help="The same transformer in the same episodes, with prompts out of the diffuser.",
    )
    verdict = "better" if mean - half > 0 else "worse" if mean + half < 0 else "unclear"
    columns[2].metric(
        "Difference in the same episodes",
        f"{mean:+.1f}",
        f"95 %: {mean - half:+.1f} to {mean + half:+.1f}, {verdict}",
        delta_color={"better": "normal", "worse": "inverse"}.get(verdict, "off"),
        delta_arrow="off",
        border=True,
        help="Tuned minus untuned with its 95 % interval, paired over episodes, for this one "
        "seed. Other seeds vary.",
    )


def _payload(comparison: Comparison, step: TuneStep | None, model) -> dict:
    """Pack the player's data once per shown step."""
    shown = step or comparison.preview
    key = (comparison.spec.id, shown.update, step is None, comparison.untuned is None)
    cache = st.session_state.setdefault("payloads", {})
    if key not in cache:
        while len(cache) >= 16:
            cache.pop(next(iter(cache)))
        cache[key] = replay.payload_of(comparison, step, model, autoplay=True)
    return cache[key]


def _charts(comparison: Comparison) -> None:
    updates = comparison.spec.updates
    left, middle, right = st.columns(3)
    charts = (
        (
            left,
            "returns",
            figures.returns(comparison.evaluated, comparison.untuned, updates),
            "Return per episode over updates, with the untuned prompt as a dashed line.",
            "Higher is better; bars and band are 95 % intervals over the episodes.",
        ),
        (
            middle,
            "losses",
            figures.losses(comparison.steps, updates),
            "Diffusion loss and downstream loss over updates.",
            "Both are measured at every update; the thick lines are running means.",
        ),
        (
            right,
            "gradients",
            figures.gradients(comparison.steps, updates),
            "Cosine between the two gradients at every update.",
            "Below 0 the downstream gradient would undo the diffusion gradient.",
        ),
    )
    for column, key, figure, alt, caption in charts:
        column.plotly_chart(figure, key=key, alt=alt, config={"displaylogo": False})
        column.caption(caption)


def _video(comparison: Comparison, step: TuneStep) -> None:
    """Offer the rollouts as mp4 files, rendered on demand."""
    with st.expander("Rollout video (mp4)", icon=":material/movie:"):
        st.caption(
            "The replay above is drawn by your browser. A video is rendered on the machine that "
            "runs this page; it takes some seconds and needs no graphics card."
        )
        episodes = {
            "untuned prompt": (comparison.untuned.evaluation.trajectories[0], "untuned"),
            f"generated prompt, {step.update} updates": (
                step.evaluation.trajectories[0],
                f"{comparison.spec.id}-{step.update}",
            ),
        }
        for column, (label, (episode, name)) in zip(st.columns(2), episodes.items(), strict=True):
            videos = st.session_state.setdefault("videos", {})
            while len(videos) > 4:
                videos.pop(next(iter(videos)))
            key = (comparison.spec.id, name)
            if column.button(f"Render: {label}", key=f"render-{name}", help="Make the mp4 now."):
                bar = column.progress(0.0, "Rendering …")
                videos[key] = render.video(episode.task, episode.states, progress=bar.progress)
                bar.empty()
            if key in videos:
                column.video(videos[key])
                column.caption(f"Rendered with {_RENDERERS.get(render.backend(), 'OpenGL')}.")
                column.download_button(
                    "Download mp4", videos[key], f"{name}.mp4", "video/mp4", key=f"save-{name}"
                )
