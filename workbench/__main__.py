"""The command line: ``python -m workbench VERB``, each verb with ``--help`` and ``--json``."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import tyro
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional, arg

from workbench import assets, making, published
from workbench.behaviour import BehaviourConfig, Quality
from workbench.compare import Comparison, compare, stored_runs, summary_by_quality
from workbench.diffusion import DiffuserConfig
from workbench.methods import METHODS
from workbench.model import ModelConfig
from workbench.presets import RECORDED
from workbench.pretrain import (
    DiffuserPretrainConfig,
    PretrainConfig,
    pretrain_diffuser,
)
from workbench.pretrain import (
    pretrain as pretrain_steps,
)
from workbench.projection import Mode
from workbench.prompts import PROMPTS, compare_prompts
from workbench.store import RunStore
from workbench.tasks import find
from workbench.tune import RunSpec, load_model

METHOD = METHODS["prompt-diffuser"]()
Json = Annotated[bool, arg(name="json", help="Print one JSON value on stdout, all else on stderr.")]
FamilyName = Annotated[str, arg(help="Task family, such as cheetah-vel.")]
Data = Annotated[Path, arg(help="Folder of the training data that `collect` writes.")]
Seed = Annotated[int, arg(help="Seed of everything random.")]


def behaviour(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[BehaviourConfig] = BehaviourConfig(),
    work: Path = Path("build/behaviour"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the goal-conditioned behaviour policies by PPO and ship the three qualities.

    Needs the extra `collect`. Keeps a checkpoint below WORK and resumes from it.
    """
    known, command = find(family), _command()
    with tqdm(total=config.env_steps, unit="step", desc="PPO") as bar:
        for step in making.make_behaviour(known, config, seed, work, command):
            bar.update(step.env_steps - bar.n)
    _print(_entries(assets.policy_path(family, q) for q in making.QUALITIES), as_json)


def collect(
    family: Positional[FamilyName],
    data: Data = Path("data"),
    episodes: Annotated[int, arg(help="Trajectories per training task and quality.")] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Regenerate the training data with the shipped behaviour policies; skips what exists."""
    known = find(family)
    steps = making.make_data(known, data, episodes, seed)
    total = len(known.tasks("train")) * len(making.QUALITIES)
    rows = [(q, mean) for _, q, mean in tqdm(steps, total=total, unit="file")]
    table = pd.DataFrame(rows, columns=["quality", "return_mean"]).groupby("quality", sort=False)
    _print(
        _records(table["return_mean"].agg(["mean", "min", "max", "size"]).reset_index()), as_json
    )


def demos(family: Positional[FamilyName], seed: Seed = 0, as_json: Json = False) -> None:
    """Make the few-shot sets that ship: 5 trajectories per test task and quality."""
    steps = making.make_demos(find(family), seed, _command())
    rows = [{"task": t.index, "quality": q, "return_mean": round(m, 2)} for t, q, m in steps]
    _print(rows, as_json)


def pretrain(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[PretrainConfig] = PretrainConfig(),
    sizes: OmitArgPrefixes[ModelConfig] = ModelConfig(),
    data: Data = Path("data"),
    out: Annotated[
        Path | None, arg(help="Checkpoint to write; the shipped one if left out.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a Prompt-DT on the training tasks' data.

    The default size is the released code's (3 layers of 128). The paper's is
    `--n-layers 4 --n-heads 4 --width 512`.
    """
    pool, began = making.load_pool(find(family), data), time.perf_counter()
    losses = []
    for step in tqdm(
        pretrain_steps(pool, config, sizes, seed), total=config.steps, unit="step", delay=1
    ):
        losses.append(step.loss)
    path = out or assets.model_path(family)
    step.model.save(path, pretrain=dataclasses.asdict(config), seed=seed)
    _made(path, step.model.n_parameters, losses, began, seed, as_json)


def diffuser(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[DiffuserPretrainConfig] = DiffuserPretrainConfig(),
    sizes: OmitArgPrefixes[DiffuserConfig] = DiffuserConfig(),
    data: Data = Path("data"),
    out: Annotated[
        Path | None, arg(help="Checkpoint to write; the shipped one if left out.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a prompt diffuser on the training tasks' data, for the shipped Prompt-DT."""
    pool, began = making.load_pool(find(family), data), time.perf_counter()
    normalizer = load_model(family).normalizer
    losses = []
    steps = pretrain_diffuser(pool, normalizer, config, sizes, seed)
    for step in tqdm(steps, total=config.steps, unit="step", delay=1):
        losses.append(step.loss)
    path = out or assets.diffuser_path(family)
    step.diffuser.save(path, pretrain=dataclasses.asdict(config), seed=seed)
    _made(path, step.diffuser.n_parameters, losses, began, seed, as_json)


def record(family: Positional[FamilyName], as_json: Json = False) -> None:
    """Record the runs that ship, each with its untuned baseline, below assets/runs/."""
    find(family)
    store, command, rows = RunStore(assets.ROOT / "runs"), _command(), []
    wanted = RECORDED.get(family, ())
    keep = {run_id for spec in wanted for run_id in (spec.id, spec.untuned.id)}
    for folder in store.root.glob("*/"):
        if folder.name not in keep and store.spec(folder.name).family == family:
            shutil.rmtree(folder)
    for spec in wanted:
        steps = [s for _, s in tqdm(compare(spec, store), total=spec.updates + 3, unit="update")]
        for run_id in (spec.id, spec.untuned.id):
            for path in sorted(p for p in (store.root / run_id).rglob("*") if p.is_file()):
                assets.record(path, command=command, seed=spec.seed)
        rows.append({"run": spec.id, "quality": spec.quality, **steps[-1].evaluation.summary()})
    _print(rows, as_json)


def prompts(
    family: Positional[FamilyName],
    episodes: Annotated[int, arg(help="Episodes per prompt.")] = 20,
    n_prompts: Annotated[int, arg(help="Prompts sampled per task and kind.")] = 5,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Show what the prompt does: returns on the test tasks with right, wrong and no prompts."""
    known = find(family)
    torch.set_num_threads(os.cpu_count() or 1)  # a hundred episodes at once can use them
    rows = []
    total = len(known.tasks("test")) * len(PROMPTS)
    for row in tqdm(compare_prompts(known, episodes, n_prompts, seed), total=total, unit="cell"):
        rows.append(row)
    if as_json:
        _print(rows, True)
        return
    table = pd.DataFrame(rows).pivot(index="prompt", columns="task", values="return_mean")
    table = table.loc[list(PROMPTS)]
    table["mean"] = table.mean(axis=1)
    print(f"Mean return, {n_prompts} prompts x {episodes} episodes per test task of {family}")
    print(table.round(1).to_string())


def tune(
    family: Positional[FamilyName],
    task: Positional[Annotated[int, arg(help="Index of the test task.")]],
    quality: Annotated[Quality, arg(help="Quality of the few-shot trajectories.")] = "medium",
    lam: Annotated[float, arg(help="Weight of the downstream gradient, Eq. 8.")] = 1.0,
    projection: Annotated[
        Mode, arg(help="Reading of Eq. 8-9; none is the plain sum.")
    ] = "subspace",
    lr: Annotated[float, arg(help="Learning rate.")] = METHOD.lr,
    temperature: Annotated[
        float, arg(help="Factor on the sampling variance, 0 to 1.")
    ] = METHOD.temperature,
    batch_size: Annotated[int, arg(help="Prompts per update.")] = METHOD.batch_size,
    clip: Annotated[float, arg(help="Largest norm of the combined gradient.")] = METHOD.clip,
    energy: Annotated[float, arg(help="Share of energy the subspace keeps.")] = METHOD.energy,
    memory: Annotated[int, arg(help="Recent gradients that span it.")] = METHOD.memory,
    refresh: Annotated[int, arg(help="Updates between two bases.")] = METHOD.refresh,
    updates: Annotated[int, arg(help="Optimisation steps.")] = 200,
    eval_every: Annotated[int, arg(help="Updates between two evaluations.")] = 50,
    episodes: Annotated[int, arg(help="Episodes per evaluation.")] = 20,
    seed: Seed = 0,
    store: Annotated[Path, arg(help="Folder where runs are kept.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """Tune Prompt Diffuser on one test task, and compare with the untuned prompt."""
    settings = {"lam": lam, "projection": projection, "lr": lr, "temperature": temperature}
    settings |= {"batch_size": batch_size, "clip": clip}
    settings |= {"energy": energy, "memory": memory, "refresh": refresh}
    spec = RunSpec(
        family,
        task,
        quality,
        settings=settings,
        updates=updates,
        seed=seed,
        eval_every=eval_every,
        episodes=episodes,
    )
    kept, began = RunStore(store), time.perf_counter()
    items = list(tqdm(compare(spec, kept), total=updates + 3, unit="update", delay=1))
    seen = Comparison.of(spec, items)
    start, steps = seen.untuned, seen.steps
    tail = [s.measured for s in steps[1:]][-max(1, updates // 10) :]
    result = {
        "run": spec.id,
        "before": start.evaluation.summary(),
        "after": steps[-1].evaluation.summary(),
        "losses": {
            name: round(float(np.mean([m[name] for m in tail])), 5)
            for name in ("loss_dm", "loss_dt")
            if tail
        },
        "conflict_share": round(float(np.mean([s.measured["conflict"] for s in steps[1:]])), 4)
        if updates
        else None,
        "seconds": round(time.perf_counter() - began, 2),
        "peak_memory_mb": _peak_memory(),
    }
    _print(result, as_json)


def runs(
    store: Annotated[Path, arg(help="Folder where runs are kept.")] = Path("runs"),
    by_quality: Annotated[bool, arg(help="One row per quality: means over runs.")] = False,
    as_json: Json = False,
) -> None:
    """List the stored tunings: last return beside the untuned prompt's, in the same episodes."""
    table = pd.DataFrame(stored_runs(RunStore(store)))
    if by_quality and len(table):
        table = summary_by_quality(table)
    _print(_records(table), as_json)


def import_(
    files: Positional[tuple[Path, ...]],
    family: Annotated[str | None, arg(help="Family, when the file name does not say.")] = None,
    task: Annotated[int | None, arg(help="Task, when the file name does not say.")] = None,
    as_json: Json = False,
) -> None:
    """Read published Prompt-DT demonstrations and replay them through our environment.

    Nothing in a file is executed. A refused file gives exit status 2 and the reason on stderr.
    """
    rows, refused = [], 0
    for file in files:
        try:
            rows.append(published.import_published(file, family, task).row())
        except (ValueError, OSError) as error:
            refused += 1
            print(f"refused: {file}: {error}", file=sys.stderr)
    if rows or not refused:
        _print(rows, as_json)
    if refused:
        raise SystemExit(2)


VERBS = {
    "behaviour": behaviour,
    "collect": collect,
    "demos": demos,
    "pretrain": pretrain,
    "diffuser": diffuser,
    "record": record,
    "prompts": prompts,
    "tune": tune,
    "runs": runs,
    "import": import_,
}


def _command() -> str:
    return shlex.join(["python", "-m", "workbench", *sys.argv[1:]])


def _peak_memory() -> float:
    """Peak resident memory of this process, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _made(path: Path, parameters: int, losses, began: float, seed: int, as_json: bool) -> None:
    """Report a checkpoint, and enter it into the manifest when it is one that ships."""
    figures = {
        "parameters": parameters,
        "loss_last_tenth": round(float(np.mean(losses[-max(1, len(losses) // 10) :])), 5),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_memory_mb": _peak_memory(),
    }
    if path.resolve().is_relative_to(assets.ROOT):
        assets.record(path.resolve(), command=_command(), seed=seed, **figures)
    _print({"file": os.path.relpath(path), **figures}, as_json)


def _entries(paths) -> list[dict]:
    entries = assets.manifest()
    names = [path.relative_to(assets.ROOT).as_posix() for path in paths]
    return [{"file": name, **entries[name]["measured"]} for name in names]


def _records(table: pd.DataFrame) -> list[dict]:
    return json.loads(table.round(2).to_json(orient="records"))


def _print(value: object, as_json: bool) -> None:
    """Print a result: one JSON value, or a table or list for people."""
    if as_json:
        print(json.dumps(value))
    elif isinstance(value, list):
        print(pd.DataFrame(value).to_string(index=False) if value else "nothing")
    else:
        width = max(map(len, value))
        print("\n".join(f"{name:<{width}}  {item}" for name, item in value.items()))


def main() -> None:
    """Run one verb; a problem with the input is one line on stderr and exit status 2."""
    # One thread is faster than two for models this small, and leaves a core free.
    torch.set_num_threads(int(os.environ.get("WORKBENCH_THREADS", "1")))
    try:
        tyro.extras.subcommand_cli_from_dict(VERBS, prog="python -m workbench")
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt as error:
        print("stopped; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from error


if __name__ == "__main__":
    main()
