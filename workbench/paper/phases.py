"""λ and the projection in the first phase of Algorithm 1, and what the adaptation adds.

Each weight and reading has diffusers of its own, pretrained alike otherwise
(``networks/variants.py``). The published one is evaluated as it comes, and after the adaptation of
the tables, which is guided as published whatever the pretraining was; the one that is told the
task as it comes, for it is not tuned. The page Ablate draws this table.
"""

from __future__ import annotations

import dataclasses

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
PROJECTIONS: tuple[Mode, ...] = (PLAIN, "published")
BEFORE, AFTER, TOLD = "as pretrained", "after 400 updates", "told the task, not tuned"
STAGES = {BEFORE: "prompt-diffuser", AFTER: "prompt-diffuser", TOLD: "informed-diffuser"}
"""When a diffuser is evaluated → its method."""
_NETWORKS = {"prompt-diffuser": "diffuser", "informed-diffuser": "informed"}

_PRETRAININGS: dict[tuple[float, str], str] = {
    (known.lam, str(known.projection)): name
    for name, known in VARIANTS.items()
    if known.lam is not None
}
LAMBDAS = tuple(sorted({lam for lam, _ in _PRETRAININGS}))


def variant(lam: float, projection: str, stage: str) -> str:
    """Return the variant that was pretrained so; ``""`` is what ships.

    At λ = 0 there is nothing to project: both readings are the same.
    """
    name = _PRETRAININGS[lam, projection if lam else PLAIN]
    return name if VARIANTS[name].changes(_NETWORKS[STAGES[stage]]) else ""


def cell(
    lam: float, projection: str, stage: str, quality: str, seeds: tuple[int, ...] = SEEDS
) -> list[RunSpec]:
    """Return the runs of one pretraining, at one stage from one quality: seeds by tasks."""
    of = variant(lam, projection, stage)
    runs = [
        chosen(STAGES[stage], FAMILY, task.index, quality=quality, seed=seed, variant=of)
        for seed in seeds
        for task in evaluated_tasks(find(FAMILY))
    ]
    return [dataclasses.replace(run, updates=0) for run in runs] if stage == BEFORE else runs


def specs() -> list[RunSpec]:
    """Return every run, each once: the short ones first, then a quality after the other."""
    order = [(stage, quality) for stage in (BEFORE, TOLD, AFTER) for quality in _ORDER]
    found = [run for place in order for of in _PRETRAININGS for run in cell(*of, *place)]
    return list({spec.id: spec for spec in found}.values())


_ORDER = ("medium", "random", "expert")
"""In which qualities are run: a sweep that is stopped early has those where most is at stake."""

COLUMNS = (
    "stage", "quality", "lam", "projection", "iqm", "iqm_low", "iqm_high", "guided", "guided_low",
    "guided_high", "gain", "gain_low", "gain_high", "seconds", "seeds", "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per stage, quality, projection and λ: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds. ``guided``: mean difference to λ = 0, ``gain``: to the plain sum
        at the same λ, both paired by seed and task, with intervals; missing where it would be a
        difference to itself. ``seconds``: wall time a run; ``runs`` were found ``of`` those
        wanted. A cell counts the ``seeds`` that ran all tasks; with none it is empty.
    """
    records = []
    for stage in STAGES:
        for quality in QUALITIES:
            matrices: dict[str, pd.DataFrame] = {}
            for projection in PROJECTIONS:
                for lam in LAMBDAS:
                    record = {"quality": quality, "stage": stage, "projection": projection}
                    said, matrix = runs.summed_up(cell(lam, projection, stage, quality))
                    record |= {"lam": lam} | said
                    matrices[this := variant(lam, projection, stage)] = matrix
                    for name, other in (("guided", 0.0), ("gain", lam)):
                        against = variant(other, PLAIN, stage)
                        if against != this and (
                            found := scores.paired_difference(matrix, matrices[against])
                        ):
                            record |= found.named(name)
                    records.append(record)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    whole = ("quality", "stage", "projection", "seeds", "tasks", "runs", "of")
    return table.astype({name: float for name in COLUMNS if name not in whole})
