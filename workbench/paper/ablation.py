"""The ablation of λ and of the projection: which runs it needs, and the table of what they say.

Projected as the paper says and not at all, by the adaptation of the tables: on Cheetah-vel five
weights from three qualities of data, on the other families three weights from medium data. The page
Ablate and lesson 5 draw this table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.methods.projection import Mode
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.tasks import SHIPPED, find
from workbench.tasks.splits import TEST, evaluated_tasks
from workbench.tuning.presets import LAMBDAS, chosen
from workbench.tuning.spec import RunSpec

NAME = "ablation"
"""Of the sweep, and of the shipped results: ``assets/results/ablation.parquet``."""
PROJECTIONS: tuple[Mode, ...] = ("none", "published")
"""The plain sum, and Eq. 8 and 9 to the letter."""
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Grid:
    """A grid of settings of one family, from some qualities of data.

    Attributes:
        family: Task family.
        lambdas: Weights of the downstream loss.
        projections: Readings of Eq. 8 and 9, see ``methods/projection.py``.
        qualities: Of the few-shot trajectories, which are the condition of the prompts too.
        seeds: Of the tuning.
        tasks: Test tasks; all of them if left out.
    """

    family: str
    lambdas: tuple[float, ...] = LAMBDAS
    projections: tuple[Mode, ...] = PROJECTIONS
    qualities: tuple[str, ...] = QUALITIES
    seeds: tuple[int, ...] = SEEDS
    tasks: tuple[int, ...] = ()

    def __post_init__(self):
        known = [task.index for task in evaluated_tasks(find(self.family), TEST)]
        if not set(self.tasks) <= set(known):
            raise ValueError(f"`tasks` must be test tasks of {self.family}, {known}: {self.tasks}.")
        for name in ("lambdas", "projections", "qualities", "seeds"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` must name at least one.")
        object.__setattr__(self, "tasks", self.tasks or tuple(known))

    def cells(self) -> Iterator[tuple[str, Mode, float]]:
        """Yield every quality, projection and λ."""
        for quality in self.qualities:
            for projection in self.projections:
                for lam in self.lambdas:
                    yield quality, projection, lam

    def cell(self, quality: str, projection: Mode, lam: float) -> list[RunSpec]:
        """Return the runs of one cell: seeds by tasks."""
        return [
            _spec(self.family, task, quality, projection, lam, seed)
            for seed in self.seeds
            for task in self.tasks
        ]


WHOLE: tuple[Grid, ...] = (
    Grid("cheetah-vel", (0.0, 0.3, 1.0, 3.0, 10.0)),
    *(
        Grid(family, (0.0, 1.0, 10.0), qualities=("medium",))
        for family in SHIPPED
        if family != "cheetah-vel"
    ),
)
QUICK = (Grid("cheetah-vel", (0.0, 1.0, 10.0), seeds=(0,), tasks=(2, 7)),)
"""A part that two cores run within ten minutes, for ``sweep ablation --quick``."""


def _spec(family: str, task: int, quality: str, projection: Mode, lam: float, seed: int) -> RunSpec:
    """Return a run. At λ = 0 all projections are the same run."""
    settings = {"lam": lam, "projection": projection if lam else "none"}
    return chosen("prompt-diffuser", family, task, quality=quality, seed=seed, settings=settings)


def specs(grids: Iterable[Grid] = WHOLE) -> list[RunSpec]:
    """Return every run of some grids, each once.

    Seed by seed: a sweep that is stopped early has whole grids of the first seeds.
    """
    grids = tuple(grids)
    runs = [spec for g in grids for cell in g.cells() for spec in g.cell(*cell)]
    runs.sort(key=lambda spec: spec.seed)  # stable
    return list({_what(spec): spec for spec in runs}.values())


def _what(spec: RunSpec) -> tuple:
    settings = spec.settings
    return (
        spec.family, spec.task, spec.quality, settings["projection"], settings["lam"], spec.seed
    )  # fmt: skip


COLUMNS = (
    "family", "quality", "projection", "lam", "iqm", "iqm_low", "iqm_high", "helps", "helps_low",
    "helps_high", "gain", "gain_low", "gain_high", "conflict_share", "cosine", "seconds", "seeds",
    "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs, grids: Sequence[Grid] = WHOLE) -> pd.DataFrame:
    """Return one row per cell of ``grids``: what ``runs`` say of it.

    Args:
        runs: What there is.
        grids: Which cells.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds. ``helps``: probability that a run beats the plain sum's at the
        same λ and task; ``gain``: mean difference to it, paired by seed and task; both with
        intervals, and missing for the plain sum itself. ``conflict_share``: share of updates in
        which the two gradients conflict, cos(g_DM, g_DT) < 0; ``cosine``: its mean; both over all
        updates. ``runs`` were found ``of`` those wanted; a cell counts the ``seeds`` that ran all
        tasks.
    """
    records = []
    for grid in grids:
        matrices = {}
        for cell in grid.cells():
            quality, projection, lam = cell
            wanted = grid.cell(*cell)
            found = runs.find(wanted)
            matrix = scores.matrix(found, grid.tasks) if len(found) else pd.DataFrame()
            matrices[cell] = matrix
            record = {"family": grid.family, "quality": quality, "projection": projection}
            record |= {"lam": lam, "tasks": len(grid.tasks), "seeds": len(matrix)}
            record |= {"runs": len(found), "of": len(wanted)}
            if len(matrix):
                record |= scores.iqm(matrix.to_numpy()).named("iqm")
                record |= {
                    "conflict_share": found["conflict_share"].mean(),
                    "cosine": found["cosine_mean"].mean(),
                    "seconds": found["seconds"].mean(),
                }
            plain = matrices.get((quality, "none", lam), pd.DataFrame())
            if projection != "none" and lam and len(matrix) and len(plain):
                record |= _against(matrix, plain)
            records.append(record)
    table = pd.DataFrame(records, columns=list(COLUMNS))
    whole = ("family", "quality", "projection", "seeds", "tasks", "runs", "of")
    return table.astype({name: float for name in COLUMNS if name not in whole})


def _against(matrix: pd.DataFrame, plain: pd.DataFrame) -> dict[str, float]:
    values = (matrix.to_numpy(), plain.to_numpy())
    record = scores.improvement(*values).named("helps")
    if found := scores.paired_difference(matrix, plain):
        record |= found.named("gain")
    return record


def seconds_per_run(runs: Runs, specs: Iterable[RunSpec]) -> float:
    """Return the mean wall time of the runs of ``specs`` that there are; nan without any."""
    found = runs.find(specs)["seconds"].dropna()
    return float(found.mean()) if len(found) else float(np.nan)
