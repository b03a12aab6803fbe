import dataclasses
import json
import time

import imageio.v2 as imageio
import mujoco
import numpy as np
import pytest

from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import rollout, trajectories_of
from workbench.tasks import FAMILIES, find, make
from workbench.viewing.scene import meshes, render


@pytest.fixture(scope="module")
def task():
    return find("cheetah-vel").task(15)


@pytest.fixture(scope="module")
def states(task):
    env, rng = make(task), np.random.default_rng(0)
    env.reset(seed=0)
    out = []
    for _ in range(12):
        out.append(env.state())
        env.step(rng.uniform(-1, 1, 6))
    return np.array(out)


def episode(name, steps):
    """The first states of a random episode of a family's first test task."""
    family = find(name)
    task, transitions = family.tasks("test")[0], []
    for transition in rollout(UniformPolicy(len(family.actions)), task, [0]):
        transitions.append(transition)
        if len(transitions) == steps:
            break
    (trajectory,) = trajectories_of(transitions, task)
    return task, trajectory.states


@pytest.fixture
def fresh():
    render.backend.cache_clear()
    yield
    render.backend.cache_clear()


def film(data, tmp_path):
    (tmp_path / "film.mp4").write_bytes(data)
    return np.stack(imageio.mimread(tmp_path / "film.mp4", memtest=False)).astype(float)


def test_poses_are_those_of_the_full_simulation(task, states):
    poses = render.poses(task, states)
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
    monkeypatch.setattr(render, "_world", lambda task: (model, model.nq + model.nv))
    data = mujoco.MjData(model)
    data.qpos[:] = [1, 2, 3, 0.5, -0.1, 0.7, 0.5]  # a unit quaternion
    mujoco.mj_forward(model, data)
    pose = render.poses(task, np.concatenate([data.qpos, data.qvel])[None])[0]
    for i in range(model.ngeom):
        turned = np.empty(9)
        mujoco.mju_quat2Mat(turned, pose[i, 3:].astype(float))
        np.testing.assert_allclose(turned, data.geom_xmat[i], atol=1e-5)
        np.testing.assert_allclose(pose[i, :3], data.geom_xpos[i], atol=1e-5)


def test_states_that_do_not_fit_are_refused(task, states):
    with pytest.raises(ValueError, match=r"must be \(T, 18\).*got \(12, 17\)"):
        render.poses(task, states[:, 1:])
    with pytest.raises(ValueError, match="even"):
        render.video(task, states, width=321)
    with pytest.raises(ValueError, match="at least one row"):
        render.video(task, states[:0])


def test_scene_is_json_and_follows_what_moves(task, states):
    scene = json.loads(json.dumps(render.scene(task), allow_nan=False))
    model = make(task).model
    assert [g["type"] for g in scene["geoms"]] == ["plane"] + ["capsule"] * 8
    np.testing.assert_allclose([g["size"] for g in scene["geoms"]], model.geom_size, atol=1e-5)
    assert all(g["visible"] for g in scene["geoms"])
    tracked = render.poses(task, states)[:, scene["camera"]["track"]]
    assert np.ptp(tracked[:, 0]) > 0.01
    assert scene["dt"] == 0.05
    assert (scene["floor"], scene["ground"], scene["meshes"]) == (0, 0, [])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_seen(name):
    task, states = episode(name, 3)
    text = json.dumps(render.scene(task), allow_nan=False)
    assert len(text) < 200_000, "the geometry is too large to send to a browser"
    scene, model = json.loads(text), make(task).model
    shown = [geom for geom in scene["geoms"] if geom["visible"]]
    assert sum(geom["type"] != "plane" for geom in shown) >= 3
    assert all(scene["meshes"][geom["mesh"]] for geom in shown if geom["type"] == "mesh")
    assert scene["marks"], "nothing shows the goal"
    assert 0.5 < scene["camera"]["distance"] < 12
    poses = render.poses(task, states)
    assert poses.shape == (3, model.ngeom, 7)
    np.testing.assert_allclose(np.linalg.norm(poses[..., 3:], axis=-1), 1, atol=1e-5)
    assert np.abs(np.diff(poses, axis=0)).max() > 1e-4, "nothing moves"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_makes_a_film_without_a_graphics_library(name, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "candidates", lambda: ["ray"])
    monkeypatch.setattr(render, "backend", lambda: "ray")
    task, states = episode(name, 2)
    frames = film(render.video(task, states, width=96, height=72), tmp_path)
    assert frames.shape == (2, 72, 96, 3)
    assert frames.std((1, 2)).min() > 5, "a picture is nearly uniform"
    if name != "cheetah-vel":  # whose mark is a thin dark post
        red, green, blue = np.moveaxis(frames, -1, 0)
        assert (np.minimum(red, blue) - green).max() > 18, "no mark shows the goal"


def test_collision_shapes_are_not_drawn_and_meshes_are_few_faces():
    task = find("reach").task(5)
    scene, model = render.scene(task), make(task).model
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
    scene = render.scene(task)
    assert (scene["marks"], scene["trail"], scene["ruler"]) == ([], "", False)
    camera = scene["camera"]
    assert camera["track"] == 1
    # the ant, 1.8 m across its legs, fills a third to all of the picture's height
    assert 0.33 < 0.9 / (camera["distance"] * np.tan(np.radians(camera["fovy"]) / 2)) < 1


@pytest.mark.usefixtures("fresh")
def test_backend_degrades_to_the_ray_caster(monkeypatch):
    asked = []
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(render.sys, "platform", "linux")
    monkeypatch.setattr(render, "works_here", lambda name: asked.append(name) or name == "osmesa")
    assert render.backend() == "osmesa"
    assert asked == ["egl", "osmesa"]
    render.backend.cache_clear()
    monkeypatch.setattr(render, "works_here", lambda name: False)
    assert render.backend() == "ray"


@pytest.mark.usefixtures("fresh")
def test_backend_respects_the_environment(monkeypatch):
    monkeypatch.setattr(render, "works_here", lambda name: True)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    assert render.backend() == "osmesa"
    render.backend.cache_clear()
    monkeypatch.setenv("MUJOCO_GL", "disable")
    assert render.backend() == "ray"


def test_a_renderer_that_cannot_load_does_not_work():
    assert not render.works_here("no-such-renderer")


def test_video_by_the_ray_caster(task, states, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "candidates", lambda: ["ray"])
    monkeypatch.setattr(render, "backend", lambda: "ray")
    done = []
    data = render.video(task, states, width=160, height=120, every=2, progress=done.append)
    frames = film(data, tmp_path)
    assert frames.shape == (6, 120, 160, 3)
    assert frames.std((1, 2)).min() > 5, "a picture is nearly uniform"
    assert np.abs(np.diff(frames, axis=0)).mean((1, 2, 3)).min() > 0.2, "nothing moves"
    redness = frames[..., 0] - frames[..., 2]
    assert redness[:, 30:90].max() > 60, "there is no golden robot"
    assert done == sorted(done)
    assert done[-1] == 1
    meta = imageio.get_reader(tmp_path / "film.mp4").get_meta_data()
    assert (meta["codec"], meta["pix_fmt"].split("(")[0], meta["fps"]) == ("h264", "yuv420p", 10)


def test_video_falls_back_when_a_renderer_fails_while_drawing(task, states, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "candidates", lambda: ["no-such-renderer", "ray"])
    monkeypatch.setattr(render, "backend", lambda: "no-such-renderer")
    assert film(render.video(task, states[:2]), tmp_path).shape == (2, 240, 320, 3)


def test_video_says_what_went_wrong(task, states, monkeypatch):
    monkeypatch.setattr(render, "candidates", lambda: ["no-such-renderer"])
    monkeypatch.setattr(render, "backend", lambda: "no-such-renderer")
    with pytest.raises(RuntimeError, match="no-such-renderer"):
        render.video(task, states)


def test_raising_in_progress_cancels(task, states, monkeypatch):
    monkeypatch.setattr(render, "candidates", lambda: ["ray"])
    monkeypatch.setattr(render, "backend", lambda: "ray")
    children, popen = [], render.subprocess.Popen
    monkeypatch.setattr(
        render.subprocess, "Popen", lambda *a, **k: children.append(popen(*a, **k)) or children[-1]
    )

    def stop(_):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        render.video(task, np.repeat(states, 50, 0), progress=stop)
    assert time.monotonic() - began < 10
    assert children[0].poll() is not None


def test_video_by_this_machines_graphics_library(task, states, tmp_path):
    if render.backend() == "ray":
        pytest.skip("neither EGL nor OSMesa works here")
    frames = film(render.video(task, states[:3]), tmp_path)
    assert frames.shape == (3, 360, 480, 3)
    assert frames.std((1, 2)).min() > 5
