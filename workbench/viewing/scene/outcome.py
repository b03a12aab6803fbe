"""What an episode came to, and a comparison, in words that anybody reads: always computed."""

from __future__ import annotations

import numpy as np

from workbench.data.trajectory import Trajectory
from workbench.tasks import find
from workbench.viewing.scene.appearance import curve_of, ending_of, view_of


def outcome(episode: Trajectory) -> str:
    """Return what the robot did in an episode, such as "runs at 0.58 of 0.6 m/s".

    What is measured is averaged over the second half, when the robot has started.

    Args:
        episode: With its states, but where it is filmed.
    """
    task = episode.task
    family, view = find(task.family), view_of(task.family)
    if view.outcome is not None:
        curve = curve_of(task, episode.states, episode.rewards)
        words = view.outcome(float(curve[len(curve) // 2 :].mean()), task.goal)
    else:
        words = f"earns {episode.rewards.mean():.2f} a step".replace("-", "−")
    if family.succeeded is not None:
        done = bool(family.succeeded(episode.rewards))
        words += ", which counts as reached" if done else ", which does not count as reached"
    states = np.zeros((len(episode), 0)) if episode.states is None else episode.states
    ended = ending_of(task, states)
    return f"{words} and {ended}" if ended else words


def verdict(a: str, b: str, mean: float, half: float) -> str:
    """Return which of two earned more, with the 95 % interval of the paired difference b − a.

    Args:
        a: Name of the first.
        b: Name of the second.
        mean: Mean difference.
        half: Half the width of its interval.
    """
    better, worse, gain = (b, a, mean) if mean > 0 else (a, b, -mean)
    digits = 0 if gain + half >= 100 else 1
    low, high = (f"{v:+,.{digits}f}".replace("-", "−") for v in (gain - half, gain + half))
    interval = f"{gain:+,.{digits}f} [{low}, {high}]"
    if gain > half:
        return f"{better} earns more than {worse}: {interval}"
    return f"whether {better} earns more than {worse} is undecided: {interval}"
