"""Films of recorded states: which renderer draws them, and what is in them."""

import time

import imageio.v2 as imageio
import numpy as np
import pytest

from tests.viewing.scene.conftest import episode
from workbench.tasks import FAMILIES
from workbench.viewing.scene import render


@pytest.fixture
def fresh():
    render.backend.cache_clear()
    yield
    render.backend.cache_clear()


def film(data, tmp_path):
    (tmp_path / "film.mp4").write_bytes(data)
    return np.stack(imageio.mimread(tmp_path / "film.mp4", memtest=False)).astype(float)


def test_sizes_and_states_that_make_no_film_are_refused(task, states):
    with pytest.raises(ValueError, match="even"):
        render.video(task, states, width=321)
    with pytest.raises(ValueError, match="at least one row"):
        render.video(task, states[:0])


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
    monkeypatch.delenv("WORKBENCH_RENDERER", raising=False)  # what an earlier verb was told
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
