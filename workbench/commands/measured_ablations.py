"""The measured tables of the ablations: λ and projection in both phases, data, lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from workbench.commands.markdown import cell, markdown, measured, runs_of
from workbench.data.qualities import QUALITIES
from workbench.paper import ablation, any_data, factorial, lengths, model_size, phases
from workbench.paper.measured import Runs
from workbench.paper.numbers import number
from workbench.runs.run_table import shipped
from workbench.tasks import FAMILIES


def _ablation() -> str:
    """Return IQM by λ and projection, one line per family, quality and projection."""
    return _by_lambda("iqm", _lambdas(), cell)


def _gains() -> str:
    """Return what projection adds to the plain sum, one line per family, quality and projection."""

    def say(r: pd.Series) -> str:
        return f"{measured(r, 'gain')}; {100 * r['conflict_share']:.0f}\u00a0%"

    return _by_lambda("gain", [lam for lam in _lambdas() if lam], say)


def _lambdas() -> list[float]:
    """Return every λ that a grid of the ablation has."""
    return sorted({lam for grid in ablation.WHOLE for lam in grid.lambdas})


def _by_lambda(name: str, lams: Sequence[float], say: Callable[[pd.Series], str]) -> str:
    """Return the cells of the ablation that have a column ``name``, as ``say`` says them."""
    place = ["family", "quality", "projection"]
    table = ablation.assemble(runs_of(ablation.NAME), ablation.WHOLE)
    lines = []
    for (family, *rest), part in table[table[name].notna()].groupby(place, sort=False):
        cells = {r["lam"]: say(r) for _, r in part.iterrows()}
        lines.append([FAMILIES[family].label, *rest, *(cells.get(lam, "") for lam in lams)])
    return markdown(["", "data", "projection", *(f"λ = {lam:g}" for lam in lams)], lines)


def _phases() -> str:
    """Return IQM by λ of the pretraining, one line per quality, phase and projection there."""
    table = phases.assemble(Runs.of(shipped()))
    lines = []
    for place, part in table.groupby(["stage", "quality", "projection"], sort=False):
        if part["seeds"].any():
            lines.append([*place, *(cell(r) for _, r in part.iterrows())])
    if not lines:
        return f"*Not run yet: `python -m workbench sweep {phases.NAME}`.*"
    return markdown(["", "data", "projection", *(f"λ = {v:g}" for v in phases.LAMBDAS)], lines)


def _phase_gains() -> str:
    """Return what guidance, and its projection, in the pretraining add to none of it."""
    table = phases.assemble(Runs.of(shipped()))
    lines = []
    for place, part in table.groupby(["stage", "quality"], sort=False):
        cells = {(r["projection"], r["lam"]): r for _, r in part.iterrows()}
        lams = [lam for lam in phases.LAMBDAS if lam]
        for name, projection, what in (
            ("guided", phases.PLAIN, "the plain sum, above λ = 0"),
            ("gain", "published", "the projection, above the plain sum"),
        ):
            found = [cells[projection, lam] for lam in lams]
            if any(pd.notna(r[name]) for r in found):
                lines.append([*place, what, *(measured(r, name) for r in found)])
    if not lines:
        return f"*Not run yet: `python -m workbench sweep {phases.NAME}`.*"
    return markdown(["", "data", "adds", *(f"λ = {lam:g}" for lam in lams)], lines)


def _factorial() -> str:
    """Return IQM of each cell of the 2 × 2 × 2, one column per quality."""
    table = factorial.assemble(Runs.of(shipped()))
    if not table["seeds"].any():
        return f"*Not run yet: `python -m workbench sweep {factorial.NAME}`.*"
    lines = []
    for (adapted, label), part in table.groupby(["adapted", "label"], sort=False):
        stage = "after 400 updates" if adapted else "as pretrained"
        by_quality = part.set_index("quality")
        lines.append([stage, label, *(cell(by_quality.loc[q]) for q in QUALITIES)])
    return markdown(["", "", *(f"{q} data" for q in QUALITIES)], lines)


def _factorial_effects() -> str:
    """Return what each of the three differences adds, one column per quality."""
    found = factorial.effects(Runs.of(shipped()))
    found = found.set_index(["factor", "where", "quality"])
    there = [q for q in QUALITIES if q in found.index.get_level_values("quality")]
    if not there:
        return f"*Not run yet: `python -m workbench sweep {factorial.NAME}`.*"
    lines = [
        [words, where, *(measured(found.loc[(name, where, q)], "effect") for q in there)]
        for name, words in factorial.FACTORS.items()
        for where in factorial.WHERE
        if (name, where) in found.index.droplevel("quality")
    ]
    return markdown(["", "few-shot data", *(f"{q} data" for q in there)], lines)


def _any_data() -> str:
    """Return IQM from data of every quality, one line per robot and row, and what random cost."""
    table = any_data.assemble(Runs.of(shipped()))
    lines = []
    for (row, family), part in table.groupby(["row", "family"], sort=False):
        by_quality = part.set_index("quality")
        shares = 100 * by_quality[["share", "share_low", "share_high"]]
        lost = [measured(shares.loc[q], "share") for q in QUALITIES[1:]]
        lines.append(
            [row, FAMILIES[family].label, *(cell(by_quality.loc[q]) for q in QUALITIES), *lost]
        )
    head = [f"{q} data" for q in QUALITIES] + [f"{q} against expert, %" for q in QUALITIES[1:]]
    return markdown(["", "", *head], lines)


def _model_size() -> str:
    """Return mean and IQM by row and size of the transformer, beside what was published."""
    table = model_size.assemble(Runs.of(shipped())).set_index(["row", "size"])
    small, large = model_size.SIZES
    if not table.xs(large, level="size")["seeds"].any():
        return f"*Not run yet: `python -m workbench sweep {model_size.NAME}`.*"
    lines = []
    for row in model_size.ROWS:
        whole = table.loc[(row, large)]
        share = 100 * whole["trainable"] / whole["model"]
        tuned = f"{whole['trainable']:,.0f} ({share:.2g}\u00a0%)" if whole["trainable"] > 0 else "–"
        published = "" if pd.isna(whole["published"]) else number(whole["published"])
        by_size = [table.loc[(row, size)] for size in (small, large)]
        more = [measured(r, "more") if pd.notna(r["more"]) else "" for r in by_size]
        lines.append([row, *(cell(r) for r in by_size), *more, tuned, published])
    head = [small, large, f"{small}, above the expert prompt", f"{large}, above it"]
    return markdown(["", *head, f"tuned of {large}", "*published*"], lines)


def _lengths() -> str:
    """Return IQM by N and by K*, one line per quality and method."""
    runs = Runs.of(shipped())
    table = lengths.assemble(runs)
    head = ["data", "", *(f"{n.axis} = {n.value}" for n in lengths.LENGTHS)]
    lines = []
    for (quality, method), part in table.groupby(["quality", "method"], sort=False):
        if part["seeds"].any():
            lines.append([quality, method, *(cell(r) for _, r in part.iterrows())])
    return markdown(head, lines)


ABLATIONS: dict[str, Callable[[], str]] = {
    "ablation": _ablation,
    "ablation, what projection adds": _gains,
    "phases": _phases,
    "phases, what guidance adds": _phase_gains,
    "factorial": _factorial,
    "factorial, what each adds": _factorial_effects,
    "any data": _any_data,
    "model size": _model_size,
    "lengths": _lengths,
}
"""The name of a block → how its text is made from what ships."""
