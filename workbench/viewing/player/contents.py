"""What the player shows, as values, and how they are packed for the browser.

A column is one tuning run: the denoising of its prompt, as it was after 0, 10, … updates, and the
episodes that the prompts led to. All columns share one scene, one clock and the names of the
variables. ``js/read.js`` unpacks what is packed here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.data.films import Film

MAX_COLUMNS = 4
MAX_POSES = 160_000
"""Bytes of poses that travel, all episodes together; beyond, fewer poses a second do."""


@dataclass(frozen=True, eq=False)
class EpisodeReplay:
    """One episode to replay.

    Attributes:
        poses: (T, n_geoms, 7) from ``geometry.poses``: metres (3), unit quaternion wxyz (4).
        rewards: Of each step, (T,) raw.
        measured: What the chart beside the return shows, per step, (T,) in its unit; or None.
        path: Where what moves is, (T, 3) metres, if its way is to be drawn; or None.
        ending: Why the episode ended before its time, such as ``"fell after 83 steps"``.
        update: Updates of the tuning after which it was recorded.
        terms: What each step's reward is the sum of, (T,) each by name; may be empty.
        actions: Of each step, (T, A); or None.
        stands: Whether it only stands where an episode begins, for want of a recorded one; its
            values are not drawn then, and ``ending`` says why.
        reading: How strongly each number of the prompt moves the action at some steps, from
            ``reading.reading_of``, (M, K*, D); or None.
        reading_steps: Those steps, (M,), rising.
        film: What it looked like, where there are no poses; or None.
    """

    poses: np.ndarray
    rewards: np.ndarray
    measured: np.ndarray | None = None
    path: np.ndarray | None = None
    ending: str = ""
    update: int = 0
    terms: Mapping[str, np.ndarray] = field(default_factory=dict)
    actions: np.ndarray | None = None
    stands: bool = False
    reading: np.ndarray | None = None
    reading_steps: Sequence[int] = ()
    film: Film | None = None

    def __post_init__(self):
        steps = len(self.rewards)
        if self.poses.ndim != 3 or self.poses.shape[::2] != (steps, 7) or not steps:
            raise ValueError(
                f"`poses` must be (T, n_geoms, 7) with one row per reward: got {self.poses.shape} "
                f"with {steps} rewards. Use `geometry.poses(task, trajectory.states)`."
            )
        wanted = {"measured": (steps,), "path": (steps, 3)}
        values = {name: getattr(self, name) for name in wanted}
        wanted |= {f"terms[{name!r}]": (steps,) for name in self.terms}
        values |= {f"terms[{name!r}]": value for name, value in self.terms.items()}
        for name, value in values.items():
            if value is not None and np.shape(value) != wanted[name]:
                raise ValueError(
                    f"`{name}` must be {wanted[name]}, one row per reward: got {np.shape(value)}."
                )
        if self.actions is not None and (self.actions.ndim != 2 or len(self.actions) != steps):
            raise ValueError(
                f"`actions` must be (T, A), one row per reward: got {self.actions.shape}."
            )
        if self.reading is not None and len(self.reading) != len(self.reading_steps):
            raise ValueError(
                f"`reading` must be (M, K*, D) with M the length of `reading_steps`: got "
                f"{self.reading.shape} and {len(self.reading_steps)}."
            )


@dataclass(frozen=True, eq=False)
class Chain:
    """How one prompt came out of the same noise at U moments of its tuning, in N diffusion steps.

    A prompt that nothing denoised is a chain of N = 0 steps.

    Attributes:
        updates: Updates done at each moment, (U,), rising.
        x: The prompt at diffusion steps N, N-1, ..., 0, (U, N+1, K*, D) normalised: the first is
            pure noise, the last the finished prompt.
        x0_hat: The model's guess of the finished prompt at steps N, ..., 1, (U, N, K*, D).
        distance: Of ``x`` from the nearest recorded transitions, (U, N+1); or None.
        guess_distance: Of ``x0_hat``, (U, N); or None.
        frames: Which of 0 .. N have a one-step error, (F,), rising.
        error: One-step error of ``x`` there, (U, F); or None.
        guess_error: Of ``x0_hat``, (U, F) without frame N; or None.
    """

    updates: Sequence[int]
    x: np.ndarray
    x0_hat: np.ndarray
    distance: np.ndarray | None = None
    guess_distance: np.ndarray | None = None
    frames: Sequence[int] = ()
    error: np.ndarray | None = None
    guess_error: np.ndarray | None = None

    def __post_init__(self):
        if self.x.ndim != 4 or 0 in self.x.shape:
            raise ValueError(f"`x` must be (U, N + 1, K*, D), none of them 0: got {self.x.shape}.")
        moments, n, length, d = self.x.shape
        inner = [i for i in self.frames if i < n - 1]
        for name, shape in (
            ("x0_hat", (moments, n - 1, length, d)),
            ("updates", (moments,)),
            ("distance", (moments, n)),
            ("guess_distance", (moments, n - 1)),
            ("error", (moments, len(self.frames))),
            ("guess_error", (moments, len(inner))),
        ):
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                raise ValueError(
                    f"`{name}` must be {shape} beside `x` {self.x.shape}: got {np.shape(value)}."
                )
        if any(b <= a for a, b in zip(self.updates, self.updates[1:], strict=False)):
            raise ValueError(f"`updates` must rise: got {list(self.updates)}.")


@dataclass(frozen=True, eq=False)
class PlayerColumn:
    """One run beside others.

    Attributes:
        name: ``"A"``.
        label: What a reader calls it, such as ``"Prompt Diffuser, projection off"``.
        colour: ``"#rrggbb"``, the same in the replay and in every curve.
        episodes: By rising update; may be empty while there is none.
        chain: Its prompt; None for what acts without one.
    """

    name: str
    label: str
    colour: str
    episodes: Sequence[EpisodeReplay] = ()
    chain: Chain | None = None

    def __post_init__(self):
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f"`colour` must look like '#1f77b4': got {self.colour!r}.")


@dataclass(frozen=True)
class Chart:
    """What ``EpisodeReplay.measured`` is, for the chart beside the return.

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
class Demos:
    """What one set of demonstrations looks like, to hold prompts against.

    Attributes:
        columns: Names of the columns that are tuned on it, such as ``("A", "B")``.
        colour: ``"#rrggbb"`` of the first of them: where there are several sets, they have it.
        band: 5th, 50th and 95th percentile of its pieces of K* rows, (3, K*, D) normalised.
        points: Such pieces on the map, (M, 2); or None.
        spacing: 5th, 50th and 95th percentile of the distance between recorded rows; nan where it
            is not known.
        recorded_error: One-step error of recorded rows; nan where it is not known.
    """

    columns: Sequence[str]
    colour: str
    band: np.ndarray
    points: np.ndarray | None
    spacing: Sequence[float]
    recorded_error: float


@dataclass(frozen=True, eq=False)
class Variables:
    """The D columns of a prompt and what the demonstrations look like there.

    Attributes:
        names: Of the D variables.
        units: (D) strings.
        groups: For each variable the group it is shown under, such as ``"observation"``.
        mean: (D,) raw.
        scale: (D,) raw units per normalised unit: raw = mean + scale * normalised.
        left_out: How many variables are not among the D because they are always 0.
        demos: Each different set of demonstrations once.
        centre, axes, share: The plane of the map, see ``realism.PrincipalPlane``; or None.
        why_no_error: Why there are no one-step errors, in words; "" where there are.
    """

    names: Sequence[str]
    units: Sequence[str]
    groups: Sequence[str]
    mean: np.ndarray
    scale: np.ndarray
    left_out: int = 0
    demos: Sequence[Demos] = ()
    centre: np.ndarray | None = None
    axes: np.ndarray | None = None
    share: np.ndarray | None = None
    why_no_error: str = ""

    def __post_init__(self):
        for name in ("units", "groups", "mean", "scale"):
            if len(getattr(self, name)) != len(self.names):
                raise ValueError(
                    f"`{name}` must have one entry for each of the {len(self.names)} variables: "
                    f"got {len(getattr(self, name))}."
                )


def packed_column(column: PlayerColumn, moving: list[int], every: int) -> dict[str, Any]:
    """Return a column as plain JSON: poses of the geoms ``moving`` at each ``every``-th step."""
    return {
        "name": column.name,
        "label": column.label,
        "colour": column.colour,
        "episodes": [_packed_episode(e, moving, every) for e in column.episodes],
        "chain": None if column.chain is None else _packed_chain(column.chain),
    }


def packed_variables(variables: Variables) -> dict[str, Any]:
    """Return the variables as plain JSON."""
    return {
        **{name: [str(word) for word in getattr(variables, name)] for name in _WORDS},
        **{name: _floats(getattr(variables, name)) for name in _NUMBERS},
        "left_out": int(variables.left_out),
        "share": None if variables.share is None else [float(x) for x in variables.share],
        "demos": [
            {
                "columns": [str(name) for name in demos.columns],
                "colour": demos.colour,
                "band": _fixed(demos.band),
                "points": None if demos.points is None else _fixed(demos.points),
                "spacing": _finite(demos.spacing),
                "recorded_error": (_finite([demos.recorded_error]) or [None])[0],
            }
            for demos in variables.demos
        ],
        "why_no_error": variables.why_no_error,
    }


_WORDS, _NUMBERS = ("names", "units", "groups"), ("mean", "scale", "centre", "axes")


def moving_geoms(
    episodes: Sequence[EpisodeReplay], scene: Mapping[str, Any]
) -> tuple[list[int], dict[str, list[float]]]:
    """Return the shown geoms that move in any episode, and the pose of each that does not."""
    if not episodes:
        return [], {}
    tracked = scene["camera"]["track"]
    shown = np.array([geom["visible"] for geom in scene["geoms"]], bool)
    shown[[] if tracked is None else tracked] = True
    first = episodes[0].poses[0]
    moves = np.any([(e.poses != first).any((0, 2)) for e in episodes], 0)
    fixed = {str(i): [float(v) for v in first[i]] for i in np.flatnonzero(shown & ~moves)}
    return np.flatnonzero(shown & moves).tolist(), fixed


def steps_per_pose(episodes: Sequence[EpisodeReplay], n_moving: int, dt: float) -> int:
    """Return how many steps lie between two poses that travel: some 30 a second, if they fit."""
    every, bytes_each = max(1, int(0.035 / dt)), 14 * n_moving  # 7 numbers of 2 bytes
    while every < 8:
        n_poses = sum(-(-len(e.rewards) // every) for e in episodes)
        if bytes_each * n_poses <= MAX_POSES:
            break
        every += 1
    return every


def _packed_episode(episode: EpisodeReplay, moving: list[int], every: int) -> dict[str, Any]:
    poses = episode.poses[::every, moving]
    return {
        "update": int(episode.update),
        "steps": len(episode.rewards),
        "ending": episode.ending,
        "stands": bool(episode.stands),
        "every": every,  # steps from one pose to the next
        "position": _fixed(poses[..., :3]),
        "quaternion": _fixed(poses[..., 3:]),
        "path": None if episode.path is None else _fixed(episode.path[::every]),
        "rewards": _floats(episode.rewards),
        "measured": _floats(episode.measured),
        "terms": {str(name): _fixed(values) for name, values in episode.terms.items()},
        "actions": None if episode.actions is None else _fixed(episode.actions),
        "reading": _floats(episode.reading),
        "reading_steps": [int(t) for t in episode.reading_steps],
        "film": None if episode.film is None else _packed_film(episode.film),
    }


def _packed_film(film: Film) -> dict[str, Any]:
    numbers = {name: getattr(film, name) for name in ("n", "every", "columns", "width", "height")}
    return {**numbers, "sheet": _base64(film.sheet, "u1")}


def _packed_chain(chain: Chain) -> dict[str, Any]:
    moments, n, length, d = chain.x.shape
    measures = ("distance", "guess_distance", "error", "guess_error")
    return {
        "updates": [int(u) for u in chain.updates],
        "shape": [moments, n - 1, length, d],
        "x": _fixed(chain.x),
        "x0_hat": _fixed(chain.x0_hat),
        "frames": [int(i) for i in chain.frames],
        **{name: _floats(getattr(chain, name)) for name in measures},
    }


def _fixed(array: np.ndarray) -> dict[str, Any]:
    """Quantise numbers to 16 bits, as whole multiples of one small number: half of float32."""
    array = np.asarray(array, np.float64)
    by = float(np.abs(array).max(initial=0.0)) / 32767 or 1.0
    return {"by": by, "whole": _base64(np.rint(array / by), "<i2")}


def _floats(array: np.ndarray | None) -> str | None:
    return None if array is None else _base64(array, "<f4")


def _base64(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode("ascii")


def _finite(values: Sequence[float]) -> list[float] | None:
    """Return numbers for JSON, or None if one of them is not finite."""
    return [float(v) for v in values] if np.isfinite(values).all() else None
