"""Recorded states -> a scene that the browser draws, or -> an mp4.

Replays need no graphics library: :func:`scene` describes the shapes once, :func:`poses` says
where they are at every step, and the browser paints them. :func:`video` makes a file for those
who want one. It draws in a child process (``film.py``), because a broken graphics driver can take
its process along, and falls back from EGL to OSMesa to a ray-caster that needs no graphics library.
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

from workbench.tasks import Task, find, make
from workbench.viewing.scene import meshes, raycast
from workbench.viewing.scene.appearance import Camera, view_of

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
_UNSET = np.array([0.5, 0.5, 0.5, 1.0])  # MuJoCo's default colour: the material's is shown
_RGB = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
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
def _world(task: Task) -> tuple[mujoco.MjModel, int]:
    """Return the model of a task and S, the length of its states."""
    env = make(task)
    env.reset(seed=0)
    return env.model, len(env.state())


@functools.lru_cache(maxsize=16)
def _geoms(model: mujoco.MjModel) -> tuple[list[dict], list[dict | None]]:
    """Return the shapes of a model and the meshes they use, see :func:`scene`."""
    shown, colours = _shown(model), _colours(model)
    geoms = []
    for i in range(model.ngeom):
        kind = _TYPES.get(mujoco.mjtGeom(int(model.geom_type[i])), "other")
        geom = {
            "type": kind,
            "size": [round(float(s), 5) for s in model.geom_size[i]],
            "rgba": [round(float(c), 3) for c in colours[i]],
            "body": int(model.geom_bodyid[i]),
            "visible": bool(shown[i]),
        }
        geoms.append(geom | ({"mesh": int(model.geom_dataid[i])} if kind == "mesh" else {}))
    wanted = {geom["mesh"] for geom in geoms if geom["visible"] and "mesh" in geom}
    return geoms, meshes.packed(model, wanted)


def scene(task: Task) -> dict:
    """Describe what there is to draw, once; :func:`poses` says where it is.

    Returns:
        JSON-able geometry, lengths in metres:

        * ``geoms``: for each geom of the model ``type`` (``"capsule"``, ...), ``size`` (3, MuJoCo's
          half-sizes; capsules and cylinders lie along their z), ``rgba`` (4, in [0, 1]), ``body``,
          ``visible`` (MuJoCo's geom groups 0 to 2, not transparent) and, if it is one, ``mesh``;
        * ``meshes``: what ``mesh`` counts, see ``meshes.packed``;
        * ``dt`` seconds per step, ``tile`` side of a floor tile, ``floor`` its height or None,
          ``ground`` height of what shadows fall on;
        * ``camera``: ``track`` (the geom that x and y of ``at`` follow, or None), ``at`` (3),
          ``azimuth`` and ``elevation`` in MuJoCo's degrees, ``distance``, ``fovy`` degrees,
          ``beside`` (what must fit to either side);
        * ``marks``, ``trail`` and ``ruler`` of the family's ``View``.
    """
    view, (geoms, packed) = view_of(task.family), _geoms(_world(task)[0])
    floor = _floor(task)
    return {
        "geoms": geoms,
        "meshes": packed,
        "dt": find(task.family).dt,
        "tile": raycast.TILE,
        "floor": floor,
        "ground": floor if view.ground is None else view.ground,
        "camera": _camera(task, view.camera),
        **view.described(task.goal),
    }


def poses(task: Task, states: np.ndarray) -> np.ndarray:
    """Return where every geom is in each recorded state, by kinematics alone (no OpenGL).

    Args:
        task: Names the model.
        states: (T, S) raw simulator states, as in ``Trajectory.states``.

    Returns:
        (T, n_geoms, 7) float32: position in metres (3), unit quaternion wxyz (4).

    Raises:
        ValueError: if ``states`` does not fit the model.
    """
    model, _ = _world(task)
    states = _checked(states, task)
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
    states, family = _checked(states, task), find(task.family)
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
        "camera": _camera(task, view.camera),
        "described": {**view.described(task.goal), "floor": _floor(task)},
    }
    path = family.position_of(states[::every])
    for name in names[names.index(backend()) :]:
        size = (320, 240) if name == "ray" else (480, 360)
        job = {"backend": name, "width": width or size[0], "height": height or size[1], **shared}
        made, error = _in_child(job, _world(task)[0], states[::every], path, progress)
        if made is not None:
            return made
    raise RuntimeError(f"No renderer could draw this episode. The last one said:\n{error}")


def _checked(states: np.ndarray, task: Task) -> np.ndarray:
    states, (_, size) = np.asarray(states, np.float64), _world(task)
    if states.ndim != 2 or states.shape[1] != size:
        raise ValueError(
            f"`states` must be (T, {size}) for {task}: got {states.shape}. "
            "Pass `Trajectory.states`, not observations."
        )
    return states


@functools.lru_cache(maxsize=16)
def _colours(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms, 4): what moves is drawn towards gold, the rest as in the model."""
    rgba = model.geom_rgba.astype(float).copy()
    for i in np.flatnonzero((model.geom_matid >= 0) & (rgba == _UNSET).all(-1)):
        rgba[i] = model.mat_rgba[model.geom_matid[i]]
        texture = model.mat_texid[model.geom_matid[i], _RGB]
        if texture >= 0:
            rgba[i, :3] *= 0.63 + 0.3 * _mean_colour(model, texture)  # calmer, as in film.py
    moving = _moving(model)
    own = rgba[moving, :3]
    cool = own[:, 2] > own[:, 0]  # would turn green
    own[cool] = own[cool].mean(-1, keepdims=True)
    gold = 0.55 + 0.4 * np.maximum(0.8 - own.max(-1, keepdims=True), 0)  # more in what is dark
    rgba[moving, :3] = (1 - gold) * own + gold * _GOLD
    return rgba


def _mean_colour(model: mujoco.MjModel, texture: int) -> np.ndarray:
    channels, first = model.tex_nchannel[texture], model.tex_adr[texture]
    size = model.tex_height[texture] * model.tex_width[texture] * channels
    pixels = model.tex_data[first : first + size].reshape(-1, channels)[::61]  # some are enough
    return pixels[:, :3].mean(0) / 255


def _moving(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms,) bool: what is not welded to the world."""
    return model.body_weldid[model.geom_bodyid] > 0


def _shown(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms,) bool: what MuJoCo shows unless told otherwise."""
    known = np.isin(model.geom_type, [int(kind) for kind in _TYPES])
    return known & (model.geom_group <= 2) & (_colours(model)[:, 3] > 0)


def _at_rest(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data


def _floor(task: Task) -> float | None:
    """Return the height of the first plane that is shown, or None."""
    model, _ = _world(task)
    plane = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    found = np.flatnonzero(plane & _shown(model))
    return round(float(_at_rest(model).geom_xpos[found[0], 2]), 5) if len(found) else None


def _camera(task: Task, camera: Camera) -> dict:
    """Return a camera as in :func:`scene`: what it leaves open is fitted to what moves."""
    model, _ = _world(task)
    moving = np.flatnonzero(_moving(model) & _shown(model))
    at, radius = np.zeros(3), 1.0
    if len(moving):
        places, bounds = _at_rest(model).geom_xpos[moving], model.geom_rbound[moving, None]
        low, high = (places - bounds).min(0), (places + bounds).max(0)
        at, radius = (low + high) / 2, np.linalg.norm(high - low) / 2
    distance = camera.distance or 1.1 * radius / np.tan(np.radians(camera.fovy) / 2)
    return {
        "azimuth": camera.azimuth,
        "elevation": camera.elevation,
        "fovy": camera.fovy,
        "at": [round(float(x), 4) for x in (at if camera.at is None else camera.at)],
        "distance": round(float(distance), 4),
        "beside": round(float(camera.beside or radius), 4),
        "track": int(moving[0]) if camera.follows and len(moving) else None,
    }


def candidates() -> list[str]:
    """Return the renderers to try, in order; the last, ``"ray"``, works everywhere."""
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
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
        arrays = {"states": states, "path": path, "colours": _colours(model)}
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
