"""Draws one film in a process of its own, started by ``render.video``.

A broken graphics driver takes its process along, and MuJoCo fixes its renderer when it is imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v2 as imageio
import mujoco
import numpy as np

from workbench.viewing.scene import marks, raycast


class Frame(NamedTuple):
    """One picture to draw: the simulator's data, the point looked at (3,), the goal's marks."""

    data: mujoco.MjData
    at: np.ndarray
    shapes: tuple[marks.Shape, ...]


def frames(
    model: mujoco.MjModel, states: np.ndarray, path: np.ndarray, job: Mapping[str, Any]
) -> Iterator[Frame]:
    """Yield what to draw for each state.

    Args:
        model: What to draw.
        states: (T, S) raw simulator states, ``qpos`` first.
        path: (T, 3) where what moves is, metres.
        job: ``camera`` as in ``render.scene``, ``described`` for ``marks.shapes``, ``dt`` seconds
            from one state to the next.
    """
    data, camera, at = mujoco.MjData(model), job["camera"], None
    part = 1 - 0.5 ** (job["dt"] / 0.05)  # of the way to the robot that the camera makes good
    for step, state in enumerate(states):
        data.qpos[:] = state[: model.nq]
        mujoco.mj_forward(model, data)
        now = np.array(camera["at"], float)
        if camera["track"] is not None:
            now[:2] = data.geom_xpos[camera["track"]][:2]
        at = now if at is None else at + part * (now - at)
        shapes = marks.shapes(job["described"], path, step, step * job["dt"], now)
        yield Frame(data, at, tuple(shapes))


def gl_pictures(model, frames, size, view, colours) -> Iterator[np.ndarray]:
    """Draw frames with MuJoCo's renderer; the arguments are those of ``raycast.pictures``."""
    # Together these cost ten times as much as all the rest of the picture.
    model.vis.quality.shadowsize = model.vis.quality.offsamples = 0
    model.mat_reflectance[:] = 0
    model.vis.global_.fovy = view["fovy"]
    model.vis.global_.offwidth, model.vis.global_.offheight = size
    model.tex_data[:] = (160 + 0.3 * model.tex_data).astype(np.uint8)  # a calmer floor
    moving = model.body_weldid[model.geom_bodyid] > 0
    model.geom_rgba[moving], model.geom_matid[moving] = colours[moving], -1
    options, camera = mujoco.MjvOption(), mujoco.MjvCamera()
    options.sitegroup[:] = 0  # the marks show the goal
    camera.azimuth, camera.elevation = view["azimuth"], view["elevation"]
    camera.distance = view["distance"]
    with mujoco.Renderer(model, size[1], size[0]) as renderer:
        for data, at, shapes in frames:
            camera.lookat[:] = at
            renderer.update_scene(data, camera, options)
            for shape in shapes:
                _add(renderer.scene, shape)
            yield renderer.render()


def _add(scene: mujoco.MjvScene, shape: marks.Shape) -> None:
    capsule, ball = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    pairs = list(zip(shape.points[:-1], shape.points[1:], strict=True))
    for ends in pairs or [None]:
        if scene.ngeom >= scene.maxgeom:
            return
        geom, rgba = scene.geoms[scene.ngeom], np.array(shape.rgba, np.float32)
        kind, size, at = (capsule, 0, 0) if ends else (ball, shape.radius, shape.points[0])
        mujoco.mjv_initGeom(
            geom, kind, np.full(3, size, float), np.zeros(3) + at, np.eye(3).ravel(), rgba
        )
        if ends:
            mujoco.mjv_connector(geom, kind, shape.radius, *ends)
        geom.emission, geom.specular, geom.transparent = 0.15, 0.0, shape.rgba[3] < 1
        scene.ngeom += 1


def gif(film: bytes, most: float = 25.0) -> bytes:
    """Return an mp4 as a GIF that repeats, at no more than ``most`` pictures per second."""
    with imageio.get_reader(film, format="mp4") as reader:
        fps = reader.get_meta_data()["fps"]
        every = max(1, round(fps / most))
        pictures = [picture for i, picture in enumerate(reader) if i % every == 0]
    return imageio.mimwrite("<bytes>", pictures, format="gif", duration=1000 * every / fps, loop=0)


def _main(folder: Path) -> None:
    """Draw the job in ``folder``, one line of progress per picture."""
    job = json.loads((folder / "job.json").read_text())
    model = mujoco.MjModel.from_binary_path(str(folder / "model.mjb"))
    states, path, colours = (np.load(folder / f"{n}.npy") for n in ("states", "path", "colours"))
    draw = raycast.pictures if job["backend"] == "ray" else gl_pictures
    size = job["width"], job["height"]
    pictures = draw(model, frames(model, states, path, job), size, job["camera"], colours)
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


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
