"""What the ablation answers, in sentences: each computed from the table that is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.paper.numbers import ends_of, signed

_READINGS = {
    "vector": "projecting along the whole **vector**",
    "tensor": "projecting **tensor** by tensor",
    "subspace": "projecting in the **subspace**",
    "published": "projecting as **published**",
}


def answers(table: pd.DataFrame) -> list[str]:
    """Return what one family and one quality of data say of λ and of the projection.

    Args:
        table: Of ``ablation.assemble``, of one family and one quality.

    Returns:
        Sentences in Markdown: one for each projection that can be held against the plain sum, one
        for the best cell, and how far chance alone would bring so many intervals. Empty where
        nothing was run.
    """
    quality = table["quality"].iloc[0] if len(table) else ""
    said = [_projection(part, name, quality) for name, part in _projected(table)]
    said += _best(table, quality)
    judged = int((table["gain_low"].notna() & (table["lam"] > 0)).sum())
    if judged >= 10:
        said.append(
            f"Of {judged} intervals of 95 %, {_spelt(judged / 20)} would leave 0 out by chance "
            "alone: trust what neighbouring cells repeat."
        )
    return said


def _projected(table: pd.DataFrame):
    for name in _READINGS:
        part = table[(table["projection"] == name) & (table["lam"] > 0) & table["gain"].notna()]
        if len(part):
            yield name, part


def _projection(part: pd.DataFrame, name: str, quality: str) -> str:
    start = f"From **{quality}** data {_READINGS[name]}"
    if part["gain_low"].isna().all():
        top = part.loc[part["gain"].abs().idxmax()]
        return (
            f"{start} changes the return by {signed(top['gain'])} at λ = {top['lam']:g}; one "
            "seed gives no interval, so that nothing follows."
        )
    helps, costs = part[part["gain_low"] > 0], part[part["gain_high"] < 0]
    words = [
        f"{verb} at {_listed(found, best)}"
        for verb, found, best in (("helps", helps, True), ("costs", costs, False))
        if len(found)
    ]
    if words:
        return f"{start} {' and '.join(words)}."
    top = part.loc[part["gain"].idxmax()]
    return (
        f"{start} makes no clear difference at any λ; the most is {signed(top['gain'])} "
        f"{ends_of(top, 'gain')} at λ = {top['lam']:g}."
    )


def _listed(found: pd.DataFrame, best: bool) -> str:
    """Name the λ of some cells, with the gain of the one that gains or loses most."""
    top = found.loc[found["gain"].idxmax() if best else found["gain"].idxmin()]
    lams = ", ".join(f"{lam:g}" for lam in sorted(found["lam"]))
    where = f"λ = {lams}"
    most = f"{signed(top['gain'])} {ends_of(top, 'gain')}"
    return f"{where} ({most})" if len(found) == 1 else f"{where} (most at {top['lam']:g}: {most})"


def _best(table: pd.DataFrame, quality: str) -> list[str]:
    known = table[table["iqm"].notna()]
    if not len(known):
        return []
    top = known.loc[known["iqm"].idxmax()]
    plain = " without projection" if top["projection"] == "none" else f", {top['projection']}"
    words = f"The best cell from **{quality}** data is λ = {top['lam']:g}{plain} ({top['iqm']:.1f}"
    words = words.replace("(-", "(−")
    words += f" {ends_of(top, 'iqm')})" if np.isfinite(top["iqm_low"]) else ")"
    others = known.drop(index=top.name)
    close = int((others["iqm_high"] >= top["iqm_low"]).sum()) if len(others) else 0
    if np.isfinite(top["iqm_low"]) and close:
        words += f"; the intervals of {close} of the other {len(others)} cells overlap with its own"
    lams = sorted(known["lam"].unique())
    if top["lam"] == 0:
        words += "; at λ = 0 the downstream loss takes no part: here it does not help"
    elif len(lams) > 1 and top["lam"] == lams[-1]:
        words += "; the best λ is at the edge of the grid: try larger"
    elif len(lams) > 1 and top["lam"] == lams[0]:
        words += "; the best λ is at the edge of the grid: try smaller"
    return [words + "."]


def _spelt(number: float) -> str:
    return "about one" if round(number) <= 1 else f"about {round(number)}"
