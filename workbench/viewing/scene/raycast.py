"""Pictures by casting rays: for machines without any graphics library.

MuJoCo finds what each pixel's ray meets (``mj_multiRay``); the rest is shading in NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np

TILE = 0.5  # metres, the side of a floor tile
_NEAR = 0.1  # metres: nothing is drawn closer to the eye
# Plain integers: comparing an array with MuJoCo's own enumeration takes 25 times as long.
_PLANE, _CAPSULE, _ELLIPSOID, _CYLINDER, _BOX = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}"))
    for name in ("PLANE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX")
)
_FACETED = [int(mujoco.mjtGeom.mjGEOM_MESH), int(mujoco.mjtGeom.mjGEOM_HFIELD)]
_SKY, _TILES = np.array([0.93, 0.95, 0.97]), np.array([[0.80, 0.84, 0.88], [0.69, 0.74, 0.80]])


def pictures(
    model: mujoco.MjModel,
    frames: Iterable[tuple[mujoco.MjData, np.ndarray, Sequence[Any]]],
    size: tuple[int, int],
    camera: Mapping[str, float],
    colours: np.ndarray,
) -> Iterator[np.ndarray]:
    """Shade what each pixel's ray meets; shadows by rays from a lamp to the same points.

    Args:
        model: What to draw.
        frames: For each picture the simulator's data, the point looked at, (3,) metres, and what
            else to draw: round lines through ``points`` (n, 3) with ``radius`` and ``rgba``; one
            point makes a ball.
        size: Width and height in pixels.
        camera: ``azimuth``, ``elevation`` and vertical ``fovy`` in MuJoCo's degrees,
            ``distance`` in metres.
        colours: Of each geom, (n_geoms, 3 or 4) in [0, 1]; planes get tiles instead.

    Yields:
        (height, width, 3) uint8.
    """
    width, height = size
    azimuth, elevation = np.radians([camera["azimuth"], camera["elevation"]])
    ahead = np.array([np.cos(azimuth), np.sin(azimuth), 0]) * np.cos(elevation)
    ahead[2] = np.sin(elevation)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    lamp_from = np.cross(right, [0, 0, 2.0]) - right + [0, 0, 5.0]  # behind the viewer's left
    tan = np.tan(np.radians(camera["fovy"]) / 2)
    x = (np.arange(width) + 0.5 - width / 2) * tan / (height / 2)
    y = (height / 2 - np.arange(height) - 0.5) * tan / (height / 2)
    above = np.cross(right, ahead)
    rays = ahead + x[None, :, None] * right + y[:, None, None] * above
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3)
    groups = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # geoms of group 0 to 2 are shown, as ever

    def cast(data, origin, rays):
        """Return the geom each ray meets, or -1, and how far away."""
        hit, distance = np.empty(len(rays), np.int32), np.empty(len(rays))
        # 1: also what is welded to the world; -1: no body is left out; 60: metres, at most
        mujoco.mj_multiRay(
            model, data, origin, rays.ravel(), groups, 1, -1, hit, distance, len(rays), 60.0
        )
        return hit, distance

    for data, at, shapes in frames:
        eye = at - camera["distance"] * ahead
        lamp = at + lamp_from
        hit, distance = cast(data, eye, rays)
        met = np.flatnonzero(hit >= 0)
        hit, distance = hit[met], distance[met]
        points = eye + rays[met] * distance[:, None]
        lit = lamp - points
        reach = np.linalg.norm(lit, axis=-1)
        normals = _normals(model, data, hit, points, -rays[met])
        faceted = np.isin(model.geom_type[hit], _FACETED)
        normals[faceted] = _facing(size, met, hit, points, -rays[met])[faceted]
        bright = 0.5 + 0.55 * np.clip((normals * lit).sum(-1) / reach, 0, 1)
        # Shadows near the robot only: each costs a second ray, from the lamp.
        near = np.flatnonzero(np.linalg.norm(points - at, axis=-1) < 1.6)
        blocked = cast(data, lamp, -lit[near] / reach[near, None])[1]
        bright[near[(blocked >= 0) & (blocked < reach[near] - 0.02)]] *= 0.72
        colour = colours[hit, :3]
        floor = model.geom_type[hit] == _PLANE
        tile = np.floor(points[floor, :2] / TILE).sum(-1).astype(int) % 2
        colour[floor] = _TILES[tile]
        fade = np.where(floor, np.exp(-np.maximum(distance - 3, 0) / 5), 1.0)[:, None]
        picture = np.repeat(_SKY[None], len(rays), 0)
        picture[met] = fade * np.clip(colour * bright[:, None], 0, 1) + (1 - fade) * _SKY
        depth = np.full(len(rays), np.inf)
        depth[met] = distance
        for shape in shapes:
            if len(shape.points) == 1:
                _blend_ball(picture, depth, rays, eye, shape)
                continue
            local = shape.points - eye
            seen = np.stack([local @ right, local @ above, local @ ahead], -1)
            _blend_line(picture, depth, size, height / 2 / tan, seen, shape)
        yield (picture.reshape(height, width, 3) * 255).astype(np.uint8)


def _normals(model, data, hit, points, towards_eye) -> np.ndarray:
    """Return the unit surface normal at each point, (n, 3) in the world's frame."""
    kind, size = model.geom_type[hit], model.geom_size[hit]
    frame = data.geom_xmat[hit].reshape(-1, 3, 3)
    local = np.einsum("nji,nj->ni", frame, points - data.geom_xpos[hit])
    normal, capsule, cylinder = local.copy(), kind == _CAPSULE, kind == _CYLINDER
    normal[capsule, 2] -= np.clip(local[capsule, 2], -size[capsule, 1], size[capsule, 1])
    cap = np.abs(local[:, 2]) > size[:, 1] - 1e-4
    normal[cylinder & cap, :2] = 0
    normal[cylinder & ~cap, 2] = 0
    normal[kind == _PLANE] = [0, 0, 1]
    oval = kind == _ELLIPSOID
    normal[oval] /= size[oval] ** 2
    box = np.flatnonzero(kind == _BOX)
    side = np.abs(local[box] / size[box]).argmax(-1)
    normal[box] = 0
    normal[box, side] = np.sign(local[box, side])
    normal = np.einsum("nij,nj->ni", frame, normal)
    mesh = np.isin(kind, _FACETED)
    normal[mesh] = towards_eye[mesh]
    return normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)


def _facing(size, met, hit, points, towards_eye) -> np.ndarray:
    """Return unit normals (n, 3) from neighbouring pixels that show the same geom.

    MuJoCo says which geom a ray meets, not which face. So the normal is the cross product of the
    steps from one pixel's point to the next, to the right and downwards.
    """
    width, height = size
    place, geom = np.full((height * width, 3), np.nan), np.full(height * width, -1)
    place[met], geom[met] = points, hit
    place, geom = place.reshape(height, width, 3), geom.reshape(height, width)
    sides = []
    for axis in (0, 1):
        step = np.diff(place, axis=axis)
        step[np.diff(geom, axis=axis) != 0] = np.nan
        pad = [(0, 0)] * 3
        pad[axis] = (1, 1)
        step = np.pad(step, pad, constant_values=np.nan)
        before, after = (step[:-1], step[1:]) if axis == 0 else (step[:, :-1], step[:, 1:])
        sides.append(np.where(np.isnan(after), before, after).reshape(-1, 3)[met])
    normal = np.cross(*sides)
    normal *= np.sign((normal * towards_eye).sum(-1, keepdims=True))
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 0, normal / np.where(length > 0, length, 1), towards_eye)


def _blend_ball(picture, depth, rays, eye, shape) -> None:
    """Blend a ball into what is seen of it: thinner where something stands inside it."""
    local = shape.points[0] - eye
    along = rays @ local
    inside = shape.radius**2 - (local @ local - along**2)
    half = np.sqrt(np.maximum(inside, 0))
    seen = np.flatnonzero((inside > 0) & (along - half < depth))
    rim = 1 - half[seen] / shape.radius
    alpha = shape.rgba[3] * (0.75 + 0.5 * rim) * np.where(along[seen] > depth[seen], 0.6, 1)
    alpha = np.minimum(alpha, 1)[:, None]
    picture[seen] = (1 - alpha) * picture[seen] + alpha * np.array(shape.rgba[:3])


def _blend_line(picture, depth, size, focal, points, shape) -> None:
    """Draw a line through points (n, 3) in the camera's frame: right, above, ahead."""
    width, height = size
    dots = []
    for a, b in itertools.pairwise(points):
        if max(a[2], b[2]) < _NEAR:
            continue
        if min(a[2], b[2]) < _NEAR:  # cut off what lies behind the eye
            cut = a + (b - a) * (_NEAR - a[2]) / (b[2] - a[2])
            a, b = (cut, b) if a[2] < _NEAR else (a, cut)
        ends = np.array([a[:2] / a[2], b[:2] / b[2]]) * focal
        n = int(min(np.abs(ends[1] - ends[0]).max(), 4 * width)) + 1
        part = np.linspace(0, 1, n + 1)[:, None]
        # Equal steps in the picture are equal steps of 1 / depth ("perspective-correct").
        ahead = 1 / ((1 - part) / a[2] + part / b[2])
        dots.append(np.hstack([(1 - part) * ends[0] + part * ends[1], ahead]))
    if not dots:
        return
    x, y, ahead = np.concatenate(dots).T
    reach = np.maximum(focal * shape.radius / ahead, 0.7)
    seen = (np.abs(x) < width / 2 + reach) & (np.abs(y) < height / 2 + reach)
    if not seen.any():
        return
    x, y, ahead, reach = x[seen], y[seen], ahead[seen], reach[seen]
    far = np.sqrt(1 + (x**2 + y**2) / focal**2) * ahead  # along the ray
    span = np.arange(-int(reach.max()) - 1, int(reach.max()) + 2)
    for dx, dy in np.stack(np.meshgrid(span, span), -1).reshape(-1, 2):
        column, row = np.floor(x + width / 2 + dx), np.floor(height / 2 - y + dy)
        away = np.hypot(column + 0.5 - x - width / 2, row + 0.5 - height / 2 + y)
        good = (away <= reach) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        pixel = (row * width + column)[good].astype(int)
        pixel = pixel[far[good] - shape.radius <= depth[pixel]]
        picture[pixel] = shape.rgba[:3]
