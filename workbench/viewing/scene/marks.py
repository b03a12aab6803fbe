"""The marks of a goal as plain shapes in the world, for the renderers that make pictures here.

The browser draws the same marks in its own way (``player/js/marks.js``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

GOAL = (0.80, 0.20, 0.55)
"""Colour of what marks a goal. Whatever the colour blindness, it differs from robots, floors and
tables."""
REACHED = (0.0, 0.62, 0.42)
PACE = (0.15, 0.18, 0.22)
TRAIL = (0.08, 0.30, 0.58)
_RADIUS = {"floor": 0.03, "space": 0.005}  # of a trail, metres
_POINTS = 120  # of a trail, at most
_FAR = 9  # metres from the robot: ticks beyond are not drawn


@dataclass(frozen=True, eq=False)
class Shape:
    """A round line, or a ball where there is one point.

    Attributes:
        points: (n, 3) metres.
        radius: Metres.
        rgba: In [0, 1].
        label: What a reader calls it, written over its last point; "" for nothing.
    """

    points: np.ndarray
    radius: float
    rgba: tuple[float, float, float, float]
    label: str = ""


def shapes(
    described: Mapping[str, Any], path: np.ndarray, step: int, seconds: float, robot: np.ndarray
) -> Iterator[Shape]:
    """Yield what to draw at one step, translucent things last.

    Args:
        described: ``marks`` and ``trail`` from ``View.described``, and ``floor`` in metres.
        path: (T, 3) where what moves is at each step, metres.
        step: Which step it is.
        seconds: Since the episode began.
        robot: (3,) what the camera follows.
    """
    floor, now = described["floor"] or 0.0, path[step]
    if described["trail"] and step:
        every = -(-step // _POINTS)
        points = path[sorted({*range(0, step, every), step})]
        if described["trail"] == "floor":
            points = np.column_stack([points[:, :2], np.full(len(points), floor + 0.015)])
        yield Shape(points, _RADIUS[described["trail"]], (*TRAIL, 1.0))
    for mark in described["marks"]:
        vector, size = np.array(mark["vector"]), mark["size"]
        across = np.array([-vector[1], vector[0], 0])
        if mark["kind"] == "ball":
            inside = np.linalg.norm(now - vector) <= size
            rgba = (*(REACHED if inside else GOAL), 0.5)
            yield Shape(vector[None], size, rgba, mark["label"])
        elif mark["kind"] == "pace":
            foot = np.array([*path[0, :2], floor]) + vector * seconds + [0, 0.3, 0]
            post = np.stack([foot, foot + np.array([0, 0, size])])
            yield Shape(post, 0.012, (*PACE, 1.0), mark["label"])
        elif mark["kind"] == "arrow":
            tail = np.array([*robot[:2], floor + 0.04]) + size * vector - mark["aside"] * across
            tip = tail + 0.9 * vector
            barbs = [tip + 0.16 * side * across - 0.24 * vector for side in (-1, 1)]
            yield Shape(np.stack([tail, tip]), 0.03, (*GOAL, 1.0), mark["label"])
            yield Shape(np.stack([barbs[0], tip, barbs[1]]), 0.03, (*GOAL, 1.0))
        elif mark["kind"] == "line":
            start = np.array([*path[0, :2], floor + 0.01])
            reach = size * (int(np.linalg.norm(start - robot) / size) + _FAR)
            yield Shape(np.stack([start, start + reach * vector]), 0.012, (*GOAL, 1.0))
            for away in np.arange(size, reach, size):
                at = start + away * vector
                if np.linalg.norm(at - robot) < _FAR:
                    ends = [at - 0.1 * across, at + 0.1 * across]
                    yield Shape(np.stack(ends), 0.012, (*GOAL, 1.0))
