"""Pictures by casting rays: for machines without any graphics library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import mujoco
import numpy as np

TILE = 0.5  # metres, the side of a floor tile
# Plain integers: comparing an array with MuJoCo's own enumeration takes 25 times as long.
_PLANE, _CAPSULE, _ELLIPSOID, _CYLINDER, _BOX = (
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}"))
    for name in ("PLANE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX")
)
_FACETED = [int(mujoco.mjtGeom.mjGEOM_MESH), int(mujoco.mjtGeom.mjGEOM_HFIELD)]
_SKY, _TILES = np.array([0.93, 0.95, 0.97]), np.array([[0.80, 0.84, 0.88], [0.69, 0.74, 0.80]])


def pictures(
    model: mujoco.MjModel,
    frames: Iterable[tuple[mujoco.MjData, np.ndarray]],
    size: tuple[int, int],
    camera: Mapping[str, float],
    colours: np.ndarray,
) -> Iterator[np.ndarray]:
    """Shade what each pixel's ray meets; shadows by rays from a lamp to the same points.

    Args:
        model: What to draw.
        frames: For each picture the simulator's data and the point looked at, (3,) metres.
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
    tan = np.tan(np.radians(camera["fovy"]) / 2)
    x = (np.arange(width) + 0.5 - width / 2) * tan / (height / 2)
    y = (height / 2 - np.arange(height) - 0.5) * tan / (height / 2)
    rays = ahead + x[None, :, None] * right + y[:, None, None] * np.cross(right, ahead)
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).reshape(-1, 3)
    groups = np.array([1, 1, 1, 0, 0, 0], np.uint8)

    def cast(data, origin, rays):
        """Return the geom each ray meets, or -1, and how far away."""
        hit, distance = np.empty(len(rays), np.int32), np.empty(len(rays))
        mujoco.mj_multiRay(
            model, data, origin, rays.ravel(), groups, 1, -1, hit, distance, len(rays), 60.0
        )
        return hit, distance

    for data, at in frames:
        eye = at - camera["distance"] * ahead
        lamp = at + np.array([-1.0, -2.0, 5.0])
        hit, distance = cast(data, eye, rays)
        met = np.flatnonzero(hit >= 0)
        hit, distance = hit[met], distance[met]
        points = eye + rays[met] * distance[:, None]
        lit = lamp - points
        reach = np.linalg.norm(lit, axis=-1)
        normals = _normals(model, data, hit, points, -rays[met])
        bright = 0.5 + 0.55 * np.clip((normals * lit).sum(-1) / reach, 0, 1)
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
