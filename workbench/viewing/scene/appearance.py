"""How each family is shown: its camera, the marks of its goal, the curve to plot.

A family that is not in ``VIEWS`` gets a camera that follows what moves and its reward as the curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from workbench.tasks import Family, Task, find
from workbench.tasks.rewards import REACH_RADIUS

Goal = tuple[float, ...]


@dataclass(frozen=True)
class Camera:
    """Where the camera stands, in metres and MuJoCo's degrees.

    Attributes:
        azimuth: 90 looks along +y with +x to the right.
        elevation: Negative looks down.
        at: Point looked at; None for the middle of what moves.
        distance: From that point; None for as much as shows all that moves.
        fovy: Vertical field of view.
        beside: What must fit to either side of the point looked at, however narrow the picture;
            None for half of what moves.
        follows: Whether x and y of the point follow the robot.
    """

    azimuth: float = 90.0
    elevation: float = -14.0
    at: tuple[float, float, float] | None = None
    distance: float | None = None
    fovy: float = 34.0
    beside: float | None = None
    follows: bool = True


@dataclass(frozen=True)
class Mark:
    """Something of the goal, drawn into the scene.

    Attributes:
        kind: ``"ball"``: around the point ``vector``, ``size`` its radius.
            ``"arrow"``: on the floor, along the unit ``vector``; it begins ``size`` ahead of the
            robot and ``aside`` to its right.
            ``"line"``: on the floor from where the episode began, along the unit ``vector``, with
            a tick every ``size``.
            ``"pace"``: a post of height ``size`` that starts with the robot and keeps the speed
            ``vector``, in m/s.
        vector: (3,), see above.
        size: Metres, see above.
        label: Two or three words for a reader.
        aside: Metres, see above.
    """

    kind: Literal["ball", "arrow", "line", "pace"]
    vector: tuple[float, float, float]
    size: float
    label: str
    aside: float = 0.0


@dataclass(frozen=True)
class Curve:
    """What is plotted beside the return, and against what.

    Attributes:
        title: Of the chart, without the unit.
        name: Short, for the line under a replay.
        unit: Of the values.
        values: ``(positions (T, 3), rewards (T,), goal, dt) -> (T,)``, one value per step.
        target: The value that is wanted, as a dashed line; None for no line.
        target_words: What to write on that line.
        seconds: Rates are averaged over so much time; 0 for what each state shows by itself.
        digits: After the decimal point.
    """

    title: str
    name: str
    unit: str
    values: Callable[[np.ndarray, np.ndarray, Goal, float], np.ndarray]
    target: Callable[[Goal], float | None] = lambda goal: None
    target_words: Callable[[Goal], str] = lambda goal: ""
    seconds: float = 0.5
    digits: int = 2


def _reward(positions, rewards, goal, dt):
    return rewards


def _ended(states: np.ndarray, dt: float) -> str:
    return f"ended after {len(states)} steps"


@dataclass(frozen=True)
class View:
    """How one family is shown.

    Attributes:
        camera: Where it is looked at from.
        marks: What shows the goal, ``goal -> marks``.
        curve: What is plotted beside the return.
        trail: Where the path of what moves is drawn: on the floor, in space, or not at all ("").
        ruler: Whether every metre of x is written on the floor.
        ground: Height of what shadows fall on; None for the floor.
        words: What the goal asks for; None for label, number and unit.
        ending: Why an episode was shorter than the horizon, ``(states (T, S), dt) -> words``.
        outcome: What the robot did, after "A …", by the curve's mean over the second half of an
            episode, ``(mean, goal) -> words``; None says what it earned.
    """

    camera: Camera = Camera(elevation=-25.0)
    marks: Callable[[Goal], tuple[Mark, ...]] = lambda goal: ()
    curve: Curve = Curve("Reward of the step", "reward of the step", "", _reward)
    trail: Literal["", "floor", "space"] = ""
    ruler: bool = False
    ground: float | None = None
    words: Callable[[Goal], str] | None = None
    ending: Callable[[np.ndarray, float], str] = _ended
    outcome: Callable[[float, Goal], str] | None = None

    def described(self, goal: Goal) -> dict[str, Any]:
        """Return what a scene says of its view: JSON-able, all but the camera."""
        return {
            "marks": [
                dataclasses.asdict(mark) | {"vector": list(mark.vector)}
                for mark in self.marks(goal)
            ],
            "trail": self.trail,
            "ruler": self.ruler,
        }


def view_of(family: str) -> View:
    """Return how a family is shown; the default for one that says nothing."""
    return VIEWS.get(family, View())


def goal_words(task: Task) -> str:
    """Return what a task asks for, such as ``"run at 0.6 m/s"`` or ``"walk towards 69°"``."""
    family, view = find(task.family), view_of(task.family)
    return view.words(task.goal) if view.words else _plain_words(family, task.goal)


def curve_of(task: Task, states: np.ndarray | None, rewards: np.ndarray) -> np.ndarray:
    """Return the family's curve over an episode.

    Args:
        task: Names the family and the goal.
        states: (T, S) raw simulator states, or None where they are not known.
        rewards: (T,) raw.

    Returns:
        (T,) in the unit of the family's ``Curve``.
    """
    family = find(task.family)
    if states is None:
        states = np.zeros((len(rewards), 0))
    positions = family.position_of(np.asarray(states, np.float64))
    rewards = np.asarray(rewards, np.float64)
    return view_of(task.family).curve.values(positions, rewards, task.goal, family.dt)


def ending_of(task: Task, states: np.ndarray) -> str:
    """Return why an episode ended before its horizon, or "" if it did not."""
    family = find(task.family)
    if len(states) >= family.horizon:
        return ""
    return view_of(task.family).ending(np.asarray(states, np.float64), family.dt)


def _plain_words(family: Family, goal: Goal) -> str:
    return f"{family.goal_label} {', '.join(f'{x:g}' for x in goal)} {family.goal_unit}".strip()


def _speed_along(positions: np.ndarray, direction: tuple[float, ...], dt: float) -> np.ndarray:
    """Return the speed of each step, (T,) m/s, from positions (T, 3) before the steps.

    The state after the last action is not stored, so the last value repeats the one before.
    """
    if len(positions) < 2:
        return np.zeros(len(positions))
    speed = np.diff(positions, axis=0)[:, : len(direction)] @ np.array(direction) / dt
    return np.append(speed, speed[-1:])


def _ahead(goal: Goal) -> tuple[float, float, float]:
    """Return the unit vector of a heading in radians."""
    return float(np.cos(goal[0])), float(np.sin(goal[0])), 0.0


def _distance(positions, rewards, goal, dt):
    return np.linalg.norm(positions - goal, axis=-1)


def _ant_ended(states: np.ndarray, dt: float) -> str:
    """Tell a fall from a jump by where the torso was going: its height is qpos 2, its rate qvel 2.

    An ant's episode ends below 0.2 m and above 1.0 m; 0.6 lies between the two.
    """
    low = states[-1, 2] + dt * states[-1, 15 + 2] < 0.6
    return f"{'fell' if low else 'jumped too high'} after {len(states)} steps"


def _way_kept(verb: str) -> Callable[[float, Goal], str]:
    """Return what says of a robot that ``verb``s which way it went."""

    def words(speed: float, goal: Goal) -> str:
        return f"{verb} the {'right' if speed > 0 else 'wrong'} way at {abs(speed):.1f} m/s"

    return words


_CHEETAH = Camera(at=(0.0, 0.0, 0.5), distance=2.9, beside=1.0)
VIEWS: Mapping[str, View] = {
    "cheetah-vel": View(
        camera=_CHEETAH,
        marks=lambda goal: (Mark("pace", (goal[0], 0.0, 0.0), 1.02, "target pace"),),
        curve=Curve(
            title="Forward speed",
            name="forward speed",
            unit="m/s",
            values=lambda positions, _, goal, dt: _speed_along(positions, (1.0,), dt),
            target=lambda goal: goal[0],
            target_words=lambda goal: f"target {goal[0]:g} m/s",
        ),
        ruler=True,
        words=lambda goal: f"run at {goal[0]:g} m/s",
        outcome=lambda speed, goal: f"runs at {speed:.2f} of {goal[0]:g} m/s".replace("-", "−"),
    ),
    "cheetah-dir": View(
        camera=_CHEETAH,
        marks=lambda goal: (
            Mark("arrow", (goal[0], 0.0, 0.0), -0.45, "wanted direction", aside=0.45 * goal[0]),
        ),
        curve=Curve(
            title="Speed in the wanted direction",
            name="speed that way",
            unit="m/s",
            values=lambda positions, _, goal, dt: _speed_along(positions, (goal[0],), dt),
        ),
        ruler=True,
        words=lambda goal: "run forward" if goal[0] > 0 else "run backward",
        outcome=_way_kept("runs"),
    ),
    "ant-dir": View(
        camera=Camera(elevation=-52.0, at=(0.0, 0.0, 0.3), distance=6.8, beside=2.0),
        marks=lambda goal: (
            Mark("arrow", _ahead(goal), 1.25, "wanted heading"),
            Mark("line", _ahead(goal), 1.0, "wanted way"),
        ),
        curve=Curve(
            title="Speed along the heading",
            name="speed that way",
            unit="m/s",
            values=lambda positions, _, goal, dt: _speed_along(positions, _ahead(goal), dt),
        ),
        trail="floor",
        words=lambda goal: f"walk towards {np.degrees(goal[0]) % 360:.0f}°",
        ending=_ant_ended,
        outcome=_way_kept("walks"),
    ),
    "reach": View(
        camera=Camera(
            azimuth=222.0,
            elevation=-22.0,
            at=(0.03, 0.52, 0.27),
            distance=1.75,
            beside=0.6,
            follows=False,
        ),
        marks=lambda goal: (Mark("ball", goal, REACH_RADIUS, "target"),),
        curve=Curve(
            title="Distance to the target",
            name="distance",
            unit="m",
            values=_distance,
            target=lambda goal: REACH_RADIUS,
            target_words=lambda goal: f"reached within {REACH_RADIUS:g} m",
            seconds=0.0,
            digits=3,
        ),
        trail="space",
        ground=0.0,
        outcome=lambda away, goal: f"stays {away:.3f} m from the target",
        words=lambda goal: f"reach ({', '.join(f'{x:.2f}' for x in goal)}) m",
    ),
}
