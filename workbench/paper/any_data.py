"""Data of every quality on every robot: what is made of them with and without being told the task.

Table 2, of Cheetah-vel alone, asks what bad data cost. Here the same is asked of the other robots,
where prompt and few-shot data are of one quality: the untuned prompt that is cut from them, Prompt
Diffuser as published, adapted to them, and told the task, not adapted. Compare shows it below
table 2.
"""

from __future__ import annotations

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.tasks import SHIPPED, find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec

NAME = "any-data"
"""Of the sweep, and of the shipped results: ``assets/results/any-data.parquet``."""
SEEDS = (0, 1, 2)
ROWS = {
    "Prompt-DT, a prompt of these data": "prompt-dt",
    "Prompt Diffuser (as published)": "prompt-diffuser",
    "Prompt Diffuser, told the task (ours)": "informed-diffuser",
}
"""Row → key of ``CHOSEN``."""


def cell(row: str, family: str, quality: str, seeds: tuple[int, ...] = SEEDS) -> list[RunSpec]:
    """Return the runs of one row on one robot from one quality: seeds by tasks."""
    return [
        chosen(ROWS[row], family, task.index, quality=quality, seed=seed)
        for seed in seeds
        for task in evaluated_tasks(find(family))
    ]


def specs() -> list[RunSpec]:
    """Return every run, each once: those that are adapted last."""
    order = sorted(ROWS, key=lambda row: chosen(ROWS[row], SHIPPED[0], 0).updates)
    return [
        run
        for row in order
        for family in SHIPPED
        for quality in QUALITIES
        for run in cell(row, family, quality)
    ]


COLUMNS = (
    "row", "family", "quality", "iqm", "iqm_low", "iqm_high", "share", "share_low", "share_high",
    "seconds", "seeds", "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per row of ``ROWS``, robot and quality: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds. ``share``: mean difference to the same row from expert data,
        paired by seed and task, as a share of the distance between the random and the expert
        behaviour policy (``scores.normalised``), with its interval; missing from expert data.
        ``seconds``: wall time a run; ``runs`` were found ``of`` those wanted. A cell counts the
        ``seeds`` that ran all tasks; with none it is empty.
    """
    records = []
    for row in ROWS:
        for family in SHIPPED:
            expert = None
            for quality in QUALITIES:
                said, matrix = runs.summed_up(cell(row, family, quality))
                record = {"row": row, "family": family, "quality": quality} | said
                if len(matrix):
                    matrix = matrix.apply(lambda c, f=family: scores.normalised(f, c.name, c))
                if quality == QUALITIES[0]:
                    expert = matrix
                elif less := scores.paired_difference(matrix, expert):
                    record |= less.named("share")
                records.append(record)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    measured = [name for name in COLUMNS if name.startswith(("iqm", "share", "seconds"))]
    return table.astype(dict.fromkeys(measured, float))
