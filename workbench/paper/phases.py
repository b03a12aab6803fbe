"""λ and the projection in the first phase of Algorithm 1, and what the adaptation adds.

Each weight and reading has a diffuser of its own, pretrained alike otherwise
(``networks/variants.py``). It is evaluated as it comes, and after the adaptation of the tables,
which is guided as published whatever the pretraining was. The page Ablate draws this table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.methods.projection import Mode
from workbench.networks.variants import VARIANTS
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.tasks import find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec

NAME = "phases"
"""Of the sweep, and of the shipped results: ``assets/results/phases.parquet``."""
FAMILY = "cheetah-vel"
SEEDS = (0, 1, 2)
PLAIN: Mode = "none"


@dataclass(frozen=True)
class Pretraining:
    """How a diffuser was guided while it was pretrained.

    Attributes:
        lam: λ of Eq. 9.
        projection: Reading of Eq. 8 and 9; at λ = 0 there is nothing to project.
        variant: The networks; ``""`` is what ships, with λ = 1 as published.
    """

    lam: float
    projection: str
    variant: str


PRETRAININGS: tuple[Pretraining, ...] = (
    *(
        Pretraining(known.lam, str(known.projection), name)
        for name, known in VARIANTS.items()
        if known.lam is not None
    ),
    Pretraining(1.0, "published", ""),
)
LAMBDAS = tuple(sorted({p.lam for p in PRETRAININGS}))
PROJECTIONS: tuple[Mode, ...] = (PLAIN, "published")


def pretraining(lam: float, projection: str) -> Pretraining:
    """Return the one of a weight and a reading; at λ = 0 both readings are the same."""
    wanted = (lam, projection if lam else PLAIN)
    return next(p for p in PRETRAININGS if (p.lam, p.projection) == wanted)


def cell(
    of: Pretraining, adapted: bool, quality: str, seeds: tuple[int, ...] = SEEDS
) -> list[RunSpec]:
    """Return the runs of one pretraining, before or after the adaptation: seeds by tasks."""
    runs = [
        chosen("prompt-diffuser", FAMILY, t.index, quality=quality, seed=seed, variant=of.variant)
        for seed in seeds
        for t in evaluated_tasks(find(FAMILY))
    ]
    return runs if adapted else [dataclasses.replace(run, updates=0) for run in runs]


def specs() -> list[RunSpec]:
    """Return every run, each once: the short ones first, then a quality after the other."""
    order = [(adapted, quality) for adapted in (False, True) for quality in _ORDER]
    return [run for phase in order for p in PRETRAININGS for run in cell(p, *phase)]


_ORDER = ("medium", "random", "expert")
"""In which qualities are run: a sweep that is stopped early has those where most is at stake."""

COLUMNS = (
    "quality", "adapted", "lam", "projection", "iqm", "iqm_low", "iqm_high", "guided", "guided_low",
    "guided_high", "gain", "gain_low", "gain_high", "seconds", "seeds", "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per quality, phase, projection and λ: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``adapted``: after the adaptation, else as pretrained. ``iqm``: interquartile
        mean of returns over seeds and tasks, raw, with its 95 % interval over seeds. ``guided``:
        mean difference to λ = 0, ``gain``: to the plain sum at the same λ, both paired by seed and
        task, with intervals; missing where it would be a difference to itself. ``seconds``: wall
        time a run; ``runs`` were found ``of`` those wanted. A cell counts the ``seeds`` that ran
        all tasks; with none it is empty.
    """
    tasks = [task.index for task in evaluated_tasks(find(FAMILY))]
    records = []
    for quality in QUALITIES:
        for adapted in (False, True):
            matrices: dict[Pretraining, pd.DataFrame] = {}
            for projection in PROJECTIONS:
                for lam in LAMBDAS:
                    this = pretraining(lam, projection)
                    wanted = cell(this, adapted, quality)
                    found = runs.find(wanted)
                    matrix = scores.matrix(found, tasks) if len(found) else pd.DataFrame()
                    matrices[this] = matrix
                    record = {"quality": quality, "adapted": adapted, "projection": projection}
                    record |= {"lam": lam, "seeds": len(matrix), "tasks": len(tasks)}
                    record |= {"runs": len(found), "of": len(wanted)}
                    if len(matrix):
                        record |= scores.iqm(matrix.to_numpy()).named("iqm")
                        record |= {"seconds": found["seconds"].mean()}
                    for name, other in (
                        ("guided", pretraining(0.0, PLAIN)),
                        ("gain", pretraining(lam, PLAIN)),
                    ):
                        if other != this:
                            record |= _paired(name, matrix, matrices[other])
                    records.append(record)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    whole = ("quality", "adapted", "projection", "seeds", "tasks", "runs", "of")
    return table.astype({name: float for name in COLUMNS if name not in whole})


def _paired(name: str, matrix: pd.DataFrame, other: pd.DataFrame) -> Mapping[str, float]:
    seeds = matrix.index.intersection(other.index)
    if not len(seeds):
        return {}
    pair = matrix.loc[seeds].to_numpy(), other.loc[seeds].to_numpy()
    return scores.difference(*pair).named(name)
