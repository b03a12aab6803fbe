"""Verbs that act again: with any prompt, or as a stored run did, in numbers or as a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm
from tyro.conf import Positional, arg

from workbench.commands.output import (
    FamilyName,
    Json,
    Model,
    Seed,
    peak_memory,
    print_result,
)
from workbench.data.atomic_files import whole_file
from workbench.data.rollout import Policy, evaluate, half_width
from workbench.networks.models import PROMPT_DT, model_named
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import Task, find
from workbench.tuning.loop import EVALUATION_SEED, TuneStep
from workbench.tuning.prompt_kinds import PROMPTS, cells, draw, told
from workbench.tuning.spec import RunSpec, acting_model
from workbench.viewing.scene import clips, render

Store = Annotated[Path, arg(help="Folder of runs; those that ship are found without being in it.")]
Update = Annotated[
    int | None, arg(help="After which update, one that was evaluated; the last if left out.")
]
_AT_ONCE = 50


def evaluate_(
    family: Positional[Annotated[str | None, FamilyName]] = None,
    task: Positional[Annotated[int | None, arg(help="Index of the task.")]] = None,
    prompt: Annotated[
        str, arg(help=f"Kind of prompt: {', '.join(PROMPTS)}, or own:NAME.")
    ] = "expert",
    run: Annotated[str, arg(help="Id of a stored run, or its beginning: its policy instead.")] = "",
    update: Update = None,
    store: Store = Path("runs"),
    episodes: Annotated[int, arg(help="How many.")] = 20,
    first: Annotated[
        int,
        arg(help="Seed of the first episode, which fixes its start; the next one has the next."),
    ] = EVALUATION_SEED,
    n_prompts: Annotated[int, arg(help="Prompts of that kind; episodes take them in turn.")] = 5,
    model: Model = PROMPT_DT,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run episodes with a kind of prompt, or with the policy of a stored run, and say the return.

    The same seeds give the same starts: two policies compare in pairs. A run is evaluated on its
    own task, or on another one of its family that you name.

      python -m workbench evaluate cheetah-vel 2 --prompt medium --episodes 50
      python -m workbench evaluate --run 0d67fa72 --first 9000
    """
    for name, value in (("episodes", episodes), ("n_prompts", n_prompts)):
        if value < 1:
            raise ValueError(f"`{name}` must be a whole number from 1 up: got {value}.")
    if run:
        spec, step = _stored(run, store, update)
        where, policy = _task_of(spec, family, task), step.snapshot.policy
        what = {"run": spec.id, "update": step.update}
    elif family is None or task is None:
        raise ValueError("Name a family and a task, such as `evaluate cheetah-vel 2`, or `--run`.")
    else:
        known = find(family)
        where = known.task(task)
        if where.index in known.test_indices:
            cells(known, (prompt,), (where.index,))  # says which kinds there are
        model_named(model)
        loaded = load_model(family, name=model)
        cut = draw(known, where, prompt, n_prompts, loaded.config.prompt_length, seed)
        policy = PromptedPolicy(told(loaded, known, where, prompt), cut)
        what = {"prompt": prompt, "prompts": n_prompts}
        what |= {"model": model} if model != PROMPT_DT else {}
    print_result({**what, **_played(policy, where, episodes, first)}, as_json)


def _played(policy: Policy, task: Task, episodes: int, first: int) -> dict[str, object]:
    """Run episodes under a progress bar, so many in lock-step, and sum them up."""
    seeds, parts = range(first, first + episodes), []
    n_prompts = len(policy.prompt)
    size = (
        max(1, _AT_ONCE // n_prompts) * n_prompts
    )  # whole turns: episode i follows prompt i mod B
    with tqdm(total=episodes, unit="episode", delay=1) as bar:
        for low in range(0, episodes, size):
            parts.append(evaluate(policy, task, seeds[low : low + size]))
            bar.update(len(parts[-1].seeds))
    returns = np.concatenate([part.returns for part in parts])
    family, half = find(task.family), half_width(returns)
    found: dict[str, object] = {
        "family": task.family,
        "task": task.index,
        "goal": list(task.goal),
        "episodes": episodes,
        "first_seed": first,
        "return_mean": round(float(returns.mean()), 3),
        "return_sd": round(float(returns.std(ddof=1)), 3) if episodes > 1 else 0.0,
        "half_width": round(half, 3) if np.isfinite(half) else None,
    }
    if family.succeeded is not None:
        done = [bool(family.succeeded(t.rewards)) for part in parts for t in part.trajectories]
        found["success"] = round(float(np.mean(done)), 3)
    return {**found, "returns": [round(float(r), 3) for r in returns]}


def render_(
    run: Positional[Annotated[str, arg(help="Id of a stored run, or its beginning.")]],
    update: Update = None,
    store: Store = Path("runs"),
    out: Annotated[
        Path | None, arg(help="File to write, .mp4 or .gif; RUN-UPDATE.mp4 if left out.")
    ] = None,
    width: Annotated[int | None, arg(help="Pixels, even; 480, or 320 without graphics.")] = None,
    height: Annotated[int | None, arg(help="Pixels, even; 360, or 240 without graphics.")] = None,
    every: Annotated[int, arg(help="Draw every such step: 2 halves time and size.")] = 1,
    as_json: Json = False,
) -> None:
    """Draw the first episode of a stored run as a film.

    Needs no display; `doctor` says what draws here. `runs` lists the ids.
    """
    spec, step = _stored(run, store, update)
    path = out or Path(f"{spec.id}-{step.update}.mp4")
    if path.suffix not in (".mp4", ".gif"):
        raise ValueError(f"`out` must end in .mp4 or .gif: got {path.name!r}.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent}. Make it, or name another one.")
    (episode,) = step.evaluation.trajectories[:1]
    with tqdm(total=100, unit="%", delay=1) as bar:
        drawn = render.film_of(
            episode,
            width=width,
            height=height,
            every=every,
            progress=lambda part: bar.update(round(100 * part) - bar.n),
        )
    wide = width or 480
    with whole_file(path) as partial:
        film = clips.gif(drawn, fps=25, width=wide) if path.suffix == ".gif" else drawn
        partial.write_bytes(film)
    result = {
        "file": str(path),
        "run": spec.id,
        "update": step.update,
        "return": round(float(step.evaluation.returns[0]), 3),
        "bytes": path.stat().st_size,
        "renderer": render.backend(),
        "peak_memory_mb": peak_memory(),
    }
    print_result(result, as_json)


def _stored(run: str, folder: Path, update: int | None) -> tuple[RunSpec, TuneStep]:
    """Return a stored run and the step asked for.

    Raises:
        ValueError: if no run or several begin so, or that update was not evaluated.
    """
    stores = [RunStore(folder), RunStore(assets.ROOT / "runs")]
    found = {run_id: store for store in reversed(stores) for run_id in store.ids()}
    ids = [run_id for run_id in found if run_id.startswith(run)]
    if len(ids) != 1:
        said = "several runs begin" if ids else "no run begins"
        raise ValueError(
            f"In {folder} and among those that ship, {said} with {run!r}. "
            "`python -m workbench runs` lists them."
        )
    (run_id,) = ids
    spec = found[run_id].spec(run_id)
    steps = {
        step.update: step
        for step in found[run_id].load(run_id, acting_model(spec))
        if step.evaluation is not None
    }
    wanted = max(steps) if update is None else update
    if wanted not in steps:
        raise ValueError(f"`update` must be one that was evaluated, {list(steps)}: got {update}.")
    return spec, steps[wanted]


def _task_of(spec: RunSpec, family: str | None, task: int | None) -> Task:
    if family not in (None, spec.family):
        raise ValueError(f"Run {spec.id} is of {spec.family}: it cannot act in {family}.")
    return find(spec.family).task(spec.task if task is None else task)
