"""The held-out table: families by kinds of prompt, beside what was published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from workbench.shipped import assets

PUBLISHED: dict[tuple[str, str], tuple[float, float]] = {
    ("cheetah-dir", "expert"): (934.6, 4.4),
    ("cheetah-dir", "random"): (935.3, 2.6),
    ("cheetah-dir", "none"): (-46.2, 3.4),
    ("cheetah-vel", "expert"): (-43.5, 3.4),
    ("cheetah-vel", "random"): (-127.7, 9.9),
    ("cheetah-vel", "none"): (-146.6, 2.1),
    ("ant-dir", "expert"): (420.2, 5.1),
    ("ant-dir", "random"): (278.7, 38.7),
    ("ant-dir", "none"): (110.5, 2.2),
    ("reach", "expert"): (469.8, 29.9),
    ("reach", "random"): (457.2, 30.3),
    ("reach", "none"): (264.1, 9.6),
}
"""Return of Prompt-DT under a kind of prompt, mean and sd over 3 seeds (arXiv 2411.01168,
Table 1, K* = 5). ``none`` is its MT-ORL: a model pretrained without prompt, not ours left without
one. Its returns of reach are on another scale than Meta-World's."""


def published_words(family: str, kind: str) -> str:
    """Return the published value as text, or a dash."""
    if (family, kind) not in PUBLISHED:
        return "–"
    return "{:.1f} ± {:.1f}".format(*PUBLISHED[family, kind])


def held_out(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """Average ``compare_prompts`` over test tasks, one row per family and kind of prompt.

    Args:
        rows: With ``family`` added to each.

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
        rows: Of ``compare_prompts``, with ``family`` added; all test tasks.
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
    entries, tables = assets.manifest(), []
    for family in families:
        name = assets.model_path(family).relative_to(assets.ROOT).as_posix()
        kept = pd.DataFrame(entries.get(name, {}).get("measured", {}).get("held_out", []))
        if len(kept):
            kept = kept.astype({"success": float, "of_expert": float})
            words = [published_words(family, kind) for kind in kept.prompt]
            tables.append(kept.assign(family=family, published=words))
    if not tables:
        raise ValueError("No held-out returns are kept yet: `python -m workbench prompts --keep`.")
    table = pd.concat(tables, ignore_index=True)
    return table[["family", *(c for c in table if c != "family")]]
