"""What is compared: each function measures one goal and returns its results."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mujoco
import numpy as np
import torch

from tests.benchmarks import peers
from tests.benchmarks.published import (
    HalfModel,
    PlainDiffuser,
    PublishedModel,
    evaluate_published,
    gpt2,
)
from tests.benchmarks.timing import Result, Spread, interleaved, ratio
from workbench.data.rollout import evaluate, half_width
from workbench.methods import METHODS
from workbench.methods.projection import MODES
from workbench.networks.fast.checked import plain_only
from workbench.networks.prompt_dt import Attention, ModelConfig, PromptDT, PromptedPolicy
from workbench.paper.scores import difference
from workbench.pretraining.prompt_dt import Pool, PretrainConfig, pretrain
from workbench.runs.store import RunStore
from workbench.runs.sweep import sweep
from workbench.shipped import assets
from workbench.shipped.networks import load_diffuser, load_model
from workbench.tasks import Task, find, make
from workbench.tuning.loop import EVALUATION_SEED, run
from workbench.tuning.prompt_kinds import draw
from workbench.tuning.spec import RunSpec

EPISODES = 32
D3RLPY_WIDTHS = (ModelConfig().width, 256)
"""As wide as our model, and as d3rlpy is by itself."""
VARIANTS = {
    "exact fp32": {},
    "exact bf16": {"precision": "bf16"},
    "block fp32": {"mode": "block"},
    "block bf16": {"mode": "block", "precision": "bf16"},
    "banded fp32": {"attention": "banded"},
    "banded bf16": {"attention": "banded", "precision": "bf16"},
}
"""Banded ones compute with the weights that ship, which were not trained for it: how fast they act
does not depend on that, how well they act does."""
COMES_FROM = (
    ("published", "lock-step", f"batching, {EPISODES} episodes in lock-step"),
    ("lock-step", "exact fp32", "caching, nothing encoded twice that stays"),
    ("exact fp32", "exact bf16", "bfloat16"),
)
"""Pairs of ways to evaluate that differ in one thing, and the thing: their product is the whole."""


def prompted(task: Task, n: int = 5, attention: Attention = "sliding", **how) -> PromptedPolicy:
    """Return the shipped model of a task's family under ``n`` expert prompts."""
    family, model = find(task.family), load_model(task.family)
    if attention != model.config.attention:
        weights = model.state_dict()
        model = PromptDT(dataclasses.replace(model.config, attention=attention), family)
        model.load_state_dict(weights)
        model.frozen()
    prompt = draw(family, task, "expert", n, model.config.prompt_length, 0)
    return PromptedPolicy(model, prompt, **how)


def seeds(n: int) -> range:
    """Return evaluation seeds."""
    return range(EVALUATION_SEED, EVALUATION_SEED + n)


def steps_of(policy: PromptedPolicy, task: Task, n: int, **how: object) -> int:
    """Evaluate ``n`` episodes and return their environment steps."""
    return sum(len(t) for t in evaluate(policy, task, seeds(n), **how).trajectories)


def checked_reference(task: Task) -> PublishedModel:
    """Return the published pattern, after seeing that it acts as our exact mode does."""
    policy = prompted(task, 1)
    # eager as released; it is also the faster one here
    published = PublishedModel(policy.model, gpt2(policy.model, "eager"))
    ours = evaluate(policy, task, seeds(1)).trajectories[0]
    with torch.inference_mode():
        _, theirs = evaluate_published(published, policy.prompt, task, EVALUATION_SEED, 30)
    error = float(np.abs(theirs - ours.actions[: len(theirs)]).max())
    if error > 1e-3:  # a closed loop amplifies rounding; a wrong pattern is off by tenths
        raise AssertionError(f"the published pattern acts otherwise: {error:.1e} after 30 steps")
    return published


def evaluation(family: str, goals: dict[str, float], repeats: int) -> Iterator[Result]:
    """Compare the whole evaluation loop with the published pattern and d3rlpy's wrapper."""
    task = find(family).tasks("test")[0]
    reference, one = checked_reference(task), prompted(task, 1).prompt

    @torch.inference_mode()
    def published() -> int:
        return len(evaluate_published(reference, one, task, EVALUATION_SEED, 200)[1])

    cases: dict[str, Callable[[], float]] = {"published": published}
    if family == "cheetah-vel":
        for width in D3RLPY_WIDTHS:
            episode = peers.d3rlpy_episode(task, width)
            cases[f"d3rlpy {width}"] = lambda episode=episode: episode(200)
    plain = prompted(task)

    def in_lock_step() -> int:
        with plain_only():  # whole contexts through the plain transformer, of all episodes at once
            return steps_of(plain, task, EPISODES)

    cases["lock-step"] = in_lock_step
    for name, how in VARIANTS.items():
        policy = prompted(task, **how)
        cases[name] = lambda policy=policy: steps_of(policy, task, EPISODES)
    costs = interleaved(cases, repeats)
    label, note = find(family).label, f"whole loop, {EPISODES} episodes in lock-step, one core"
    speed = Spread.of([1 / cost for cost in costs["published"]])
    yield Result(f"{label}: published pattern", speed, "steps/s", note="one environment")
    for name in VARIANTS:
        value = ratio(costs["published"], costs[name])
        title = f"{label}: {name} against the published pattern"
        yield Result(title, value, "×", goals.get(name), note=note)
    for before, after, what in COMES_FROM:
        yield Result(
            f"{label}: of which {what}", ratio(costs[before], costs[after]), "×", note=note
        )
    if family == "cheetah-vel":
        for width, goal in zip(D3RLPY_WIDTHS, (8, None), strict=True):
            value = ratio(costs[f"d3rlpy {width}"], costs["exact fp32"])
            title = f"{label}: exact fp32 against d3rlpy's wrapper, {width} wide"
            yield Result(title, value, "×", goal, note=note)


def simulator_limit(family: str, steps: int = 400) -> float:
    """Return bare ``mj_step`` environment steps per CPU second, with random actions."""
    task = find(family).tasks("test")[0]
    env, rng = make(task), np.random.default_rng(0)
    env.reset(seed=1)
    nstep = 5 if family == "reach" else env.frame_skip
    controls = rng.uniform(-1, 1, (steps, env.model.nu)) * 0.3
    began = time.process_time()
    for control in controls:
        env.data.ctrl[:] = control
        mujoco.mj_step(env.model, env.data, nstep=nstep)
    return steps / (time.process_time() - began)


def beside_the_simulator(repeats: int, episodes: int = 50) -> Iterator[Result]:
    """Compare the whole evaluation loop with the simulator's steps alone."""
    for family, goal in (("cheetah-vel", 50.0), ("ant-dir", 70.0)):
        task, label = find(family).tasks("test")[0], find(family).label
        policies = {name: prompted(task, **how) for name, how in VARIANTS.items()}
        for policy in policies.values():
            steps_of(policy, task, 2)
        shares: dict[str, list[float]] = {name: [] for name in policies}
        for _ in range(repeats):
            for name, policy in policies.items():
                # right before each of them: a neighbour may slow the machine for a while
                bare, began = simulator_limit(family), time.process_time()
                speed = steps_of(policy, task, episodes) / (time.process_time() - began)
                shares[name].append(100 * speed / bare)
        for name, values in shares.items():
            wanted = goal if name == "banded bf16" else None
            note = f"whole loop, {episodes} episodes in lock-step, one core"
            yield Result(
                f"{label}: {name}, share of bare mj_step", Spread.of(values), "%", wanted, note=note
            )


def block_difference(episodes: int = 40) -> Iterator[Result]:
    """Pair block with exact evaluation: same tasks, prompts and initial states."""
    for family in ("cheetah-vel", "ant-dir"):
        tasks = find(family).tasks("test")
        exact, block = (
            np.concatenate(
                [evaluate(prompted(t, mode=m), t, seeds(episodes)).returns for t in tasks]
            )
            for m in ("exact", "block")
        )
        mean, half = float((block - exact).mean()), half_width(block - exact)
        contained = "contains 0" if abs(mean) <= half else "does NOT contain 0"
        yield Result(
            f"{find(family).label}: return of block less exact, paired",
            Spread(mean, mean - half, mean + half),
            "return",
            note=f"95 % interval over {len(exact)} episodes of {len(tasks)} tasks: it {contained}",
        )


BANDED = {"": "banded", "seed-1": "banded-1", "seed-2": "banded-2"}
"""Variant with a sliding context → the one begun with its weights that has banded attention."""


def banded_difference(episodes: int = 20) -> Iterator[Result]:
    """Pair banded attention with a sliding context: same pretraining seed, prompts and states.

    Of the seeds that were made: ``python -m workbench pretrain FAMILY --variant seed-2``
    and then ``--variant seed-2 --attention banded --begin-with-prompt-dt``.
    """
    for family in ("cheetah-vel", "ant-dir"):
        ways = [
            way
            for way in BANDED.items()
            if all(assets.model_path(family, variant=name).exists() for name in way)
        ]
        tasks = find(family).tasks("test")
        means = np.empty((2, len(ways), len(tasks)))  # over the episodes of a task
        for j, way in enumerate(ways):
            for k, task in enumerate(tasks):
                policy = prompted(task, precision="bf16")
                for i, name in enumerate(way):
                    one = dataclasses.replace(policy, model=load_model(family, variant=name))
                    means[i, j, k] = evaluate(one, task, seeds(episodes)).returns.mean()
        if not ways:
            continue
        sliding, banded = means
        by_seed = ", ".join(f"{d:.1f}" for d in (banded - sliding).mean(1))
        found = difference(banded, sliding)
        yield Result(
            f"{find(family).label}: return of banded attention less a sliding context, paired",
            Spread(*dataclasses.astuple(found)),
            "return",
            note=f"95 % interval over {len(ways)} pretraining seeds, {len(tasks)} tasks and "
            f"{episodes} episodes of each, expert prompts: by seed {by_seed}; "
            f"a sliding context reaches {sliding.mean():.0f}",
        )


def training(repeats: int) -> Iterator[Result]:
    """Compare a pretraining step with that of ``transformers``, same shapes and batches."""
    family, config = find("cheetah-vel"), PretrainConfig(steps=10**6, batch_size=32)
    demos = [
        (quality, assets.demos(task, quality))
        for task in family.tasks("test")
        for quality in ("expert", "medium", "random")
    ]
    data = Pool(demos)
    theirs = peers.transformers_step(family, data, config)

    def ours(precision: str) -> Callable[[], float]:
        precise = PretrainConfig(steps=10**6, batch_size=32, precision=precision)
        stream = pretrain(data, precise, ModelConfig(), 0)
        return lambda: sum(next(stream) is not None for _ in range(6))

    def peer(precision: str) -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            for _ in range(6):
                theirs()
        return 6

    cases = {
        "peer": lambda: peer("fp32"),
        "peer bf16": lambda: peer("bf16"),
        "bf16": ours("bf16"),
        "fp32": ours("fp32"),
    }
    costs = interleaved(cases, repeats)
    note = "batch 32, 25 rows, 3 × 128; ours with batches, clipping and averaging"
    for name, goal in (("bf16", 2.0), ("fp32", None)):
        title = f"Pretraining step: {name} against transformers' Decision Transformer"
        yield Result(title, ratio(costs["peer"], costs[name]), "×", goal, note=note)
    title = "Pretraining step: bf16 against transformers' Decision Transformer, bf16 as well"
    yield Result(title, ratio(costs["peer bf16"], costs["bf16"]), "×", note=note)


def tuning(repeats: int) -> Iterator[Result]:
    """Compare a tuning update with the same algorithm on the published model's pattern.

    That is the plain way: whole sequences through the published model, and the chain by autograd.
    """
    task = find("cheetah-vel").tasks("test")[0]
    model, demos = load_model(task.family), assets.demos(task, "medium")
    # "sdpa": with gradients it is the faster one
    models = {
        "published": PublishedModel(model, gpt2(model, "sdpa")).requires_grad_(False).eval(),
        "published bf16": HalfModel(model, gpt2(model, "sdpa")).requires_grad_(False).eval(),
        "bf16": model.computing("bf16"),
        "fp32": model,
    }

    def updates(network) -> Callable[[], float]:
        diffuser = load_diffuser(task.family)
        if isinstance(network, PublishedModel):
            diffuser = copy.deepcopy(diffuser)
            diffuser.__class__ = PlainDiffuser
        method = METHODS["prompt-diffuser"](diffuser=diffuser)
        learner = method.start(network, demos, torch.Generator().manual_seed(0))
        return lambda: sum(bool(learner.update().metrics) for _ in range(5))

    costs = interleaved({name: updates(network) for name, network in models.items()}, repeats)
    note = "Prompt Diffuser, N = 20, batch 32"
    for name, goal in (("bf16", 2.0), ("fp32", None)):
        title = f"Tuning update: {name} against the published model's pattern"
        yield Result(title, ratio(costs["published"], costs[name]), "×", goal, note=note)
    title = "Tuning update: bf16 against the published model's pattern, bf16 as well"
    yield Result(title, ratio(costs["published bf16"], costs["bf16"]), "×", note=note)
    milliseconds = Spread.of([1e3 * cost for cost in costs["bf16"]])
    yield Result("Tuning update, bf16", milliseconds, "ms", note=note)
    for mode in MODES:
        yield projection_share(model.computing("bf16"), demos, mode, repeats)


def projection_share(model, demos, mode: str, repeats: int) -> Result:
    """Return which share of a tuning update the projection takes, in percent."""
    method = METHODS["prompt-diffuser"](diffuser=load_diffuser("cheetah-vel"), projection=mode)
    learner = method.start(model, demos, torch.Generator().manual_seed(0))
    combine, spent = learner.combiner.combine, [0.0]

    def timed(*gradients):
        began = time.process_time()
        combined = combine(*gradients)
        spent[0] += time.process_time() - began
        return combined

    learner.combiner.combine = timed
    for _ in range(learner.combiner.refresh):  # fills the memory
        learner.update()
    shares = []
    for _ in range(repeats):
        spent[0], began = 0.0, time.process_time()
        for _ in range(learner.combiner.refresh):
            learner.update()
        shares.append(100 * spent[0] / (time.process_time() - began))
    title = f"Share of the update spent in projection: {mode}"
    return Result(title, Spread.of(shares), "%", 3, at_most=True, note="of CPU time")


def processes(repeats: int) -> Iterator[Result]:
    """Compare two worker processes with one, and time a whole family's evaluation."""
    tasks, load = find("cheetah-vel").tasks("test"), busy()
    policy = prompted(tasks[0])
    cases = {
        workers: lambda workers=workers: steps_of(policy, tasks[0], 40, workers=workers)
        for workers in (1, 2)
    }
    costs = interleaved(cases, repeats, time.perf_counter)
    note = f"40 episodes, workers warm, {load}"
    yield Result("Two workers against one", ratio(costs[1], costs[2]), "×", 1.8, note=note)
    began = time.perf_counter()
    for task in tasks:
        evaluate(prompted(task), task, seeds(50), workers=2)
    seconds = time.perf_counter() - began
    title = "Cheetah-vel: 5 tasks × 50 episodes, exact fp32, two workers"
    yield Result(title, Spread(seconds, seconds, seconds), "s", 25, at_most=True, note=load)


COLD = (
    "tune cheetah-vel 2 --quality expert --method informed-diffuser --n-candidates 16 --updates 0"
)


def cold_start(repeats: int) -> Iterator[Result]:
    """Time the command line from nothing to a useful prompt; it evaluates the expert one too."""
    wall, cpu, gaps = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            began, before = time.perf_counter(), os.times()
            command = [sys.executable, "-m", "workbench", *COLD.split(), "--json"]
            done = subprocess.run([*command, "--store", folder], check=True, capture_output=True)
            wall.append(time.perf_counter() - began)
            after = os.times()
            cpu.append(sum(after[2:4]) - sum(before[2:4]))
        found = json.loads(done.stdout)
        gaps.append(found["before"]["return_mean"] - found["after"]["return_mean"])
    note = f"`python -m workbench {COLD}`, {busy()}"
    yield Result("First useful prompt, cold start", Spread.of(wall), "s", 30, True, note)
    yield Result("First useful prompt, cold start, CPU time", Spread.of(cpu), "s", note=note)
    title = "Its return, below that of the expert prompt by"
    yield Result(title, Spread.of(gaps), "return", 10, True, "20 episodes each")


TO_A_PROMPT = """
import json, os, sys, time
import torch
from workbench import RunSpec
torch.set_num_threads(1)
spec = RunSpec("cheetah-vel", 2, quality=sys.argv[1], method="informed-diffuser", updates=0)
def make():
    found = spec.resolved()
    rng = torch.Generator().manual_seed(spec.seed)
    found.method.start(found.model, found.demos, rng, prompts=found.prompts).snapshot()
make()
cold = sum(os.times()[:2])
began = time.perf_counter()
make()
print(json.dumps({"cold": cold, "warm": time.perf_counter() - began}))
"""


def to_a_prompt(repeats: int) -> Iterator[Result]:
    """Time the diffuser that is told the task, from a bare interpreter and once more."""
    for quality in ("expert", "medium", "random"):
        found = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", TO_A_PROMPT, quality],
                    check=True, capture_output=True, text=True,
                ).stdout
            )
            for _ in range(repeats)
        ]  # fmt: skip
        for how, goal in (("cold", 6.0), ("warm", 1.0)):
            title = f"A prompt from {quality} data, told the task, {how}"
            value = Spread.of([each[how] for each in found])
            note = "with every import; CPU time" if how == "cold" else "wall time"
            yield Result(title, value, "s", goal, at_most=True, note=note)


def sweeping(repeats: int) -> Iterator[Result]:
    """Measure what a sweep adds to a run, beside folding the run's own stream."""
    specs = [
        RunSpec("cheetah-vel", 2, method="soft-prompt", updates=2, eval_every=0, episodes=1, seed=s)
        for s in range(4)
    ]

    def plain() -> int:
        for spec in specs:
            list(run(spec))
        return len(specs)

    def swept() -> int:
        with tempfile.TemporaryDirectory() as folder:
            done = list(sweep(specs, RunStore(Path(folder))))
        if any(d.error for d in done):
            raise AssertionError(f"a run failed: {next(d.error for d in done if d.error)}")
        return len(specs)

    costs = interleaved({"plain": plain, "swept": swept}, repeats)
    added = [b - a for a, b in zip(costs["plain"], costs["swept"], strict=True)]
    note = "CPU time of recording, claiming and bookkeeping, against 10 s"
    value = Spread.of([100 * seconds / 10 for seconds in added])
    yield Result("What a sweep adds to a run of 10 s, one worker", value, "%", 2, True, note)


def busy() -> str:
    """Say how busy the machine is, for notes beside wall times."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"wall time on {os.cpu_count()} cores with {load:.1f} other programs running"
