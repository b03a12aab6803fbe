"""The reader's own sets: read a file, judge it, keep it, delete it, take that back."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from workbench.app import sharing
from workbench.app.data_sets import compare_sets, sets_of, show_returns
from workbench.app.links import lead_to, task_params
from workbench.app.page import plain
from workbench.data import own_sets
from workbench.exchange import received
from workbench.exchange.file_formats import PUBLISHED
from workbench.exchange.pickle_reader import MAX_FILE_BYTES
from workbench.exchange.prompt_dt_release import named_task
from workbench.exchange.report import Report, return_summary
from workbench.shipped import assets
from workbench.tasks import Task, find
from workbench.viewing.figures.colours import YOUR_FILE
from workbench.viewing.scene.appearance import goal_words

_FORMS = ("safetensors", "pkl", "zip", "hdf5", "h5", "npz", "parquet")


def bring(task: Task, explore) -> None:
    """Let the reader hand over a file, say what it is, and keep it.

    Args:
        task: The task chosen on the page.
        explore: The page to go on to, as Streamlit navigates.
    """
    left, right = st.columns([3, 2], gap="large")
    with left:
        upload = st.file_uploader(
            "A file of demonstrations",
            type=_FORMS,
            max_upload_size=MAX_FILE_BYTES >> 20,
            key="upload",
            help="Our .safetensors, a published Prompt-DT .pkl, a Minari data set as a .zip of its "
            "folder or its main_data.hdf5, D4RL's or robomimic's .hdf5, an .npz of flat arrays, "
            "LeRobot's .parquet. The file is read, never run.",
        )
    with right:
        named = st.toggle(
            f"Its task: {goal_words(task)}",
            key="named",
            help="Off: the task is the one that the file names, or the one whose rewards agree "
            "when every step is replayed. On: take the task on the left, whatever the file says.",
        )
        st.caption(
            "Leave this off for published files and those that this workbench wrote: they say "
            "their task. That of others is found by replaying their rewards."
        )
    if upload is None:
        st.info(
            "No file yet. Drop one above to see whether it can be used: its shapes, which task it "
            "fits, its returns, and what is odd about it. To have one to try, write it: "
            f"`python -m workbench export {task.family} {task.index}` makes a Minari data set.",
            icon=":material/upload_file:",
        )
        return
    with st.spinner("Reading the file and replaying its steps …"):
        report = _report(upload.file_id, (task.family, task.index) if named else None, upload)
    _verdict(report)
    _what_fits(report)
    if report.accepted and all(s.fit.task != task for s in report.sets):
        _lead_to(report.sets[0].fit.task, task)
    if report.accepted:
        _returns(report, task, _kept(upload.file_id))
    _warnings(report)
    _values(report)
    if report.accepted:
        _keep(report, upload.file_id, explore)


def _lead_to(found: Task, chosen: Task) -> None:
    """Say that a file is of another task than the page shows, and offer to show that one."""
    words, onward = st.columns([4, 1], vertical_alignment="center")
    words.info(
        f"The file is of *{goal_words(found)}*, and is kept for that; the page still shows "
        f"*{goal_words(chosen)}*.",
        icon=":material/info:",
    )
    if found.split == "test":
        onward.button(
            "Show its task",
            icon=":material/arrow_back:",
            on_click=_turn_to,
            args=(found,),
            key="turn-to",
            width="stretch",
            help="Chooses the file's robot and task at the left.",
        )


def _turn_to(task: Task) -> None:
    st.session_state["robot"] = find(task.family).label
    st.session_state[f"{task.family}-task"] = goal_words(task)


@st.cache_resource(scope="session", max_entries=4, show_spinner=False)
def _report(file_id: str, named: tuple[str, int] | None, _upload) -> Report:
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / "upload"
        path.write_bytes(_upload.getbuffer())
        return received.examine(path, *(named or ()), name=_upload.name)


def _verdict(report: Report) -> None:
    if not report.accepted:
        reasons = "".join(f"\n- {plain(error[:1].upper() + error[1:])}" for error in report.errors)
        st.error(
            f"**Refused: {plain(report.file)}**\n{reasons}\n\nNothing was kept.",
            icon=":material/block:",
        )
        return
    held = "; ".join(
        f"{len(s.trajectories)} episodes of {find(s.fit.task.family).label}, "
        f"{goal_words(s.fit.task)}"
        for s in report.sets
    )
    if report.warnings:
        n = len(report.warnings)
        st.warning(
            f"**Accepted, with {n} warning{'s' * (n > 1)} below: {plain(report.file)}** holds "
            f"{plain(held)}.",
            icon=":material/warning:",
        )
    else:
        st.success(
            f"**Accepted: {plain(report.file)}** holds {plain(held)}.", icon=":material/check:"
        )


def _what_fits(report: Report) -> None:
    if not report.lengths:
        return
    low, high = min(report.lengths), max(report.lengths)
    steps = f"{low} steps" if low == high else f"{low} to {high} steps"
    form = report.form[0].upper() + report.form[1:]
    facts = (
        f"**{plain(form)}** · {len(report.lengths)} episodes of {steps} · "
        f"{report.columns[0]} observations, {report.columns[1]} actions"
    )
    if report.families:
        facts += f" · columns of {plain(', '.join(report.families))}"
    st.markdown(facts)
    if report.nearest:
        first, *others = (
            f"{goal_words(f.task)} ({f.task}) within {f.reward_error:.2g}"
            for f in report.nearest[:3]
        )
        more = f"; next: {', '.join(others)}" if others else ""
        st.caption(
            plain(f"Replayed step by step, its rewards are those of {first} in the median{more}.")
        )


def _kept(file_id: str) -> str | None:
    """Return the name under which the uploaded file was kept, if it was."""
    of, name = st.session_state.get("kept", ("", ""))
    return name if of == file_id else None


def _returns(report: Report, task: Task, kept: str | None) -> None:
    """Compare the file's returns with what there is for the same task."""
    shown = next((s for s in report.sets if s.fit.task == task), report.sets[0])
    family = find(shown.fit.task.family)
    st.markdown(
        f"**Returns** beside what there is for {family.label}, {goal_words(shown.fit.task)}"
    )
    there = sets_of(shown.fit.task)
    there.pop(f"{own_sets.PREFIX}{kept}", None)  # the file itself, kept a moment ago
    sets = {YOUR_FILE: shown.returns, **there}
    compare_sets(sets, "upload")
    if len(report.sets) > 1:
        st.markdown("**All tasks in the file**")
        rows = [
            {"task": goal_words(s.fit.task), "n": len(s.trajectories), **return_summary(s.returns)}
            for s in report.sets
        ]
        show_returns(rows, "by-task")


def _warnings(report: Report) -> None:
    if report.warnings:
        with st.container(border=True):
            st.markdown("**Before you use it**")
            st.markdown("\n".join(f"- {plain(warning)}" for warning in report.warnings))


def _values(report: Report) -> None:
    if not report.ranges:
        return
    with st.expander("Values of every observation", icon=":material/data_thresholding:"):
        rows = [{"variable": r.variable, "low": r.low, "high": r.high} for r in report.ranges]
        table = pd.DataFrame(rows)
        far = [r.deviation for r in report.ranges]
        if np.isfinite(far).all():
            table["sd from training"] = far
        st.dataframe(table.round(3), hide_index=True, key="ranges", alt="Ranges of observations.")
        st.caption(
            "The last column: the largest distance from the mean of the model's training data, in "
            f"its standard deviations. Ours stay within 8; beyond {received.FAR:g} is a warning."
        )


def _keep(report: Report, file_id: str, explore) -> None:
    """Let the reader keep the file, then say how to go on."""
    if sharing.shared():
        st.caption("This server is shared: the file stays in your session and is not kept.")
        return
    st.subheader("Keep it")
    left, middle, right = st.columns([3, 2, 2], vertical_alignment="bottom")
    name = left.text_input(
        "Name",
        _name_for(report),
        max_chars=40,
        key=f"name-{file_id}",
        help="a to z, 0 to 9, - and _. The file is kept below data/own, and asked for as own:NAME.",
    )
    replace = middle.checkbox(
        "Replace a set of that name",
        key=f"replace-{file_id}",
        help="Needed when there is a set of that name for the task already.",
    )
    if right.button(
        "Save",
        type="secondary" if _kept(file_id) else "primary",
        icon=":material/save:",
        width="stretch",
        key="save",
        help="Keep these episodes as a few-shot set on this machine.",
    ):
        try:
            received.save(report, name, overwrite=replace)
        except (ValueError, OSError) as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.session_state["kept"] = (file_id, name)
            st.rerun()
    if kept := _kept(file_id):
        _next_step(report, kept, explore)


def _name_for(report: Report) -> str:
    """Suggest a name: ``published`` for all published files, as one name may hold many tasks."""
    if report.form == PUBLISHED and named_task(report.file):
        return "published"
    stem = re.sub(r"[^a-z0-9_-]+", "-", Path(report.file).stem.lower()).strip("-_")
    return stem[:40].strip("-_") or "mine"


def _next_step(report: Report, name: str, explore) -> None:
    quality = f"{own_sets.PREFIX}{name}"
    st.success(f"Kept as **{plain(quality)}**. Next: tune on it.", icon=":material/check:")
    for found in report.sets:
        task = found.fit.task
        if task.split != "test" or not assets.has_models(task.family):
            st.caption(plain(f"{task} is no task that a shipped model can be tuned for."))
            continue
        if st.button(
            f"Tune a prompt on it: {goal_words(task)}",
            type="primary",
            icon=":material/arrow_forward:",
            key=f"explore-{task}",
            help="Opens the first page with this task and this data chosen.",
        ):
            lead_to(explore, task_params(task, quality))
        command = f"python -m workbench tune {task.family} {task.index} --quality {quality}"
        st.caption("The same on the command line:")
        st.code(command, language="sh")


def manage(task: Task, explore) -> None:
    """Draw a line for each own set of a task, and the way back from a deletion.

    Args:
        task: Whose sets.
        explore: The page to go on to, as Streamlit navigates.
    """
    _offer_undo(task)
    for quality in own_sets.qualities(task):
        name = own_sets.name_of(quality)
        words, onward, away = st.columns([4, 1, 1], vertical_alignment="center")
        words.markdown(f"**{plain(quality)}**, your own set")
        if assets.has_models(task.family) and onward.button(
            "Tune on it",
            icon=":material/arrow_forward:",
            width="stretch",
            key=f"tune-{task}-{name}",
            help="Opens the first page with this task and this data chosen.",
        ):
            lead_to(explore, task_params(task, quality))
        if not sharing.shared() and away.button(
            "Delete",
            icon=":material/delete:",
            width="stretch",
            key=f"delete-{task}-{name}",
            help="Takes the set away; it can be taken back.",
        ):
            own_sets.delete(task, name)
            st.rerun()


def _offer_undo(task: Task) -> None:
    gone = [q for q in own_sets.deleted(task) if q not in own_sets.qualities(task)]
    if not gone or sharing.shared():
        return
    words, back = st.columns([5, 1], vertical_alignment="center")
    words.info(f"Deleted: {plain(', '.join(gone))}.", icon=":material/delete:")
    if back.button(
        "Undo",
        icon=":material/undo:",
        width="stretch",
        key=f"undo-{task}",
        help=f"Brings {gone[0]} back.",
    ):
        own_sets.restore(task, own_sets.name_of(gone[0]))
        st.rerun()
