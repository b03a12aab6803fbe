"""All data of a task that nothing was trained on, collected when it is first asked for.

Full fine-tuning (Prompt-DT-FT-Full of arXiv 2411.01168, table 1) learns from it. Published is the
replay buffer of a whole training; from as few as pretraining has of each task, 20 of each quality,
it only learns them by heart.
"""

from __future__ import annotations

from pathlib import Path

from workbench.data.behaviour import collect
from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Trajectory
from workbench.data.trajectory_files import header_of, load_trajectories, save_trajectories
from workbench.shipped import assets
from workbench.tasks import Task

FOLDER = Path("data/full")
EPISODES = 200
"""Trajectories per quality."""
_FIRST_SEED = 90_000


def full_data(task: Task) -> tuple[Trajectory, ...]:
    """Return trajectories of each quality, from ``data/full`` or collected anew into it.

    The shipped behaviour policies act, which know every goal.
    """
    found: list[Trajectory] = []
    for number, quality in enumerate(QUALITIES):
        path = FOLDER / task.family / f"{task.index}-{quality}.safetensors"
        made_by = {
            "policy": assets.sha256(assets.policy_path(task.family, quality))[:16],
            "episodes": EPISODES,
        }
        if not made_by.items() <= header_of(path).items():
            policy = assets.behaviour(task.family, quality)
            seed = _FIRST_SEED + number * 1_000 + task.index
            save_trajectories(path, collect(policy, task, EPISODES, seed), **made_by)
        found += load_trajectories(path)
    return tuple(found)
