"""Verbs that show what prompts and tunings do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional, arg

from workbench.commands.environment import threads
from workbench.commands.output import (
    FamilyName,
    Json,
    Model,
    Seed,
    Split,
    Variant,
    command,
    peak_memory,
    print_result,
    records,
)
from workbench.commands.settings import NONE_GIVEN, Settings, given
from workbench.methods import METHODS
from workbench.networks.models import PROMPT_DT
from workbench.paper.held_out import held_out, keep_held_out, kept_held_out
from workbench.runs.compare import Comparison, compare
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import FAMILIES, SHIPPED, find
from workbench.tasks.splits import TEST
from workbench.tuning.presets import CHOSEN
from workbench.tuning.prompt_kinds import PROMPTS, cells, compare_prompts
from workbench.tuning.spec import RunSpec


def prompts(
    families: Positional[
        Annotated[tuple[str, ...], arg(help="Task families; all that have models if left out.")]
    ] = (),
    episodes: Annotated[int, arg(help="Episodes per prompt.")] = 20,
    n_prompts: Annotated[int, arg(help="Prompts sampled per task and kind.")] = 5,
    kinds: Annotated[
        tuple[str, ...], arg(help="Kinds of prompt; `own:NAME` is a set of your own.")
    ] = PROMPTS,
    tasks: Annotated[tuple[int, ...], arg(help="Test tasks, of one family; all if left out.")] = (),
    model: Model = PROMPT_DT,
    keep: Annotated[bool, arg(help="Enter the means into the manifest, beside the model.")] = False,
    kept: Annotated[bool, arg(help="Print the held-out table that was kept; run nothing.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show what the prompt does: returns on the test tasks with right, wrong and no prompts.

    One family gives a row per kind of prompt and a column per task; several give the held-out
    table, families by kinds, beside what was published.
    """
    known = [find(name) for name in families or filter(assets.has_models, FAMILIES)]
    if kept:
        table = kept_held_out(family.name for family in known)
        print_result(records(table) if as_json else table, as_json)
        return
    if keep and (tasks or kinds != PROMPTS or model != PROMPT_DT):
        raise ValueError(
            "`--keep` keeps whole tables, of Prompt-DT: leave out `--kinds`, `--tasks`, `--model`."
        )
    # a hundred episodes at once can use more than one
    torch.set_num_threads(threads(os.cpu_count() or 1))
    rows = []
    with tqdm(total=sum(len(cells(f, kinds, tasks)) for f in known), unit="cell") as bar:
        for family in known:
            for row in compare_prompts(family, episodes, n_prompts, seed, kinds, tasks, model):
                rows.append({"family": family.name, **row})
                bar.update()
            if keep:
                own = [row for row in rows if row["family"] == family.name]
                keep_held_out(family.name, own, command())
    if as_json:
        print_result(rows, True)
        return
    print(f"Mean return, {n_prompts} prompts x {episodes} episodes per test task and kind.")
    if len(known) > 1:
        print_result(held_out(rows), False)
        return
    by_task, means = pd.DataFrame(rows).pivot(index="prompt", columns="task"), held_out(rows)
    table = by_task["return_mean"].reindex([k for k in kinds if k in by_task.index])
    means = means.set_index("prompt").loc[table.index]
    table["mean"], table["±"] = means["return_mean"], means["return_sd"]
    if known[0].name in SHIPPED:
        table["published"] = means["published"]
    print(table.round(1).to_string())
    print("±: standard deviation over the episodes of a task, root mean square over tasks.")


def tune(
    family: Positional[FamilyName],
    task: Positional[Annotated[int, arg(help="Index of the test task.")]],
    quality: Annotated[
        str, arg(help="Few-shot trajectories: expert, medium, random, or `own:NAME`.")
    ] = "medium",
    method: Annotated[
        str, arg(help=f"How to adapt: {', '.join(m for m in METHODS if m != 'prompt-dt')}.")
    ] = "prompt-diffuser",
    settings: OmitArgPrefixes[Settings] = NONE_GIVEN,
    prompts: Annotated[
        str, arg(help="Quality of the initial prompt's trajectories, if it is another one.")
    ] = "",
    updates: Annotated[
        int | None,
        arg(help="Optimisation steps; if left out 100, or 0 for what the tables do not tune."),
    ] = None,
    eval_every: Annotated[int, arg(help="Updates between two evaluations.")] = 50,
    episodes: Annotated[int, arg(help="Episodes per evaluation.")] = 20,
    split: Split = TEST,
    model: Model = PROMPT_DT,
    variant: Variant = "",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        arg(help="What tuning computes in; auto: bf16 where the processor is fast at it."),
    ] = "auto",
    seed: Seed = 0,
    store: Annotated[Path, arg(help="Folder where runs are kept.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Tune one method on one test task, and compare with the untuned prompt.

    A setting that is left out is the method's own default; one that the method does not have is
    an error.
    """
    if updates is None:
        updates = 100 if method not in METHODS or CHOSEN[method][1] else 0
    spec = RunSpec(
        family,
        task,
        quality,
        method=method,
        settings=given(settings),
        updates=updates,
        seed=seed,
        eval_every=eval_every,
        episodes=episodes,
        prompts=prompts,
        split=split,
        precision=precision,
        variant=variant,
        model=model,
    )
    kept, began = RunStore(store), time.perf_counter()
    items = list(tqdm(compare(spec, kept), total=updates + 3, unit="update", delay=1))
    seen = Comparison.of(spec, items)
    start, steps = seen.untuned, seen.steps
    conflicts = [s.gradients.conflict for s in steps if s.gradients is not None]
    tail = [s.metrics for s in steps[1:]][-max(1, updates // 10) :]
    result = {
        "run": spec.id,
        "before": start.evaluation.summary(),
        "after": steps[-1].evaluation.summary(),
        "losses": {
            name: round(float(np.mean([m[name] for m in tail])), 5)
            for name in (tail[0] if tail else ())
            if name.startswith(("loss_", "value"))
        },
        "conflict_share": round(float(np.mean(conflicts)), 4) if conflicts else None,
        "seconds": round(time.perf_counter() - began, 2),
        "peak_memory_mb": peak_memory(),
    }
    print_result(result, as_json)
