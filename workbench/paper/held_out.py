"""The held-out table: how well the untuned model follows each kind of prompt, beside the paper.

Returns of Prompt-DT on the test tasks of every family, under expert prompts, random prompts and
none. It says whether pretraining worked, before anything is tuned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from workbench.paper.tables import PUBLISHED
from workbench.shipped import assets

_ROWS = {
    "expert": "Prompt-DT, expert prompt",
    "random": "Prompt-DT, random prompt",
    "none": "MT-ORL",
}
"""Kind of prompt → row of the paper's table 1. MT-ORL is a model pretrained without prompt, and not
the same model left without one."""


def published_words(family: str, kind: str) -> str:
    """Return the published mean and sd over 3 seeds as text, or a dash."""
    place = _ROWS.get(kind, ""), family
    return "{:.1f} ± {:.1f}".format(*PUBLISHED["1"][place]) if place in PUBLISHED["1"] else "–"


def held_out(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Average returns over test tasks, one row per family and kind of prompt.

    Args:
        rows: Of ``prompt_kinds.compare_prompts``, with ``family`` added to each.

    Returns:
        Columns ``family``, ``prompt``, ``tasks``, ``episodes`` (per task), ``return_mean``;
        ``return_sd``, over the episodes of a task, root mean square over tasks;
        ``of_expert``, the share of the expert prompts' return where returns are positive;
        ``success``, share of episodes, where the family has the notion; ``published``.
    """
    table = pd.DataFrame(list(rows))
    if "success" not in table:
        table["success"] = np.nan
    groups = table.groupby(["family", "prompt"], sort=False)
    result = groups.agg(
        tasks=("task", "size"),
        episodes=("episodes", "first"),
        return_mean=("return_mean", "mean"),
        return_sd=("return_sd", lambda sd: float(np.sqrt(np.mean(np.square(sd))))),
        success=("success", "mean"),
    ).reset_index()
    expert = result[result.prompt == "expert"].set_index("family")["return_mean"]
    share = result.return_mean / result.family.map(expert)
    result.insert(6, "of_expert", share.where(result.family.map(expert) > 0).round(3))
    result["published"] = [
        published_words(f, k) for f, k in zip(result.family, result.prompt, strict=True)
    ]
    return result.round({"return_mean": 1, "return_sd": 1, "success": 3})


def keep_held_out(family: str, rows: Iterable[Mapping[str, object]], command: str) -> None:
    """Enter a family's held-out returns into the manifest, beside its model.

    Args:
        family: Name of the family.
        rows: Of ``prompt_kinds.compare_prompts``, with ``family`` added; all test tasks.
        command: The command line that measured them.
    """
    table = held_out(rows).drop(columns=["family", "published"])
    kept = json.loads(table.to_json(orient="records"))
    assets.measure(assets.model_path(family), held_out=kept, held_out_command=command)


def kept_held_out(families: Iterable[str]) -> pd.DataFrame:
    """Return the held-out table as the manifest keeps it, without measuring anything.

    Raises:
        ValueError: if it keeps none of these families'.
    """
    tables = []
    for family in families:
        home = assets.home_of(family)
        entries = assets.manifest(home)
        name = assets.model_path(family).relative_to(home).as_posix()
        kept = pd.DataFrame(entries.get(name, {}).get("measured", {}).get("held_out", []))
        if len(kept):
            kept = kept.astype({"success": float, "of_expert": float})
            words = [published_words(family, kind) for kind in kept.prompt]
            tables.append(kept.assign(family=family, published=words))
    if not tables:
        raise ValueError("No held-out returns are kept yet: `python -m workbench prompts --keep`.")
    table = pd.concat(tables, ignore_index=True)
    return table[["family", *(c for c in table if c != "family")]]
