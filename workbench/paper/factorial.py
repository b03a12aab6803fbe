"""What being told the task is made of: three differences to Prompt Diffuser, each with and without.

*Prompt Diffuser, told the task (ours)* reads the few-shot transitions and learnt to make prompts of
expert data alone; and the prompt it acts with may be the best of several. Two diffusers for each
reading, pretrained alike otherwise (``networks/variants.py``), tell these three apart: a 2 × 2 × 2
design, as the diffusers come. The published one is adapted besides. The page Ablate draws it.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.tasks import find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec

NAME = "factorial"
"""Of the sweep, and of the shipped results: ``assets/results/factorial.parquet``."""
FAMILY = "cheetah-vel"
SEEDS = (0, 1, 2)
CANDIDATES = 8

FACTORS = {
    "reads": "reads the few-shot data",
    "expert": "learnt from expert prompts alone",
    "best": f"best of {CANDIDATES} prompts",
}
"""Field of ``Cell`` → what it says where it is so."""


@dataclass(frozen=True)
class Cell:
    """One of the diffusers, and what is done with it.

    Attributes:
        reads: It is told the task by the few-shot transitions; else it knows returns-to-go and
            timesteps, as published.
        expert: It learnt to make prompts of expert data; else of every quality, as published.
        best: Of ``CANDIDATES`` prompts the one with the least L_DT (Eq. 7) acts; else the first.
        adapted: By the 400 updates of the tables; else it acts as it comes.
    """

    reads: bool = False
    expert: bool = False
    best: bool = False
    adapted: bool = False

    @property
    def label(self) -> str:
        """What it has, in words."""
        had = [words for name, words in FACTORS.items() if getattr(self, name)]
        return ", ".join(had) or "as published"

    @property
    def variant(self) -> str:
        """The networks that it takes; ``""`` is what ships."""
        if self.reads:
            return "lam-1-published" if self.expert else "prompts-all"
        return "prompts-expert" if self.expert else ""


CELLS = (
    *(Cell(*levels) for levels in itertools.product((False, True), repeat=3)),
    Cell(adapted=True),
    Cell(expert=True, adapted=True),
    Cell(best=True, adapted=True),
)
"""The design, and after it what is adapted: as published, and with one difference."""


def cell(this: Cell, quality: str, seeds: tuple[int, ...] = SEEDS) -> list[RunSpec]:
    """Return the runs of one cell from one quality: seeds by tasks."""
    runs = [
        chosen(
            "informed-diffuser" if this.reads else "prompt-diffuser",
            FAMILY,
            task.index,
            quality=quality,
            seed=seed,
            variant=this.variant,
            settings={"n_candidates": CANDIDATES} if this.best else {},
        )
        for seed in seeds
        for task in evaluated_tasks(find(FAMILY))
    ]
    return runs if this.adapted else [dataclasses.replace(run, updates=0) for run in runs]


def specs() -> list[RunSpec]:
    """Return every run, each once: the short ones first, those that are adapted last."""
    order = sorted(CELLS, key=lambda this: (this.adapted, this.best))
    found = [run for this in order for quality in QUALITIES for run in cell(this, quality)]
    return list({spec.id: spec for spec in found}.values())


COLUMNS = (
    "quality", *FACTORS, "adapted", "label", "iqm", "iqm_low", "iqm_high", "ahead", "ahead_low",
    "ahead_high", "seconds", "seeds", "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per cell and quality: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds. ``ahead``: mean difference to the cell that is as published and
        adapted alike, paired by seed and task, with its interval; missing where it would be a
        difference to itself. ``seconds``: wall time a run; ``runs`` were found ``of`` those
        wanted. A cell counts the ``seeds`` that ran all tasks; with none it is empty.
    """
    records = []
    for quality in QUALITIES:
        found = {this: runs.summed_up(cell(this, quality)) for this in CELLS}
        for this, (said, matrix) in found.items():
            place = {"quality": quality, **dataclasses.asdict(this), "label": this.label}
            record = place | said
            against = Cell(adapted=this.adapted)
            if against != this and (ahead := scores.paired_difference(matrix, found[against][1])):
                record |= ahead.named("ahead")
            records.append(record)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    measured = [name for name in COLUMNS if name.startswith(("iqm", "ahead", "seconds"))]
    return table.astype(dict.fromkeys(measured, float))


EFFECTS = ("quality", "factor", "where", "effect", "effect_low", "effect_high", "seeds")


def effects(runs: Runs) -> pd.DataFrame:
    """Return what each difference adds: over the settings of the other two, and by what is read.

    Returns:
        ``EFFECTS``, of every quality whose eight cells were run. Where ``where`` is ``"all"``,
        the main effect: ``effect``, mean difference of returns of the four cells with the factor to
        the four without, paired by seed and task, with its 95 % interval over ``seeds``. Where it
        is ``"read"`` or ``"not read"``, the same over the two cells and two whose diffuser reads
        the few-shot data, or does not.
    """
    records = []
    for quality in QUALITIES:
        design = {
            this: runs.summed_up(cell(this, quality))[1] for this in CELLS if not this.adapted
        }
        seeds = sorted(set.intersection(*(set(matrix.index) for matrix in design.values())))
        if not seeds:
            continue
        for factor in FACTORS:
            for where, levels in WHERE.items():
                if factor == "reads" and where != "all":
                    continue
                among = {this: m.loc[seeds] for this, m in design.items() if this.reads in levels}
                low, high = (
                    sum(m.to_numpy() for this, m in among.items() if getattr(this, factor) is so)
                    / (len(among) / 2)
                    for so in (False, True)
                )
                found = scores.difference(high, low)
                record = {"quality": quality, "factor": factor, "where": where}
                records.append(record | {"seeds": len(seeds)} | found.named("effect"))
    return pd.DataFrame(records, columns=list(EFFECTS))


WHERE = {"all": (False, True), "read": (True,), "not read": (False,)}
"""Of which diffusers an effect is → what ``Cell.reads`` may be there."""
