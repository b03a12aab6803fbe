"""Recorded states → an mp4, for those who want a file. The browser draws replays by itself.

``video`` draws in a child process (``film.py``), because a broken graphics driver takes its process
along, and falls back from EGL to OSMesa to a ray-caster (``raycast.py``) that needs no graphics
library.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from workbench.data.trajectory import Trajectory
from workbench.tasks import Task, find
from workbench.viewing.scene import clips, geometry, graphics
from workbench.viewing.scene.appearance import view_of

# A renderer may import and still draw nothing: only a picture that is not uniform shows it works.
_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='.3'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 48) as renderer:
    renderer.update_scene(data)
    assert renderer.render().std() > 0
"""


@functools.cache
def backend() -> str:
    """Return which server-side renderer works here: ``"egl"``, ``"osmesa"`` or ``"ray"``.

    A renderer named by ``MUJOCO_GL`` comes first (so ``"glfw"``, ``"cgl"`` and ``"wgl"`` are
    possible answers too), and ``MUJOCO_GL=disable`` means ``"ray"``. Each candidate draws a small
    picture in a child process, about half a second each; the answer is remembered.
    """
    return next(name for name in candidates() if name == "ray" or works_here(name))


def video(
    task: Task,
    states: np.ndarray,
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    every: int = 1,
    progress: Callable[[float], None] | None = None,
) -> bytes:
    """Draw recorded states and return an mp4 (H.264, yuv420p) that every browser plays.

    Camera and marks are those of the family's ``View``. Drawing happens in a child process; a
    renderer that fails there is replaced by the next one, down to the ray-caster.

    Args:
        task: Names the model.
        states: (T, S) raw simulator states.
        width: Pixels, even; 480, or 320 for the ray-caster, which draws on the processor.
        height: Pixels, even; 360, or 240 for the ray-caster.
        fps: Pictures per second of the file; by default the episode plays in real time.
        every: Draw every such state: 2 halves the time and, unless ``fps`` says otherwise, the
            pictures per second.
        progress: Called with the fraction done, in [0, 1].

    Raises:
        ValueError: if ``states`` does not fit the model, or a size is odd or not positive.
        RuntimeError: if even the ray-caster failed; the message ends with its error.
    """
    states, family = geometry.checked(states, task), find(task.family)
    if not len(states):
        raise ValueError("`states` must have at least one row: got none.")
    for name, value in (("width", width), ("height", height)):
        if value is not None and (value < 16 or value % 2):
            raise ValueError(f"`{name}` must be even and at least 16: got {value}.")
    if every < 1 or (fps is not None and fps <= 0):
        raise ValueError(f"`every` and `fps` must be positive: got {every=} and {fps=}.")
    names, view, dt = candidates(), view_of(task.family), family.dt * every
    shared = {
        "fps": fps or 1 / dt,
        "dt": dt,
        "camera": geometry.camera_of(task, view.camera),
        "described": {**view.described(task.goal), "floor": geometry.floor_height(task)},
    }
    path = family.position_of(states[::every])
    for name in names[names.index(backend()) :]:
        size = (320, 240) if name == "ray" else (480, 360)
        job = {"backend": name, "width": width or size[0], "height": height or size[1], **shared}
        made, error = _in_child(job, geometry.model_of(task)[0], states[::every], path, progress)
        if made is not None:
            return made
    raise RuntimeError(f"No renderer could draw this episode. The last one said:\n{error}")


def film_of(
    trajectory: Trajectory,
    *,
    width: int | None = None,
    height: int | None = None,
    every: int = 1,
    progress: Callable[[float], None] | None = None,
) -> bytes:
    """Return an mp4 of an episode: of its states, or of the pictures that were recorded.

    Args:
        trajectory: With states or a film.
        width, height, every, progress: See ``video``; pictures have the size they have.

    Raises:
        ValueError: if it has neither, or see ``video``.
    """
    task, film = trajectory.task, trajectory.film
    if film is not None:
        fps = 1 / (find(task.family).dt * film.every)
        return clips.of_pictures(film.pictures(), fps)
    if trajectory.states is None:
        raise ValueError(
            "This episode has neither states nor pictures: nothing can be drawn of it."
        )
    return video(
        task, trajectory.states, width=width, height=height, every=every, progress=progress
    )


def candidates() -> list[str]:
    """Return the renderers to try, in order; the last, ``"ray"``, works everywhere."""
    wanted = graphics.wanted()
    if wanted in ("disable", "disabled", "off", "false", "0"):
        return ["ray"]
    native = {"darwin": ["cgl"], "win32": ["wgl"]}.get(sys.platform, ["egl", "osmesa"])
    first = [wanted] if wanted in ("egl", "osmesa", "glfw", "cgl", "wgl") else []
    return [*first, *(name for name in native if name not in first), "ray"]


def _environment(name: str) -> dict[str, str]:
    """Return a child's environment: the renderer must be chosen before MuJoCo is imported."""
    root = str(Path(__file__).resolve().parents[3])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    gl = {"MUJOCO_GL": "disable" if name == "ray" else name, "PYTHONPATH": os.pathsep.join(paths)}
    if name in ("egl", "osmesa"):
        gl["PYOPENGL_PLATFORM"] = name
    return {**os.environ, **gl}


def works_here(name: str) -> bool:
    """Return whether a renderer draws a small picture, in a child process."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [sys.executable, "-c", _PROBE]
        done = subprocess.run(command, env=_environment(name), capture_output=True, timeout=60)
        return done.returncode == 0
    return False


def _in_child(job, model, states, path, progress) -> tuple[bytes | None, str]:
    """Return the mp4 and "", or None and what the child said."""
    with tempfile.TemporaryDirectory(prefix="workbench-video-") as name:
        folder = Path(name)
        mujoco.mj_saveModel(model, str(folder / "model.mjb"))
        arrays = {"states": states, "path": path, "colours": geometry.colours_of(model)}
        for label, array in arrays.items():
            np.save(folder / f"{label}.npy", array)
        (folder / "job.json").write_text(json.dumps(job))
        with (folder / "stderr.txt").open("w+") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "workbench.viewing.scene.film", name],
                env=_environment(job["backend"]),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            watchdog = threading.Timer(120 + len(states), child.kill)  # a driver may hang
            watchdog.start()
            try:
                for line in child.stdout:
                    if progress:
                        progress(min(float(line), 1.0))
                child.wait()
            finally:  # also when `progress` raises, which is how a caller cancels
                watchdog.cancel()
                child.kill()
                child.wait()
                child.stdout.close()
            stderr.seek(0)
            error = stderr.read()[-2000:]
        film = folder / "film.mp4"
        return (film.read_bytes(), "") if child.returncode == 0 else (None, error)
