import base64

import mujoco
import numpy as np
import pytest

from workbench.viewing.scene import meshes


def ball(n=60):
    """A sphere of radius 1 m as a grid of longitudes and latitudes, faces counter-clockwise."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    height = np.linspace(-np.pi / 2, np.pi / 2, n // 2 + 1)
    points = np.array(
        [(np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)) for b in height for a in angle]
    )
    faces = []
    for ring in range(n // 2):
        for i in range(n):
            a, b = ring * n + i, ring * n + (i + 1) % n
            faces += [(a, b, b + n), (a, b + n, a + n)]
    return points, np.array(faces)


def area_and_volume(points, faces):
    a, b, c = (points[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    return np.linalg.norm(cross, axis=-1).sum() / 2, (cross * a).sum() / 6


@pytest.mark.parametrize("cell", [0.15, 0.25])
def test_a_clustered_mesh_keeps_its_shape_and_sides(cell):
    points, faces = ball()
    small, fewer = meshes.clustered(points, faces, cell)
    assert len(fewer) < len(faces) / 2
    assert fewer.max() == len(small) - 1
    assert len(np.unique(np.sort(fewer, -1), axis=0)) == len(fewer), "a face comes twice"
    before, after = area_and_volume(points, faces), area_and_volume(small, fewer)
    np.testing.assert_allclose(after, before, rtol=0.12)
    assert after[1] > 0, "the faces look inward"
    assert np.abs(np.linalg.norm(small, axis=-1) - 1).max() < cell


def test_faces_that_shrink_to_nothing_go():
    points = np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0], [1, 0, 0], [0, 1, 0]])
    small, faces = meshes.clustered(points, np.array([[0, 1, 2], [1, 3, 4], [3, 4, 2]]), 0.1)
    assert len(faces) == 1, "both are one face, seen from the same side"
    assert len(small) == 3
    small, faces = meshes.clustered(points, np.array([[0, 1, 2]]), 0.1)
    assert len(small) == len(faces) == 0


def test_packed_meshes_unpack_to_within_a_fraction_of_a_millimetre(monkeypatch):
    points, faces = ball()
    text = " ".join(f"{x:.6f}" for x in points.ravel())
    face = " ".join(map(str, faces.ravel()))
    model = mujoco.MjModel.from_xml_string(f"""<mujoco><asset>
        <mesh name='a' vertex='{text}' face='{face}'/><mesh name='b' vertex='{text}'/>
        </asset><worldbody><geom type='mesh' mesh='a'/><geom type='mesh' mesh='b'/></worldbody>
        </mujoco>""")
    monkeypatch.setattr(meshes, "FACES", 900)
    first, second = meshes.packed(model, [0])
    assert second is None, "nobody asked for it"
    vertices = np.frombuffer(base64.b64decode(first["vertices"]), "<u2").reshape(-1, 3)
    low, high = np.array(first["low"]), np.array(first["high"])
    sent = np.frombuffer(base64.b64decode(first["faces"]), "<u2").reshape(-1, 3)
    assert 300 < len(sent) <= 900
    unpacked = low + vertices / 65535 * (high - low)
    assert np.abs(np.linalg.norm(unpacked, axis=-1) - 1).max() < 0.1
    assert area_and_volume(unpacked, sent)[1] == pytest.approx(4.19, rel=0.1)
