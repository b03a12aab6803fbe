"""The player: one clock over the denoising chain, the replays and their return curves.

The ``player*.js`` files draw all of it in the browser. This side packs values into one payload of
plain JSON and mounts the module, in Streamlit (:func:`player`) or in a notebook (:func:`widget`).
It knows neither files nor models.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAX_RUNS = 4
_HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Run:
    """One episode to replay.

    Attributes:
        label: What a reader calls it, such as ``"with the generated prompt"``.
        colour: ``"#rrggbb"``, the same in the replay and in the curves.
        poses: (T, n_geoms, 7) from ``render.poses``: metres (3), unit quaternion wxyz (4).
        rewards: Of each step, (T,) raw.
        measured: What the chart beside the return shows, per step, (T,) in its unit; or None.
        path: Where what moves is, (T, 3) metres, if its way is to be drawn; or None.
        ending: Why the episode ended before its time, such as ``"fell after 83 steps"``.
    """

    label: str
    colour: str
    poses: np.ndarray
    rewards: np.ndarray
    measured: np.ndarray | None = None
    path: np.ndarray | None = None
    ending: str = ""

    def __post_init__(self):
        steps = len(self.rewards)
        if self.poses.ndim != 3 or self.poses.shape[::2] != (steps, 7) or not steps:
            raise ValueError(
                f"`poses` must be (T, n_geoms, 7) with one row per reward: got {self.poses.shape} "
                f"with {steps} rewards. Use `render.poses(task, trajectory.states)`."
            )
        for name, shape in (("measured", (steps,)), ("path", (steps, 3))):
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise ValueError(
                    f"`{name}` must be {shape}, one row per reward: got {np.shape(value)}."
                )
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f"`colour` must look like '#1f77b4': got {self.colour!r}.")


@dataclass(frozen=True)
class Chart:
    """What ``Run.measured`` is, for the chart beside the return.

    Attributes:
        title: Of the chart, without the unit.
        name: Short, for the line under a replay.
        unit: Of the values.
        target: The value that is wanted, as a dashed line; or None.
        target_label: Text of that line, such as ``"target 1.2 m/s"``.
        seconds: Values are averaged over so much time; 0 for what each state shows by itself.
        digits: After the decimal point.
    """

    title: str
    name: str
    unit: str = ""
    target: float | None = None
    target_label: str = ""
    seconds: float = 0.5
    digits: int = 2


@dataclass(frozen=True, eq=False)
class Chain:
    """How one prompt came out of noise, in N steps.

    Attributes:
        x: The prompt at diffusion steps N, N-1, ..., 0, (N+1, K*, D) normalised: the first is
            pure noise, the last the finished prompt.
        x0_hat: The model's guess of the finished prompt at steps N, ..., 1, (N, K*, D) normalised.
        mean: (D,) raw.
        scale: (D,) raw units per normalised unit: raw = mean + scale * normalised.
        names: Of the D variables, in the order of the columns.
        units: (D) strings.
        groups: For each variable the group it is shown under, such as ``"observations"``.
        label: What a reader calls this prompt.
    """

    x: np.ndarray
    x0_hat: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    names: Sequence[str]
    units: Sequence[str]
    groups: Sequence[str]
    label: str = ""

    def __post_init__(self):
        if self.x.ndim != 3 or len(self.x) < 2:
            raise ValueError(f"`x` must be (N + 1, K*, D) with N >= 1: got {self.x.shape}.")
        n, length, d = self.x.shape
        if self.x0_hat.shape != (n - 1, length, d):
            raise ValueError(
                f"`x0_hat` must be {(n - 1, length, d)}, one row fewer than `x`: "
                f"got {self.x0_hat.shape}."
            )
        for name in ("mean", "scale", "names", "units", "groups"):
            if len(getattr(self, name)) != d:
                raise ValueError(
                    f"`{name}` must have one entry for each of the {d} variables: "
                    f"got {len(getattr(self, name))}."
                )


def payload(
    *,
    id: str,
    scene: Mapping[str, Any],
    runs: Sequence[Run] = (),
    chain: Chain | None = None,
    chart: Chart | None = None,
    autoplay: bool = False,
) -> dict[str, Any]:
    """Pack everything the player draws into plain JSON.

    Arrays travel as base64 of little-endian float32, quaternions as int16 (32767 = 1). Geoms
    that never move are sent once, what is not shown never, and no more than some 30 poses a
    second. Two Cheetah episodes and a chain make about 120 KB; of reach, 340 KB.

    Args:
        id: Names this content. The playhead survives new data with the same id and returns to
            the start when the id changes.
        scene: From ``render.scene``.
        runs: Up to ``MAX_RUNS``, all in this scene.
        chain: The prompt's denoising, played before the runs.
        chart: What ``Run.measured`` of the runs is; without it, only the return is plotted.
        autoplay: Play once when this id first appears, unless the reader prefers less motion.

    Raises:
        ValueError: if there is nothing to show, too much, or runs of another scene.
    """
    runs = tuple(runs)
    if not runs and chain is None:
        raise ValueError("There is nothing to show: pass `runs`, a `chain`, or both.")
    if len(runs) > MAX_RUNS:
        raise ValueError(f"`runs` must be at most {MAX_RUNS}: got {len(runs)}.")
    n_geoms = len(scene["geoms"])
    for run in runs:
        if run.poses.shape[1] != n_geoms:
            raise ValueError(
                f"Every run must have the scene's {n_geoms} geoms: "
                f"{run.label!r} has {run.poses.shape[1]}."
            )
    moving, still = _moving(runs, scene)
    every = max(1, int(0.035 / scene["dt"]))
    return {
        "id": str(id),
        "scene": {**scene, "still": still},
        "moving": moving,
        "runs": [_packed_run(run, moving, every) for run in runs],
        "chain": None if chain is None else _packed_chain(chain),
        "chart": None if chart is None else asdict(chart),
        "autoplay": bool(autoplay),
    }


def player(payload: Mapping[str, Any], *, key: str, height: int | None = None):
    """Mount the player in a Streamlit page.

    Args:
        payload: From :func:`payload`.
        key: Streamlit's identity of the element; keep it while the id changes.
        height: Pixels, or as much as the content needs.
    """
    return _component()(key=key, data=dict(payload), height="content" if height is None else height)


def widget(payload: Mapping[str, Any]):
    """Return the player as an anywidget; ``widget.payload = ...`` shows something else."""
    return _widget_class()(payload=dict(payload))


@functools.cache
def source() -> tuple[str, str]:
    """Return the player as one ES module without imports, and its style sheet."""
    parts = ("math", "raster", "marks", "painter", "views")
    names = [*(f"player_{part}.js" for part in parts), "player.js"]
    js = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)
    js = re.sub(r"^import .*\n", "", js, flags=re.M)
    js = re.sub(r"^export (?!default)", "", js, flags=re.M)
    return js, (_HERE / "player.css").read_text(encoding="utf-8")


@functools.cache
def _component():
    """Declare the component once; Streamlit is imported here so that notebooks need not have it."""
    import streamlit as st

    # The text itself, not a path: a string with a line break is taken for inline source.
    js, css = source()
    return st.components.v2.component("workbench_player", css=css, js=js)


@functools.cache
def _widget_class():
    import anywidget
    import traitlets

    class PlayerWidget(anywidget.AnyWidget):
        """The player in a notebook."""

        _esm, _css = source()
        payload = traitlets.Dict().tag(sync=True)

    return PlayerWidget


def _moving(
    runs: Sequence[Run], scene: Mapping[str, Any]
) -> tuple[list[int], dict[str, list[float]]]:
    """Return the shown geoms that move in any run, and the pose of each that does not."""
    if not runs:
        return [], {}
    tracked = scene["camera"]["track"]
    shown = np.array([geom["visible"] for geom in scene["geoms"]])
    shown[[] if tracked is None else tracked] = True
    first = runs[0].poses[0]
    moves = np.any([(run.poses != first).any((0, 2)) for run in runs], 0)
    still = {str(i): [float(v) for v in first[i]] for i in np.flatnonzero(shown & ~moves)}
    return np.flatnonzero(shown & moves).tolist(), still


def _packed_run(run: Run, moving: list[int], every: int) -> dict[str, Any]:
    poses = run.poses[::every, moving]
    return {
        "label": run.label,
        "colour": run.colour,
        "steps": len(run.rewards),
        "ending": run.ending,
        "every": every,  # steps from one pose to the next
        "position": _base64(poses[..., :3], "<f4"),
        "quaternion": _base64(np.rint(poses[..., 3:] * 32767), "<i2"),
        "path": None if run.path is None else _base64(run.path[::every], "<f4"),
        "rewards": _base64(run.rewards, "<f4"),
        "measured": None if run.measured is None else _base64(run.measured, "<f4"),
    }


def _packed_chain(chain: Chain) -> dict[str, Any]:
    n, length, d = chain.x0_hat.shape
    return {
        "label": chain.label,
        "shape": [n, length, d],
        "x": _base64(chain.x, "<f4"),
        "x0_hat": _base64(chain.x0_hat, "<f4"),
        "mean": _base64(chain.mean, "<f4"),
        "scale": _base64(chain.scale, "<f4"),
        "names": [str(name) for name in chain.names],
        "units": [str(unit) for unit in chain.units],
        "groups": [str(group) for group in chain.groups],
    }


def _base64(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")
