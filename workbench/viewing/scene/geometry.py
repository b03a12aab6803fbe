"""A task's model as plain geometry: what there is to draw, and where it is in each recorded state.

``scene`` describes the shapes once and ``poses`` says where they are at every step. Both are all
that the browser needs to draw a replay, and neither needs a graphics library. ``render.py`` makes
films of the same geometry.
"""

from __future__ import annotations

import contextlib
import functools

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
_GOLD = np.array([0.93, 0.70, 0.30])  # towards which robots are coloured
_UNSET = np.array([0.5, 0.5, 0.5, 1.0])  # MuJoCo's default: a geom's material then says the colour
_RGB = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)


def scene(task: Task) -> dict:
    """Describe what there is to draw, once; ``poses`` says where it is.

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
        * ``filmed``: whether there is no model: then there are no geoms, and episodes have films.
    """
    if is_filmed(task):
        return _nothing(task)
    view, (geoms, packed) = view_of(task.family), _geoms(model_of(task)[0])
    floor = floor_height(task)
    return {
        "geoms": geoms,
        "meshes": packed,
        "filmed": False,
        "dt": find(task.family).dt,
        "tile": raycast.TILE,
        "floor": floor,
        "ground": floor if view.ground is None else view.ground,
        "camera": camera_of(task, view.camera),
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
    if is_filmed(task):
        return np.zeros((len(states), 0, 7), np.float32)
    model, _ = model_of(task)
    states = checked(states, task)
    position = np.empty((len(states), model.ngeom, 3))
    body = np.empty((len(states), model.nbody, 4))
    data = mujoco.MjData(model)
    for t, state in enumerate(states):
        data.qpos[:] = state[: model.nq]
        mujoco.mj_kinematics(model, data)
        position[t], body[t] = data.geom_xpos, data.xquat
    # MuJoCo keeps rotation matrices of geoms, but quaternions are fewer numbers to send. A geom's
    # frame is its body's frame, turned: q = q_body ⊗ q_geom (Hamilton's product).
    w, x, y, z = np.moveaxis(body[:, model.geom_bodyid], -1, 0)
    a, b, c, d = model.geom_quat.T
    turned = (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )
    return np.concatenate([position, np.stack(turned, -1)], -1).astype(np.float32)


@functools.lru_cache(maxsize=16)
def is_filmed(task: Task) -> bool:
    """Return whether a task's environment has no model of MuJoCo, so that pictures show it."""
    with contextlib.closing(make(task)) as env:
        return not isinstance(getattr(env, "model", None), mujoco.MjModel)


def _nothing(task: Task) -> dict:
    """Return the scene of a task that is filmed: a camera that looks at nothing."""
    camera = {"azimuth": 90.0, "elevation": 0.0, "fovy": 34.0, "at": [0.0, 0.0, 0.0]}
    return {
        "geoms": [],
        "meshes": [],
        "filmed": True,
        "dt": find(task.family).dt,
        "tile": raycast.TILE,
        "floor": None,
        "ground": None,
        "camera": {**camera, "distance": 1.0, "beside": 0.5, "track": None},
        "marks": [],
        "trail": "",
        "ruler": False,
    }


@functools.lru_cache(maxsize=16)
def model_of(task: Task) -> tuple[mujoco.MjModel, int]:
    """Return the model of a task and S, the length of its states."""
    env = make(task)
    env.reset(seed=0)
    return env.model, len(env.state())


def checked(states: np.ndarray, task: Task) -> np.ndarray:
    """Return states as (T, S) float64.

    Raises:
        ValueError: if they do not fit the task's model.
    """
    states, (_, size) = np.asarray(states, np.float64), model_of(task)
    if states.ndim != 2 or states.shape[1] != size:
        raise ValueError(
            f"`states` must be (T, {size}) for {task}: got {states.shape}. "
            "Pass `Trajectory.states`, not observations."
        )
    return states


@functools.lru_cache(maxsize=16)
def _geoms(model: mujoco.MjModel) -> tuple[list[dict], list[dict | None]]:
    """Return the shapes of a model and the meshes they use, see ``scene``."""
    shown, colours = _shown(model), colours_of(model)
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


@functools.lru_cache(maxsize=16)
def colours_of(model: mujoco.MjModel) -> np.ndarray:
    """Return the colour of each geom, (n_geoms, 4): robots are tinted gold, the rest as modelled.

    So a robot looks the same in every family and stands out from floor, table and marks.
    """
    rgba = model.geom_rgba.astype(float).copy()
    for i in np.flatnonzero((model.geom_matid >= 0) & (rgba == _UNSET).all(-1)):
        rgba[i] = model.mat_rgba[model.geom_matid[i]]
        texture = model.mat_texid[model.geom_matid[i], _RGB]
        if texture >= 0:
            # A texture is drawn as its mean colour, and paler, as in film.py.
            rgba[i, :3] *= 0.63 + 0.3 * _mean_colour(model, texture)
    moving = _moving(model)
    own = rgba[moving, :3]
    cool = own[:, 2] > own[:, 0]
    own[cool] = own[cool].mean(-1, keepdims=True)  # grey first: blue and gold would make green
    gold = 0.55 + 0.4 * np.maximum(0.8 - own.max(-1, keepdims=True), 0)  # more of it on dark parts
    rgba[moving, :3] = (1 - gold) * own + gold * _GOLD
    return rgba


def _mean_colour(model: mujoco.MjModel, texture: int) -> np.ndarray:
    channels, first = model.tex_nchannel[texture], model.tex_adr[texture]
    size = model.tex_height[texture] * model.tex_width[texture] * channels
    pixels = model.tex_data[first : first + size].reshape(-1, channels)[::61]  # a sample is enough
    return pixels[:, :3].mean(0) / 255


def _moving(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms,) bool: what is not welded to the world."""
    return model.body_weldid[model.geom_bodyid] > 0


def _shown(model: mujoco.MjModel) -> np.ndarray:
    """Return (n_geoms,) bool: what MuJoCo shows unless told otherwise."""
    known = np.isin(model.geom_type, [int(kind) for kind in _TYPES])
    return known & (model.geom_group <= 2) & (colours_of(model)[:, 3] > 0)


def _at_rest(model: mujoco.MjModel) -> mujoco.MjData:
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return data


def floor_height(task: Task) -> float | None:
    """Return the height of the first plane that is shown, or None."""
    model, _ = model_of(task)
    plane = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    found = np.flatnonzero(plane & _shown(model))
    return round(float(_at_rest(model).geom_xpos[found[0], 2]), 5) if len(found) else None


def camera_of(task: Task, camera: Camera) -> dict:
    """Return a camera as ``scene`` has it: what the family leaves open is fitted to what moves."""
    model, _ = model_of(task)
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
