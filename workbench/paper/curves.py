"""How fast each method learns: the return over what it has read, and over seconds.

Every method is given the same budget, ``BUDGET`` contexts, and evaluated on its way; in the tables
each has the budget that was chosen for it, which is marked.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.tasks import find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import CHOSEN, chosen
from workbench.tuning.spec import RunSpec

NAME = "curves"
"""Of the sweep, and of the shipped results: ``assets/results/curves.parquet``."""
FAMILY = "cheetah-vel"
SEEDS = (0, 1, 2)
EPISODES = 10
BUDGET = 12_800
"""Contexts that each method reads: 400 updates of 32."""
NEAR = 0.1
"""A prompt is useful within this share of the expert prompt's return."""
REFERENCE = "Prompt-DT, expert prompt"


@dataclasses.dataclass(frozen=True)
class Curve:
    """One line of the figure.

    Attributes:
        row: Its name in table 1.
        key: Of ``CHOSEN``.
        contexts: That one update reads; a round of Prompt-Tuning DT reads its batch once for each
            candidate and prompt.
        every: Updates between two evaluations.
        at_once: Whether its prompts are made without any update, so that it is a point.
    """

    row: str
    key: str
    contexts: int
    every: int
    at_once: bool = False

    @property
    def updates(self) -> int:
        """As many as the budget allows."""
        return 0 if self.at_once else round(BUDGET / self.contexts)

    @property
    def own(self) -> int:
        """Contexts that it reads in the tables."""
        return CHOSEN[self.key][1] * self.contexts


CURVES = (
    Curve(REFERENCE, "prompt-dt", 0, 0, at_once=True),
    Curve("Prompt Diffuser, told the task (ours)", "informed-diffuser", 0, 0, at_once=True),
    Curve("Prompt Diffuser", "prompt-diffuser", 32, 50),
    Curve("Soft Prompt", "soft-prompt", 32, 50),
    Curve("Adaptor", "adapter", 32, 50),
    Curve("Prompt-DT-FT", "prompt-dt-ft", 256, 10),
    Curve("Prompt-Tuning DT", "prompt-tuning-dt", 600, 3),
)


def cell(curve: Curve, quality: str) -> list[RunSpec]:
    """Return the runs of one line from one quality of data: seeds by tasks."""
    return [
        dataclasses.replace(
            chosen(curve.key, FAMILY, task.index, quality=quality, seed=seed),
            updates=curve.updates,
            eval_every=curve.every,
            episodes=EPISODES,
        )
        for seed in SEEDS
        for task in evaluated_tasks(find(FAMILY))
    ]


def specs() -> list[RunSpec]:
    """Return every run, a whole quality and a seed of every line first: a part tells something."""
    found = [
        spec
        for quality in QUALITIES
        for seed in SEEDS
        for curve in CURVES
        for spec in cell(curve, quality)
        if spec.seed == seed
    ]
    return list({spec.id: spec for spec in found}.values())


COLUMNS = (
    "row", "quality", "update", "contexts", "own", "seconds", "iqm", "iqm_low", "iqm_high", "seeds",
    "tasks",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per line, quality and evaluation, of what ``runs`` have.

    Returns:
        ``COLUMNS``. ``contexts`` were read until then, ``own`` are what the tables allow;
        ``seconds``: median over the runs of the time spent in updates; ``iqm``: interquartile mean
        of returns over seeds and tasks, raw, with its 95 % interval over the seeds that ran all
        tasks.
    """
    tasks = [task.index for task in evaluated_tasks(find(FAMILY))]
    records = []
    for quality in QUALITIES:
        for curve in CURVES:
            found = runs.find(cell(curve, quality))
            points = [
                {"seed": run["seed"], "task": run["task"], **point}
                for _, run in found.iterrows()
                for point in points_of(run["curve"])
            ]
            for update, part in pd.DataFrame(points).groupby("update") if points else ():
                matrix = scores.matrix(part, tasks)
                if len(matrix):
                    estimate = scores.iqm(matrix.to_numpy())
                    record = {"row": curve.row, "quality": quality, "update": update}
                    record |= {"contexts": update * curve.contexts, "own": curve.own}
                    record |= {"seconds": part["seconds"].median(), "iqm": estimate.value}
                    record |= {"iqm_low": estimate.low, "iqm_high": estimate.high}
                    records.append(record | {"seeds": len(matrix), "tasks": len(tasks)})
    return pd.DataFrame(records, columns=list(COLUMNS))


def points_of(text: str) -> list[dict[str, float]]:
    """Return the evaluations of a run from its ``curve``: update, seconds so far, mean return."""
    names = ("update", "seconds", "return_mean")
    return [dict(zip(names, point, strict=True)) for point in json.loads(text or "[]")]


def useful(table: pd.DataFrame) -> pd.DataFrame:
    """Return when each line first comes within ``NEAR`` of the expert prompt's return.

    Args:
        table: Of ``assemble``.

    Returns:
        Columns ``row``, ``quality``; ``target``; ``seconds`` and ``contexts`` of the first
        evaluation whose IQM reaches it, nan where none does; ``best``, the highest IQM.
    """
    at = table[(table["row"] == REFERENCE) & (table["quality"] == QUALITIES[0])]
    if at.empty:
        return pd.DataFrame(columns=["row", "quality", "target", "seconds", "contexts", "best"])
    target = at["iqm"].iloc[0] - NEAR * abs(at["iqm"].iloc[0])
    records = []
    for (quality, row), part in table.groupby(["quality", "row"], sort=False):
        there = part[part["iqm"] >= target].sort_values("update")
        first = there.iloc[0] if len(there) else {"seconds": np.nan, "contexts": np.nan}
        record = {"row": row, "quality": quality, "target": target, "best": part["iqm"].max()}
        records.append(record | {name: first[name] for name in ("seconds", "contexts")})
    return pd.DataFrame(records)
