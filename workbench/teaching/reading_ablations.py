"""What the lesson on ablations reads: recipes of intervals, the tables that ship, a small sweep."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import special

from workbench.paper import ablation, factorial, phases, scores
from workbench.paper.claims import verdict
from workbench.paper.listed import ALL
from workbench.paper.measured import Runs, assemble
from workbench.paper.scores import Estimate
from workbench.paper.tables import Cells, cells
from workbench.runs import run_table
from workbench.runs.run_table import load_shipped, rows
from workbench.runs.store import RunStore
from workbench.teaching.figures import experiments, lines
from workbench.tuning.spec import RunSpec
from workbench.viewing.figures import ablation as drawn
from workbench.viewing.figures import factorial as taken_apart

Ends = tuple[np.ndarray, np.ndarray]
"""Lower and upper ends of intervals, (n,) each."""


def student(values: np.ndarray) -> Ends:
    """Return Student's intervals of 95 %: mean ± t s / √S, of (n experiments, S seeds)."""
    n = values.shape[1]
    half = special.stdtrit(n - 1, 0.975) * values.std(1, ddof=1) / np.sqrt(n)
    return values.mean(1) - half, values.mean(1) + half


def bootstrap(values: np.ndarray, n_resamples: int = 400) -> Ends:
    """Return percentile bootstrap intervals of 95 % of the mean, of (n experiments, S seeds)."""
    index = np.random.default_rng(1).integers(values.shape[1], size=(n_resamples, values.shape[1]))
    low, high = np.percentile(values[:, index].mean(2), (2.5, 97.5), axis=1)
    return low, high


RECIPES: dict[str, Callable[[np.ndarray], Ends]] = {
    "Student's t": student,
    "percentile bootstrap": bootstrap,
}


def coverage(recipe: Callable[[np.ndarray], Ends], n_seeds: int, n_experiments: int) -> float:
    """Return how often an interval holds the truth, where the truth is known: 0."""
    draws = np.random.default_rng(n_seeds)
    low, high = recipe(draws.normal(size=(n_experiments, n_seeds)))
    return float(((low <= 0) & (high >= 0)).mean())


def hundred_experiments(n_seeds: int = 3) -> list[go.Figure]:
    """Draw the intervals of a hundred experiments, by each recipe."""
    values = np.random.default_rng(0).normal(size=(100, n_seeds))
    return [
        experiments(
            *recipe(values),
            0.0,
            f"100 experiments of {n_seeds} seeds: {name}",
            "return, from the truth",
        )
        for name, recipe in RECIPES.items()
    ]


def coverages(n_seeds: Sequence[int], n_experiments: int) -> tuple[go.Figure, list[str]]:
    """Draw how often each recipe holds the truth; also say it for the fewest seeds."""
    n_seeds = list(n_seeds)
    shares = {
        name: [coverage(recipe, n, n_experiments) for n in n_seeds]
        for name, recipe in RECIPES.items()
    }
    title = "How often an interval of 95 % holds the truth"
    figure = lines({name: (n_seeds, s) for name, s in shares.items()}, title, "seeds", "share")
    figure.add_hline(0.95, line_dash="dot", annotation_text="promised")
    figure.update_yaxes(tickformat=".0%")
    said = [f"{n_seeds[0]} seeds, {name}: **{s[0]:.0%}** hold the truth." for name, s in
            shares.items()]  # fmt: skip
    return figure, said


def shipped(name: str) -> Runs:
    """Return the runs of a table that ship, or none."""
    return Runs.of(load_shipped(name))


class Guidance:
    """The guidance ablation as it ships: cells by row and column, whatever of them was run.

    Attributes:
        cells: (row, column) → its runs.
        runs: What there is of them.
    """

    def __init__(self) -> None:
        self.cells: Cells = cells("guidance")
        self.runs = shipped("guidance")

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """A line per cell, see ``measured.assemble``."""
        return assemble("guidance", self.cells, self.runs)

    @property
    def measured(self) -> list[str]:
        """The columns that have runs."""
        known = dict.fromkeys(self.table.loc[self.table["iqm"].notna(), "column"])
        return [column for column in known if column != ALL]

    def returns(self, row: str, column: str = "cheetah-vel") -> pd.DataFrame | None:
        """Return the returns of a cell, a row per seed and a column per task; None if not run."""
        found = self.runs.find(self.cells[row, column])
        tasks = list(dict.fromkeys(spec.task for spec in self.cells[row, column]))
        return scores.matrix(found, tasks) if len(found) else None

    def difference(self, first: str, second: str, column: str = "cheetah-vel") -> Estimate | None:
        """Return the mean of the paired differences of two rows; None if one was not run."""
        pair = [self.returns(row, column) for row in (first, second)]
        a, b = pair
        if a is None or b is None:
            return None
        return scores.paired_difference(a, b)

    def judged(self, against: str, column: str = "cheetah-vel") -> Iterator[str]:
        """Say of every other row of a column whether it is better than one."""
        for row, of in self.cells:
            if of != column or row == against:
                continue
            if (d := self.difference(row, against, column)) is not None:
                said = f"**{d.value:.1f}** [{d.low:.1f}, {d.high:.1f}]"
                yield f"{row} − {against}: {said}. Better? **{verdict('better', d)}**."


PICTURES: dict[str, Callable[[pd.DataFrame], go.Figure]] = {
    "how good is each cell": drawn.heat_map,
    "return over λ": drawn.curves,
    "does the projection help": drawn.helps,
    "by how much": drawn.gains,
    "how often the gradients conflict": drawn.conflicts,
}


class Ablation:
    """The ablation of λ and projection of a family, as much of it as ships.

    Args:
        family: Its name.
    """

    def __init__(self, family: str):
        self.grid = next(g for g in ablation.WHOLE if g.family == family)
        self._runs = shipped(ablation.NAME)
        self.table = ablation.assemble(self._runs, [self.grid])
        self.known = self.table[self.table["iqm"].notna()]

    @property
    def apart(self) -> pd.DataFrame:
        """The cells that were run, those without λ once: nothing is projected in them."""
        return self.known.query("lam > 0 or projection == 'none'")

    def there(self) -> str:
        """Say how much of it there is."""
        wanted = ablation.specs([self.grid])
        found = len(self._runs.find(wanted))
        said = f"**{found} of {len(wanted)}** runs; **{len(self.apart)}** cells have an IQM."
        if self.known.empty:
            said += " The big ablation has **not been run yet**: `python -m workbench sweep "
            said += "ablation --keep`."
        return said

    def picture(self, data: str, shown: str) -> go.Figure:
        """Draw one of ``PICTURES`` for one quality of data."""
        return PICTURES[shown](self.table[self.table["quality"] == data])

    def drawn(self, shown: str, title: str) -> Iterator[go.Figure]:
        """Draw one of ``PICTURES`` for every quality that was run."""
        for data in dict.fromkeys(self.known["quality"]):
            yield self.picture(data, shown).update_layout(title_text=f"{title}, {data} data")

    def rivals(self) -> Iterator[str]:
        """Say of each quality which cell is best and how many cannot be told from it."""
        for data, part in self.apart.dropna(subset="iqm_low").groupby("quality", sort=False):
            best = part.loc[part["iqm"].idxmax()]
            rivals = (part["iqm_high"] >= best["iqm_low"]).sum() - 1
            yield (
                f"{data} data: the highest IQM is **{best['iqm']:.1f}**, at λ = {best['lam']:g}, "
                f"{drawn.PROJECTIONS[best['projection']]}. The intervals of **{rivals}** of the "
                f"other {len(part) - 1} cells overlap with its own."
            )

    def decided(self) -> str:
        """Say how many comparisons with the plain sum are decided, and how many luck would."""
        sure = self.table.dropna(subset="helps_low")
        if self.known.empty:
            return "**Not run yet.**"
        if not len(sure):
            return "A single seed shows no spread: **nothing can be decided yet**."
        up, down = (sure["helps_low"] > 0.5).sum(), (sure["helps_high"] < 0.5).sum()
        return (
            f"Of **{len(sure)}** comparisons with the plain sum **{up}** lie above one half, whole "
            f"interval included, **{down}** below it; **{len(sure) - up - down}** undecided. If "
            f"nothing made a difference, about {0.05 * len(sure):.1f} would be decided by luck."
        )

    def conflict_shares(self) -> pd.DataFrame:
        """Return the share of updates that conflict: a row per data and rule, a column per λ."""
        share = self.known.pivot(
            index=["quality", "projection"], columns="lam", values="conflict_share"
        )
        return share.rename(columns="λ = {:g}".format).rename_axis(columns=None)


class Phases:
    """λ and projection of the pretraining, as much of it as ships; see ``paper/phases.py``."""

    def __init__(self) -> None:
        self.table = phases.assemble(Runs.of(run_table.shipped()))
        self.known = self.table[self.table["iqm"].notna()]

    def drawn(self, data: str) -> Iterator[go.Figure]:
        """Draw return and gain over λ of the pretraining, where there is something to compare."""
        for stage, part in self.known[self.known["quality"] == data].groupby("stage", sort=False):
            if len(part) > 1:
                yield drawn.curves(part, f"{data} data, {stage}: return over λ")
                yield drawn.gains(part, f"{data} data, {stage}: what projecting adds")


class Factorial:
    """What being told the task is made of, as much of it as ships; see ``paper/factorial.py``."""

    def __init__(self) -> None:
        runs = Runs.of(run_table.shipped())
        self.table, self.effects = factorial.assemble(runs), factorial.effects(runs)

    def drawn(self, data: str) -> Iterator[go.Figure]:
        """Draw the eight cells and the three main effects, where all eight were run."""
        part, effects = (t[t["quality"] == data] for t in (self.table, self.effects))
        if len(effects):
            yield taken_apart.eight(part, f"{data} data: the eight, as they come")
            yield taken_apart.main_effects(effects, f"{data} data: what each adds")

    def adds(self, factor: str, data: str) -> pd.DataFrame:
        """Return what one of the three adds at each setting of the other two, of IQM."""
        part = self.table[(self.table["quality"] == data) & ~self.table["adapted"]]
        others = [name for name in factorial.FACTORS if name != factor]
        by_level = part.pivot(index=others, columns=factor, values="iqm").astype(float)
        found = (by_level[True] - by_level[False]).unstack(others[1])
        words = {False: "not", True: "yes"}
        return (
            found.rename(index=words, columns=words)
            .rename_axis(index=factorial.FACTORS[others[0]])
            .rename_axis(columns=factorial.FACTORS[others[1]])
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """A small sweep: which settings, on which task and data, how often, at which length.

    Attributes:
        grid: λ × projections × seeds of one task.
        updates: Of each run.
        episodes: Of its evaluation.
    """

    grid: ablation.Grid
    updates: int
    episodes: int

    @property
    def specs(self) -> list[RunSpec]:
        """Its runs; where λ = 0 one, not one per projection."""
        fields = {"updates": self.updates, "episodes": self.episodes}
        return [dataclasses.replace(spec, **fields) for spec in ablation.specs([self.grid])]

    def made(self, store: RunStore) -> pd.DataFrame:
        """Return a line per run that there is in a store."""
        table = rows(store, [spec.id for spec in self.specs if spec.id in store])
        settings = pd.DataFrame([json.loads(text) for text in table["settings"]])
        return table.assign(**settings[["lam", "projection"]])

    def curves(self, store: RunStore) -> go.Figure:
        """Draw the return over λ, a line per projection, of the runs that there are."""

        def summed_up(part: pd.DataFrame) -> pd.Series:
            e = scores.iqm(scores.matrix(part, list(self.grid.tasks)).to_numpy())
            return pd.Series({"iqm": e.value, "iqm_low": e.low, "iqm_high": e.high})

        made = self.made(store).groupby(["projection", "lam"])
        return drawn.curves(made[["seed", "task", "return_mean"]].apply(summed_up).reset_index())
