"""How long the chain, how long the prompt: N and K*, of which the paper varies neither.

Each length but the shipped one needs networks of its own: ``networks/variants.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper.measured import Runs
from workbench.tasks import find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec

NAME = "lengths"
"""Of the sweep, and of the shipped results: ``assets/results/lengths.parquet``."""
FAMILY = "cheetah-vel"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Length:
    """A value of one of the two lengths.

    Attributes:
        axis: ``N``, diffusion steps, or ``K*``, rows of the prompt.
        value: How many.
        variant: The networks of that length; ``""`` is what ships.
    """

    axis: str
    value: int
    variant: str


LENGTHS: tuple[Length, ...] = (
    *(Length("N", n, "" if n == 20 else f"n-{n}") for n in (5, 10, 20, 50)),
    *(Length("K*", k, "" if k == 5 else f"k-{k}") for k in (2, 5, 10)),
)
METHODS = {"Prompt Diffuser": "prompt-diffuser", "Prompt-DT": "prompt-dt"}
"""What is run at each length, as in the tables; N makes no difference to the untuned prompt."""


def cell(
    length: Length, method: str, quality: str, seeds: tuple[int, ...] = SEEDS
) -> list[RunSpec]:
    """Return the runs of one length and method from one quality of data: seeds by tasks."""
    fields = {"quality": quality, "variant": length.variant}
    runs = [
        chosen(method, FAMILY, task.index, seed=seed, **fields)
        for seed in seeds
        for task in evaluated_tasks(find(FAMILY))
    ]
    return [run.untuned for run in runs] if method == "prompt-dt" else runs


def specs() -> list[RunSpec]:
    """Return every run, each once, expert data first: a sweep stopped early has a whole quality."""
    found = [
        spec
        for quality in QUALITIES
        for method in METHODS.values()
        for length in LENGTHS
        for spec in cell(length, method, quality)
    ]
    return list({spec.id: spec for spec in found}.values())


COLUMNS = (
    "axis", "value", "method", "quality", "iqm", "iqm_low", "iqm_high", "seconds", "seeds", "tasks",
    "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per length, method and quality: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds; ``seconds``: wall time a run; ``runs`` were found ``of`` those
        wanted. A cell counts the ``seeds`` that ran all tasks; with none it is empty.
    """
    records = []
    for length in LENGTHS:
        for label, method in METHODS.items():
            for quality in QUALITIES:
                place = {"axis": length.axis, "value": length.value, "method": label}
                said, _ = runs.summed_up(cell(length, method, quality))
                records.append(place | {"quality": quality} | said)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("iqm", "iqm_low", "iqm_high", "seconds"), float))
