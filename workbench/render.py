"""Recorded states -> a scene that the browser draws, or -> an mp4.

Replays need no graphics library: :func:`scene` describes the shapes once, :func:`poses` says
where they are at every step, and the browser paints them. :func:`video` makes a file for those
who want one. It draws in a child process, because a broken graphics driver can take its process
along, and falls back from EGL to OSMesa to a ray-caster that needs no graphics library at all.
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
from collections.abc import Callable, Iterator
from pathlib import Path

import mujoco
import numpy as np

from workbench import raycast
from workbench.tasks import Task, find, make

_TYPES = {
    mujoco.mjtGeom.mjGEOM_PLANE: "plane",
    mujoco.mjtGeom.mjGEOM_SPHERE: "sphere",
    mujoco.mjtGeom.mjGEOM_CAPSULE: "capsule",
    mujoco.mjtGeom.mjGEOM_ELLIPSOID: "ellipsoid",
    mujoco.mjtGeom.mjGEOM_CYLINDER: "cylinder",
    mujoco.mjtGeom.mjGEOM_BOX: "box",
    mujoco.mjtGeom.mjGEOM_MESH: "mesh",
}
_GOLD = np.array([0.93, 0.70, 0.30])
# From the side, a little above: MuJoCo's azimuth 90 looks along +y with +x to the right.
_CAMERA = {"azimuth": 90.0, "elevation": -14.0, "distance": 2.9, "fovy": 34.0, "height": 0.5}
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


@functools.lru_cache(maxsize=16)
def _model(task: Task) -> mujoco.MjModel:
    return make(task).model


def scene(task: Task) -> dict:
    """Describe what there is to draw, once; :func:`poses` says where it is.

    Returns:
        JSON-able geometry, lengths in metres:

        * ``geoms``: for each geom of the model ``type`` (``"capsule"``, ...), ``size`` (3, MuJoCo's
          half-sizes; capsules and cylinders lie along their z), ``rgba`` (4, in [0, 1]), ``body``
          and ``visible`` (MuJoCo's geom groups 0 to 2, not transparent, not a mesh);
        * ``up`` (3), ``dt`` seconds per step, ``tile`` side of a floor tile;
        * ``camera``: ``track`` (index of the geom to follow), ``azimuth`` and ``elevation`` in
          MuJoCo's degrees, ``distance``, ``fovy`` degrees, ``height`` looked at.
    """
    model = _model(task)
    geoms = []
    for i in range(model.ngeom):
        kind = _TYPES.get(mujoco.mjtGeom(int(model.geom_type[i])), "other")
        geoms.append(
            {
                "type": kind,
                "size": [round(float(s), 5) for s in model.geom_size[i]],
                "rgba": [round(float(c), 3) for c in _colours(model)[i]],
                "body": int(model.geom_bodyid[i]),
                "visible": bool(
                    model.geom_group[i] <= 2
                    and model.geom_rgba[i, 3] > 0
                    and kind not in ("mesh", "other")
                ),
            }
        )
    return {
        "geoms": geoms,
        "up": [0.0, 0.0, 1.0],
        "dt": find(task.family).dt,
        "tile": raycast.TILE,
        "camera": {**_CAMERA, "track": _tracked(model)},
    }


def poses(task: Task, states: np.ndarray) -> np.ndarray:
    """Return where every geom is in each recorded state, by kinematics alone (no OpenGL).

    Args:
        task: Names the model.
        states: (T, nq + nv) raw simulator states, as in ``Trajectory.states``.

    Returns:
        (T, n_geoms, 7) float32: position in metres (3), unit quaternion wxyz (4).

    Raises:
        ValueError: if ``states`` does not fit the model.
    """
    model = _model(task)
    states = _checked(model, states, task)
    position = np.empty((len(states), model.ngeom, 3))
    body = np.empty((len(states), model.nbody, 4))
    data = mujoco.MjData(model)
    for t, state in enumerate(states):
        data.qpos[:] = state[: model.nq]
        mujoco.mj_kinematics(model, data)
        position[t], body[t] = data.geom_xpos, data.xquat
    # The geom's frame is its body's frame, turned: q = q_body ⊗ q_geom.
    w, x, y, z = np.moveaxis(body[:, model.geom_bodyid], -1, 0)
    a, b, c, d = model.geom_quat.T
    turned = (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )
    return np.concatenate([position, np.stack(turned, -1)], -1).astype(np.float32)


@functools.cache
def backend() -> str:
    """Return which server-side renderer works here: ``"egl"``, ``"osmesa"`` or ``"ray"``.

    A renderer named by ``MUJOCO_GL`` comes first (so ``"glfw"``, ``"cgl"`` and ``"wgl"`` are
    possible answers too), and ``MUJOCO_GL=disable`` means ``"ray"``. Each candidate draws a small
    picture in a child process, about half a second each; the answer is remembered.
    """
    return next(name for name in _candidates() if name == "ray" or _works(name))


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

    The camera follows the robot from the side. Drawing happens in a child process; a renderer
    that fails there is replaced by the next one, down to the ray-caster.

    Args:
        task: Names the model.
        states: (T, nq + nv) raw simulator states.
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
    model = _model(task)
    states = _checked(model, states, task)
    if not len(states):
        raise ValueError("`states` must have at least one row: got none.")
    for name, value in (("width", width), ("height", height)):
        if value is not None and (value < 16 or value % 2):
            raise ValueError(f"`{name}` must be even and at least 16: got {value}.")
    if every < 1 or (fps is not None and fps <= 0):
        raise ValueError(f"`every` and `fps` must be positive: got {every=} and {fps=}.")
    names = _candidates()
    for name in names[names.index(backend()) :]:
        ray = name == "ray"
        job = {
            "backend": name,
            "width": width or (320 if ray else 480),
            "height": height or (240 if ray else 360),
            "fps": fps or 1 / (find(task.family).dt * every),
        }
        made, error = _in_child(job, model, states[::every], progress)
        if made is not None:
            return made
    raise RuntimeError(f"No renderer could draw this episode. The last one said:\n{error}")


def _checked(model: mujoco.MjModel, states: np.ndarray, task: Task) -> np.ndarray:
    states = np.asarray(states, np.float64)
    if states.ndim != 2 or states.shape[1] != model.nq + model.nv:
        raise ValueError(
            f"`states` must be (T, {model.nq + model.nv}) for {task}: got {states.shape}. "
            "Pass `Trajectory.states`, not observations."
        )
    return states


def _colours(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms, 4): what moves is drawn towards gold, the rest as in the model."""
    rgba = model.geom_rgba.astype(float).copy()
    moving = model.body_weldid[model.geom_bodyid] > 0
    rgba[moving, :3] = 0.45 * rgba[moving, :3] + 0.55 * _GOLD
    return rgba


def _tracked(model: mujoco.MjModel) -> int:
    """Return the first geom of the first body that moves, or 0 if none does."""
    moving = np.flatnonzero(model.body_weldid[model.geom_bodyid] > 0)
    return int(moving[0]) if len(moving) else 0


def _candidates() -> list[str]:
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted in ("disable", "disabled", "off", "false", "0"):
        return ["ray"]
    native = {"darwin": ["cgl"], "win32": ["wgl"]}.get(sys.platform, ["egl", "osmesa"])
    first = [wanted] if wanted in ("egl", "osmesa", "glfw", "cgl", "wgl") else []
    return [*first, *(name for name in native if name not in first), "ray"]


def _environment(name: str) -> dict[str, str]:
    """Return a child's environment: the renderer must be chosen before MuJoCo is imported."""
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    gl = {"MUJOCO_GL": "disable" if name == "ray" else name, "PYTHONPATH": os.pathsep.join(paths)}
    if name in ("egl", "osmesa"):
        gl["PYOPENGL_PLATFORM"] = name
    return {**os.environ, **gl}


def _works(name: str) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [sys.executable, "-c", _PROBE]
        done = subprocess.run(command, env=_environment(name), capture_output=True, timeout=60)
        return done.returncode == 0
    return False


def _in_child(job, model, states, progress) -> tuple[bytes | None, str]:
    """Return the mp4 and "", or None and what the child said."""
    with tempfile.TemporaryDirectory(prefix="workbench-video-") as name:
        folder = Path(name)
        mujoco.mj_saveModel(model, str(folder / "model.mjb"))
        np.save(folder / "states.npy", states)
        (folder / "job.json").write_text(json.dumps(job))
        with (folder / "stderr.txt").open("w+") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "workbench.render", name],
                env=_environment(job["backend"]),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            watchdog = threading.Timer(120 + len(states), child.kill)
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


def _main(folder: Path) -> None:
    """Draw the job in ``folder``, one line of progress per picture; runs in the child."""
    import imageio.v2 as imageio

    job = json.loads((folder / "job.json").read_text())
    model = mujoco.MjModel.from_binary_path(str(folder / "model.mjb"))
    states = np.load(folder / "states.npy")
    frames, size = _frames(model, states), (job["width"], job["height"])
    if job["backend"] == "ray":
        pictures = raycast.pictures(model, frames, size, _CAMERA, _colours(model))
    else:
        pictures = _gl_pictures(model, frames, size)
    with imageio.get_writer(
        folder / "film.mp4",
        fps=job["fps"],
        codec="libx264",
        pixelformat="yuv420p",
        macro_block_size=2,
        output_params=["-movflags", "+faststart", "-threads", "1"],
    ) as film:
        for i, picture in enumerate(pictures):
            film.append_data(picture)
            sys.stdout.write(f"{(i + 1) / len(states)}\n")
            sys.stdout.flush()


def _frames(
    model: mujoco.MjModel, states: np.ndarray
) -> Iterator[tuple[mujoco.MjData, np.ndarray]]:
    """Yield each state's data and the point looked at, (3,)."""
    data, track, at = mujoco.MjData(model), _tracked(model), None
    for state in states:
        data.qpos[:] = state[: model.nq]
        mujoco.mj_forward(model, data)
        now = np.array([*data.geom_xpos[track][:2], _CAMERA["height"]])
        at = now if at is None else at + 0.5 * (now - at)
        yield data, at


def _gl_pictures(model, frames, size) -> Iterator[np.ndarray]:
    # Together these cost ten times as much as all the rest of the picture.
    model.vis.quality.shadowsize = model.vis.quality.offsamples = 0
    model.mat_reflectance[:] = 0
    model.vis.global_.fovy = _CAMERA["fovy"]
    model.vis.global_.offwidth, model.vis.global_.offheight = size
    model.tex_data[:] = (160 + 0.3 * model.tex_data).astype(np.uint8)  # a calmer floor
    model.geom_rgba[:] = _colours(model)
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation = _CAMERA["azimuth"], _CAMERA["elevation"]
    camera.distance = _CAMERA["distance"]
    with mujoco.Renderer(model, size[1], size[0]) as renderer:
        for data, at in frames:
            camera.lookat[:] = at
            renderer.update_scene(data, camera)
            yield renderer.render()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
