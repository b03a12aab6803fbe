"""Meshes small enough to travel to a browser: vertices clustered on a grid, numbers quantised.

Meta-World's arm and table have 67,000 faces, exported from CAD: a quarter of the edges belong to
one face only. Edge collapse (Garland and Heckbert, 1997) keeps shapes better, but needs clean,
connected meshes. Vertex clustering needs nothing of a mesh and is fifteen lines of NumPy.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import mujoco
import numpy as np

FACES = 9_000  # of all meshes of a scene together
_CELL, _COARSER = 0.004, 1.4  # metres; each further try is coarser by this factor


def clustered(
    vertices: np.ndarray, faces: np.ndarray, cell: float
) -> tuple[np.ndarray, np.ndarray]:
    """Merge all vertices within a cell of a grid into their mean.

    Vertex clustering, Rossignac and Borrel, 1993, doi:10.1007/978-3-642-78114-8_29.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3) indices, each face counter-clockwise seen from outside.
        cell: Side of a cell in metres.

    Returns:
        Vertices (V', 3) and faces (F', 3): those whose corners are still apart, each once. Both
        sides of a sheet that has become flat stay.
    """
    grid = np.floor((vertices - vertices.min(0)) / cell).astype(np.int64)
    _, cluster = np.unique(_number(grid), return_inverse=True)
    count = np.bincount(cluster)
    means = np.stack([np.bincount(cluster, column) for column in vertices.T], -1) / count[:, None]
    faces = cluster[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    turns = (np.arange(3) + faces.argmin(-1)[:, None]) % 3  # the smallest index first
    faces = np.take_along_axis(faces, turns, -1)
    faces = faces[np.unique(_number(faces), return_index=True)[1]]
    used, faces = np.unique(faces, return_inverse=True)
    return means[used], faces.reshape(-1, 3)


def packed(model: mujoco.MjModel, wanted: Iterable[int]) -> list[dict | None]:
    """Pack meshes for a browser, on the finest grid that leaves at most ``FACES`` faces in all.

    Args:
        model: Holds the meshes, each in the frame of its geom.
        wanted: Indices of the meshes that are shown.

    Returns:
        For each mesh of the model None, or what follows, all JSON-able: ``low`` and ``high``
        (3, metres, the corners of its box), ``vertices`` (base64 of uint16 (V, 3): 0 is ``low``,
        65535 is ``high``) and ``faces`` (base64 of uint16 (F, 3)).
    """
    wanted, cell = sorted(set(wanted)), _CELL
    while True:
        made = {i: clustered(*_mesh(model, i), cell) for i in wanted}
        if sum(len(faces) for _, faces in made.values()) <= FACES:
            break
        cell *= _COARSER
    return [_packed_mesh(*made[i]) if i in made else None for i in range(model.nmesh)]


def _number(rows: np.ndarray) -> np.ndarray:
    """Return one number for each row (n, 3) of small counts: equal rows, equal numbers."""
    size = rows.max(initial=0) + 1
    return (rows[:, 0] * size + rows[:, 1]) * size + rows[:, 2]


def _mesh(model: mujoco.MjModel, i: int) -> tuple[np.ndarray, np.ndarray]:
    first, n = model.mesh_vertadr[i], model.mesh_vertnum[i]
    vertices = model.mesh_vert[first : first + n].astype(float)
    first, n = model.mesh_faceadr[i], model.mesh_facenum[i]
    return vertices, model.mesh_face[first : first + n].astype(int)


def _packed_mesh(vertices: np.ndarray, faces: np.ndarray) -> dict | None:
    if not len(faces):
        return None
    low, high = vertices.min(0), vertices.max(0)
    steps = np.rint((vertices - low) / np.maximum(high - low, 1e-9) * 65535)
    return {
        "low": [round(float(x), 6) for x in low],
        "high": [round(float(x), 6) for x in high],
        "vertices": base64.b64encode(steps.astype("<u2").tobytes()).decode("ascii"),
        "faces": base64.b64encode(faces.astype("<u2").tobytes()).decode("ascii"),
    }
