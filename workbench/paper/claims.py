"""The claims of arXiv 2411.01168, each as comparisons of cells of the tables, and what we measured.

A verdict follows from a paired difference and its corrected interval alone; nobody writes it by
hand. Corrected, since of many comparisons at 95 % some are decided by luck: Holm's step-down over
all comparisons of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.paper.tables import (
    GUIDED,
    LATE,
    OUT_OF_DISTRIBUTION,
    PUBLISHED,
    ZERO_SHOT,
    Cells,
    TableName,
    cells,
)
from workbench.tasks import SHIPPED

Kind = Literal["better", "near"]
NEAR = 0.05
"""Share of the distance from the random to the expert behaviour policy: to lose no more is near.
The published Prompt Diffuser loses 12.3 to full fine-tuning on Cheetah-vel, where that distance is
264 on average."""


@dataclass(frozen=True)
class ClaimComparison:
    """Two cells: is the first better than the second, or does it at least come near?

    Attributes:
        label: What is compared, in words.
        table: Where both cells stand.
        first, second: (row, column) each.
        kind: What is claimed of them.
    """

    label: str
    table: TableName
    first: tuple[str, str]
    second: tuple[str, str]
    kind: Kind = "better"

    @property
    def published(self) -> float | None:
        """The published difference of the means, first minus second; None if not published."""
        known = PUBLISHED[self.table]
        places = [(row.removesuffix(LATE), column) for row, column in (self.first, self.second)]
        if not all(place in known for place in places):
            return None
        return known[places[0]][0] - known[places[1]][0]


@dataclass(frozen=True)
class Claim:
    """What is claimed, and by whom."""

    text: str
    source: str
    comparisons: tuple[ClaimComparison, ...]


def _by_family(table: TableName, first: str, second: str, kind: Kind = "better"):
    return tuple(ClaimComparison(f, table, (first, f), (second, f), kind) for f in SHIPPED)


def _table_2(label: str, first: tuple[str, str, str], second: tuple[str, str, str], kind="better"):
    """Compare cells given as data, initial prompt, method."""
    places = [(f"{data} data, {prompt} prompt", method) for data, prompt, method in (first, second)]
    return ClaimComparison(label, "2", *places, kind)


_PD, _PTDT, _OURS = "Prompt Diffuser", "Prompt-Tuning DT", "Prompt Diffuser, told the task (ours)"
_SUM, _FAR = "plain sum", OUT_OF_DISTRIBUTION
_READINGS = ("vector", "tensor", "subspace")
_PAPER, _PAPER_4, _WE = "section 5, table", "section 4", "ours"
CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Prompt Diffuser beats Prompt-DT with the expert prompt itself",
        f"{_PAPER} 1",
        _by_family("1", _PD, "Prompt-DT, expert prompt" + LATE),
    ),
    Claim(
        "Prompt Diffuser beats Soft Prompt",
        f"{_PAPER} 1",
        _by_family("1", _PD, "Soft Prompt" + LATE),
    ),
    Claim(
        "Prompt Diffuser beats Prompt-Tuning DT",
        f"{_PAPER} 1",
        _by_family("1", _PD, _PTDT + LATE),
    ),
    Claim(
        "Prompt Diffuser comes near full fine-tuning with all data",
        f"{_PAPER} 1",
        _by_family("1", _PD, "Prompt-DT-FT-Full", "near"),
    ),
    Claim(
        "Prompt Diffuser does not mind a poor initial prompt",
        f"{_PAPER} 2",
        tuple(
            _table_2(
                f"{data} data: random prompt, against expert prompt",
                (data, "random", _PD),
                (data, "expert", _PD),
                "near",
            )
            for data in QUALITIES
        ),
    ),
    Claim(
        "From a poor initial prompt, Prompt Diffuser beats Prompt-Tuning DT",
        f"{_PAPER} 2",
        tuple(
            _table_2(f"{data} data, random prompt", (data, "random", _PD), (data, "random", _PTDT))
            for data in QUALITIES
        ),
    ),
    Claim(
        "Prompt Diffuser learns from random data as well as from expert data",
        f"{_PAPER} 2",
        tuple(
            _table_2(
                f"{prompt} prompt: random data, against expert data",
                ("random", prompt, _PD),
                ("expert", prompt, _PD),
                "near",
            )
            for prompt in QUALITIES
        ),
    ),
    Claim(
        "Out of distribution, Prompt Diffuser beats Prompt-DT and Prompt-Tuning DT",
        f"{_PAPER} 3",
        tuple(
            ClaimComparison(f"ant-dir, against {row}", "3", (_PD, _FAR), (row + LATE, _FAR))
            for row in ("Prompt-DT", _PTDT)
        ),
    ),
    Claim(
        "Zero-shot, Prompt Diffuser beats an untuned prompt",
        f"{_PAPER} 3",
        tuple(
            ClaimComparison(f"ant-dir, against {row}", "3", (_PD, ZERO_SHOT), (row, ZERO_SHOT))
            for row in ("Prompt-DT", _PTDT)
        ),
    ),
    Claim(
        "Projection beats the plain sum",
        "the guidance figure",
        tuple(
            ClaimComparison(f"{f}, {reading}", "guidance", (f"projection, {reading}", f), (_SUM, f))
            for f, (family, _) in GUIDED.items()
            for reading in (*_READINGS * (family == "cheetah-vel"), "published")
        ),
    ),
    Claim(
        "The plain sum is worse than either loss alone",
        "the guidance figure",
        tuple(
            ClaimComparison(f"{f}: {loss}", "guidance", (loss, f), (_SUM, f))
            for f in GUIDED
            for loss in ("diffusion loss alone", "downstream loss alone")
        ),
    ),
    Claim(
        "Diffusion beats a VAE of equal size",
        f"{_PAPER_4}, without figures",
        _by_family("1", _PD, "Prompt VAE"),
    ),
    Claim(
        "Diffusion beats a GAN of equal size",
        f"{_PAPER_4}, without figures",
        _by_family("1", _PD, "Prompt GAN"),
    ),
    Claim(
        "Given a few context transitions, the diffuser beats the published one",
        _WE,
        _by_family("1", _OURS, _PD)
        + tuple(
            _table_2(f"cheetah-vel, {q} data", (q, q, _OURS), (q, q, _PD)) for q in QUALITIES[1:]
        ),
    ),
    Claim(
        "Given a few context transitions, it works from random data as well as from expert data",
        _WE,
        (
            _table_2(
                "cheetah-vel", ("random", "random", _OURS), ("expert", "expert", _OURS), "near"
            ),
        ),
    ),
)


def findings(runs: Callable[[TableName], Runs]) -> Iterator[dict[str, object]]:
    """Yield one row per comparison: the paired difference, what was published, and the verdict.

    ``family``: whose returns these are. ``difference``, ``low``, ``high``: raw. ``scaled``,
    ``scaled_low``, ``scaled_high``: normalised task by task, nan on tasks for which no return of
    the behaviour policies is known (those of table 3). ``limit``: where "near" ends for the average
    task, raw; nan where a claim says "better". ``pairs``: seeds times tasks. ``p``: two-sided, of
    the difference against 0 or, normalised, against the limit of "near"; ``p_holm``: the same by
    Holm's step-down over the comparisons of the ``table`` that were run; ``corrected_low``,
    ``corrected_high``: the raw difference's interval at the level of that step.

    Args:
        runs: What there is of each table.
    """
    every: dict[str, tuple[Cells, Runs]] = {}
    rows, judged = [], []
    for claim in CLAIMS:
        for comparison in claim.comparisons:
            name = comparison.table
            if name not in every:
                every[name] = cells(name), runs(name)
            row, pairs = _measured(comparison, *every[name])
            told = {"claim": claim.text, "source": claim.source, "comparison": comparison.label}
            rows.append({**told, "table": name, **row})
            judged.append(pairs)
    p = np.array([row["p"] for row in rows])
    p_holm, levels = np.full((2, len(rows)), np.nan)
    for name in every:
        of = np.array([row["table"] == name for row in rows])
        p_holm[of], levels[of] = scores.holm(p[of])
    for row, pairs, adjusted, level in zip(rows, judged, p_holm, levels, strict=True):
        row |= {"p_holm": float(adjusted), "corrected_low": np.nan, "corrected_high": np.nan}
        if pairs is None:
            yield row | {"verdict": "not run"}
            continue
        raw, scaled = (scores.difference(*pair, level) for pair in pairs)
        row |= {"corrected_low": raw.low, "corrected_high": raw.high}
        yield row | {"verdict": verdict(row["kind"], scaled if row["kind"] == "near" else raw)}


Pair = tuple[np.ndarray, np.ndarray]
"""Scores of both sides of a comparison, (S, M) each, of the same seeds and tasks."""


def _measured(
    comparison: ClaimComparison, table: Cells, runs: Runs
) -> tuple[dict[str, object], tuple[Pair, Pair] | None]:
    """Return the row of a comparison before its correction, and its scores, raw and normalised."""
    family = table[comparison.first][0].family
    tasks = list(dict.fromkeys(spec.task for spec in table[comparison.first]))
    near = comparison.kind == "near"
    row = {"family": family, "kind": comparison.kind, "published": comparison.published}
    row["limit"] = -NEAR * _range(family, tasks) if near else np.nan
    row |= dict.fromkeys(
        ("difference", "low", "high", "scaled", "scaled_low", "scaled_high", "p"), np.nan
    )
    sides = [runs.find(table[place]) for place in (comparison.first, comparison.second)]
    sides = [scores.matrix(side, tasks) if len(side) else pd.DataFrame() for side in sides]
    seeds = sides[0].index.intersection(sides[1].index)
    if not len(seeds):
        return row | {"pairs": 0}, None
    sides = [side.loc[seeds] for side in sides]
    raw = scaled = tuple(side.to_numpy() for side in sides)
    found = scores.difference(*raw)
    row |= {"difference": found.value, "low": found.low, "high": found.high, "pairs": raw[0].size}
    if scores.can_normalise(family, tasks):
        scaled = tuple(
            np.stack([scores.normalised(family, t, side[t]) for t in tasks], 1) for side in sides
        )
        found = scores.difference(*scaled)
        row |= {"scaled": found.value, "scaled_low": found.low, "scaled_high": found.high}
    row["p"] = scores.p_value(*scaled, -NEAR) if near else scores.p_value(*raw)
    return row, (raw, scaled)


def _range(family: str, tasks: Sequence[int]) -> float:
    """Return the distance between the random and the expert behaviour policy, mean over tasks."""
    ends = [scores.normalised(family, task, np.array([0.0, 1.0])) for task in tasks]
    return float(np.mean([1 / (one - zero) for zero, one in ends]))


def verdict(kind: Kind, found: scores.Estimate) -> str:
    """Return what a difference and its interval say of a claim.

    ``better``: yes if the interval lies above 0, no if below. ``near``, of a normalised
    difference: yes if it lies above -``NEAR``, no if below. Else it is undecided.
    """
    if not np.isfinite(found.low):
        return "undecided"
    limit = -NEAR if kind == "near" else 0.0
    if found.low > limit:
        return "yes"
    return "no" if found.high < limit else "undecided"
