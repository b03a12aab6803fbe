"""The program of the child process that draws one film, started by ``render.video``.

A process of its own, since a broken graphics driver takes its process along, and since MuJoCo
chooses its renderer once, when it is imported.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workbench.viewing.scene import marks, raycast
from workbench.viewing.scene.clips import mp4_writer


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
        job: ``camera`` as in ``geometry.scene``, ``described`` for ``marks.shapes``, ``dt`` seconds
            from one state to the next.
    """
    data, camera, at = mujoco.MjData(model), job["camera"], None
    # The camera follows smoothly: its distance to where it should be halves every 0.05 s.
    part = 1 - 0.5 ** (job["dt"] / 0.05)
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
    # Without a graphics card, shadow maps, multisampling and reflections together cost ten times as
    # much as all the rest of the picture.
    model.vis.quality.shadowsize = model.vis.quality.offsamples = 0
    model.mat_reflectance[:] = 0
    model.vis.global_.fovy = view["fovy"]
    model.vis.global_.offwidth, model.vis.global_.offheight = size
    model.tex_data[:] = (160 + 0.3 * model.tex_data).astype(np.uint8)  # paler, see colours_of
    moving = model.body_weldid[model.geom_bodyid] > 0
    model.geom_rgba[moving], model.geom_matid[moving] = colours[moving], -1
    options, camera = mujoco.MjvOption(), mujoco.MjvCamera()
    options.sitegroup[:] = 0  # no sites of the model: our marks show the goal
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


def projected(point: np.ndarray, at: np.ndarray, view: Mapping[str, float], size) -> np.ndarray:
    """Return where a point of the world is in a picture, (2,) pixels; nan behind the camera.

    Args:
        point: (3,) metres.
        at: What the camera looks at, (3,) metres.
        view: ``azimuth``, ``elevation`` and vertical ``fovy`` in degrees, ``distance`` in metres.
        size: Width and height in pixels.
    """
    azimuth, elevation = np.radians([view["azimuth"], view["elevation"]])
    ahead = np.array([np.cos(azimuth), np.sin(azimuth), 0]) * np.cos(elevation)
    ahead[2] = np.sin(elevation)
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0])
    away = np.asarray(point) - (at - view["distance"] * ahead)
    depth = away @ ahead
    if depth <= 0:
        return np.full(2, np.nan)
    scale = size[1] / 2 / np.tan(np.radians(view["fovy"]) / 2) / depth
    return np.array(size) / 2 + scale * np.array([away @ right, -away @ np.cross(right, ahead)])


def named(picture: np.ndarray, frame: Frame, view: Mapping[str, float]) -> np.ndarray:
    """Return a picture with the goal's marks called by their names, at the edge if out of sight.

    Args:
        picture: (H, W, 3) uint8.
        frame: What was drawn.
        view: See ``projected``.
    """
    height, width = picture.shape[:2]
    image, font = Image.fromarray(picture), ImageFont.load_default(size=max(11, height // 26))
    draw = ImageDraw.Draw(image)
    for shape in frame.shapes:
        x, y = projected(shape.points[-1], frame.at, view, (width, height))
        if not shape.label or np.isnan(x):
            continue
        text = f"< {shape.label}" if x < 0 else f"{shape.label} >" if x > width else shape.label
        room = draw.textlength(text, font=font) / 2 + 6
        place = (float(np.clip(x, room, width - room)), float(np.clip(y - 5, 16, height - 4)))
        ink = tuple(int(255 * part) for part in shape.rgba[:3])
        draw.text(place, text, ink, font, "ms", stroke_width=2, stroke_fill="white")
    return np.asarray(image)


def _main(folder: Path) -> None:
    """Draw the job in ``folder``, one line of progress per picture."""
    job = json.loads((folder / "job.json").read_text())
    model = mujoco.MjModel.from_binary_path(str(folder / "model.mjb"))
    states, path, colours = (np.load(folder / f"{n}.npy") for n in ("states", "path", "colours"))
    draw = raycast.pictures if job["backend"] == "ray" else gl_pictures
    size = job["width"], job["height"]
    to_draw, to_name = itertools.tee(frames(model, states, path, job))
    pictures = draw(model, to_draw, size, job["camera"], colours)
    with mp4_writer(folder / "film.mp4", job["fps"]) as film:
        for i, (picture, frame) in enumerate(zip(pictures, to_name, strict=True)):
            film.append_data(named(picture, frame, job["camera"]))
            sys.stdout.write(f"{(i + 1) / len(states)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
