"""What there is to draw and where it is, without any graphics library."""

import dataclasses
import json

import mujoco
import numpy as np
import pytest

from tests.viewing.scene.conftest import episode
from workbench.tasks import FAMILIES, find, make
from workbench.viewing.scene import geometry, meshes


def test_poses_are_those_of_the_full_simulation(task, states):
    poses = geometry.poses(task, states)
    model = make(task).model
    data = mujoco.MjData(model)
    assert poses.shape == (len(states), model.ngeom, 7)
    assert poses.dtype == np.float32
    for state, pose in zip(states, poses, strict=True):
        data.qpos[:], data.qvel[:] = state[: model.nq], state[model.nq :]
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(pose[:, :3], data.geom_xpos, atol=1e-5)
        for quaternion, frame in zip(pose[:, 3:], data.geom_xmat, strict=True):
            turned = np.empty(9)
            mujoco.mju_quat2Mat(turned, quaternion.astype(float))
            np.testing.assert_allclose(turned, frame, atol=1e-5)


def test_poses_turn_in_three_dimensions(task, monkeypatch):
    model = mujoco.MjModel.from_xml_string("""<mujoco><worldbody><body><freejoint/>
        <geom type='box' size='.1 .2 .3' pos='.1 .2 .3' euler='10 50 -70'/>
        <body euler='80 -20 30'><geom type='capsule' size='.1 .2' euler='-40 30 20'/></body>
        </body></worldbody></mujoco>""")
    monkeypatch.setattr(geometry, "model_of", lambda task: (model, model.nq + model.nv))
    data = mujoco.MjData(model)
    data.qpos[:] = [1, 2, 3, 0.5, -0.1, 0.7, 0.5]  # a unit quaternion
    mujoco.mj_forward(model, data)
    pose = geometry.poses(task, np.concatenate([data.qpos, data.qvel])[None])[0]
    for i in range(model.ngeom):
        turned = np.empty(9)
        mujoco.mju_quat2Mat(turned, pose[i, 3:].astype(float))
        np.testing.assert_allclose(turned, data.geom_xmat[i], atol=1e-5)
        np.testing.assert_allclose(pose[i, :3], data.geom_xpos[i], atol=1e-5)


def test_states_that_do_not_fit_are_refused(task, states):
    with pytest.raises(ValueError, match=r"must be \(T, 18\).*got \(12, 17\)"):
        geometry.poses(task, states[:, 1:])


def test_scene_is_json_and_follows_what_moves(task, states):
    scene = json.loads(json.dumps(geometry.scene(task), allow_nan=False))
    model = make(task).model
    assert [g["type"] for g in scene["geoms"]] == ["plane"] + ["capsule"] * 8
    np.testing.assert_allclose([g["size"] for g in scene["geoms"]], model.geom_size, atol=1e-5)
    assert all(g["visible"] for g in scene["geoms"])
    tracked = geometry.poses(task, states)[:, scene["camera"]["track"]]
    assert np.ptp(tracked[:, 0]) > 0.01
    assert scene["dt"] == 0.05
    assert (scene["floor"], scene["ground"], scene["meshes"]) == (0, 0, [])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_seen(name):
    task, states = episode(name, 3)
    text = json.dumps(geometry.scene(task), allow_nan=False)
    assert len(text) < 200_000, "the geometry is too large to send to a browser"
    scene, model = json.loads(text), make(task).model
    shown = [geom for geom in scene["geoms"] if geom["visible"]]
    assert sum(geom["type"] != "plane" for geom in shown) >= 3
    assert all(scene["meshes"][geom["mesh"]] for geom in shown if geom["type"] == "mesh")
    assert scene["marks"], "nothing shows the goal"
    assert 0.5 < scene["camera"]["distance"] < 12
    poses = geometry.poses(task, states)
    assert poses.shape == (3, model.ngeom, 7)
    np.testing.assert_allclose(np.linalg.norm(poses[..., 3:], axis=-1), 1, atol=1e-5)
    assert np.abs(np.diff(poses, axis=0)).max() > 1e-4, "nothing moves"


def test_collision_shapes_are_not_drawn_and_meshes_are_few_faces():
    task = find("reach").task(5)
    scene, model = geometry.scene(task), make(task).model
    visible = np.array([geom["visible"] for geom in scene["geoms"]])
    assert not visible[model.geom_group > 2].any()
    assert not visible[model.geom_rgba[:, 3] == 0].any()
    faces = [len(mesh["faces"]) * 3 // 4 // 6 for mesh in scene["meshes"] if mesh]
    assert 2_000 < sum(faces) <= meshes.FACES < model.mesh_facenum.sum() / 5
    assert scene["ground"] == 0 > scene["floor"], "shadows fall on the table"
    assert scene["camera"]["track"] is None
    assert scene["marks"][0]["vector"] == list(task.goal)
    assert scene["marks"][0]["size"] == 0.05


def test_a_family_without_a_view_gets_a_camera_that_shows_it(monkeypatch):
    family = dataclasses.replace(find("ant-dir"), name="unheard-of")
    monkeypatch.setitem(FAMILIES, family.name, family)
    task = family.task(0)
    scene = geometry.scene(task)
    assert (scene["marks"], scene["trail"], scene["ruler"]) == ([], "", False)
    camera = scene["camera"]
    assert camera["track"] == 1
    # the ant, 1.8 m across its legs, fills a third to all of the picture's height
    assert 0.33 < 0.9 / (camera["distance"] * np.tan(np.radians(camera["fovy"]) / 2)) < 1
