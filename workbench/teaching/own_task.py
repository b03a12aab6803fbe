"""What the lesson about a task of one's own needs: the worked example, its networks, its figure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectory
from workbench.shipped.checkout import CLONE
from workbench.tasks import Family
from workbench.tuning.prompt_kinds import PROMPTS
from workbench.viewing.figures.colours import look

CLASS = {
    "behaviour": "--env-steps 120000 --snapshots 12 --n-steps 128 --batch-size 256 --lr 0.001 "
    "--gamma 0.95",
    "pretrain": "--steps 1500 --warmup 100 --batch-size 32 --n-layers 2 --width 64",
    "diffuser": "--steps 1500",
}
"""Flags that make the example's networks in the time of a class."""
QUICK = {
    "behaviour": "--env-steps 64 --n-envs 2 --n-steps 8 --batch-size 8 --n-epochs 1 --width 6 "
    "--snapshots 3",
    "collect": "--episodes 2",
    "pretrain": "--steps 2 --batch-size 4 --n-layers 1 --width 16 --context-length 4",
    "diffuser": "--steps 2 --batch-size 4 --guided-batch-size 4 --width 16",
}
"""Flags that only show that everything works: a test, not to learn."""


def example(folder: Path, training: Mapping[str, str] = CLASS) -> Path:
    """Copy the example of the documentation into a folder, with flags of its own; return it.

    Raises:
        ValueError: if the repository with the example is not there.
    """
    if CLONE is None:
        raise ValueError("The examples lie in a clone of the repository: work in one.")
    text = (CLONE / "docs" / "examples" / "pendulum.py").read_text()
    flags = "".join(f"        {verb!r}: {words!r},\n" for verb, words in training.items())
    path = folder / "pendulum.py"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("\n)\n", f"\n    training={{\n{flags}    }},\n)\n"))
    return path


def at_random(family: Family, tasks: Sequence[int]) -> dict[str, Trajectory]:
    """Return an episode of random actions in each task, filmed, by what the task is."""
    found = {}
    for index in tasks:
        policy = UniformPolicy(len(family.actions))
        (episode,) = evaluate(policy, family.task(index), (0,), filmed=1).trajectories
        found[f"task {index}"] = episode
    return found


def make_networks(family: str, work: Path) -> str:
    """Run ``reproduce-assets`` for a family of a plug-in; return what it printed.

    Args:
        family: Its name.
        work: Where data and checkpoints go.

    Raises:
        RuntimeError: if a step fails, with its last words.
    """
    steps = ("behaviour", "collect", "demos", "pretrain", "diffuser")
    words = [sys.executable, "-m", "workbench", "reproduce-assets", family, "--work", str(work)]
    words += ["--only", *steps]
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    if done.returncode:
        raise RuntimeError(f"It stopped. The last words:\n{done.stderr[-1500:]}")
    return done.stdout


def prompts_matter(rows: Sequence[Mapping[str, object]]) -> go.Figure:
    """Draw the return under each kind of prompt, a dot for each task, a tick for the mean.

    Args:
        rows: Of ``tuning.prompt_kinds.compare_prompts``.
    """
    table = pd.DataFrame(rows)
    figure = go.Figure()
    for kind in PROMPTS:
        of = table[table["prompt"] == kind]
        words = [f"task {task}" for task in of["task"]]
        mark = {"color": look(kind).colour, "size": 10}
        figure.add_scatter(
            x=of["return_mean"],
            y=[kind] * len(of),
            text=words,
            mode="markers",
            marker=mark,
            showlegend=False,
        )
        tick = {"symbol": "line-ns-open", "size": 26, "color": look(kind).colour}
        figure.add_scatter(
            x=[of["return_mean"].mean()], y=[kind], mode="markers", marker=tick, showlegend=False
        )
    figure.update_layout(title="Return under each kind of prompt", xaxis_title="return")
    return figure
