"""Verbs that make what ships."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional, arg

from workbench.commands.output import (
    Data,
    FamilyName,
    Json,
    Seed,
    Split,
    Variant,
    command,
    entries_of,
    print_result,
    records,
    report_made,
)
from workbench.data.behaviour import BehaviourConfig
from workbench.networks.diffusion import DiffuserConfig
from workbench.networks.harmo_dt import HarmoConfig
from workbench.networks.hyper_network import HyperConfig
from workbench.networks.informed_diffusion import InformedConfig
from workbench.networks.models import MODELS, PROMPT_DT, model_named
from workbench.networks.prompt_dt import ModelConfig
from workbench.networks.vae_gan import GANConfig, GeneratorConfig, VAEConfig
from workbench.networks.variants import pretraining_seed, variant_of, with_attention
from workbench.pretraining.generators import INFORMED, GeneratorPretrainConfig, pretrain_generator
from workbench.pretraining.hyper_network import HyperPretrainConfig, pretrain_hyper
from workbench.pretraining.parallel import Device, joined
from workbench.pretraining.prompt_dt import PretrainConfig, identity
from workbench.pretraining.prompt_dt import pretrain as pretrain_steps
from workbench.pretraining.resumable import Checkpoint, TrainingStep
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import find, plugins
from workbench.tasks.splits import TEST
from workbench.upkeep import making, own_data

Out = Annotated[Path | None, arg(help="Checkpoint to write; the shipped one if left out.")]
FromData = Annotated[
    Path | None,
    arg(help="Folder of your own trajectories, TASK.* or TASK-QUALITY.*; of a plug-in's family."),
]
Work = Annotated[Path, arg(help="Folder of the checkpoint; deleted when the training is done.")]
Begin = Annotated[
    bool,
    arg(
        name="begin-with-shipped",
        help="Begin with the weights of the one that ships: for a variant with another transformer "
        "or guidance and a generator of the same size. Meant for fewer steps and a smaller --lr.",
    ),
]


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
    known, made_by = find(family), command()
    with tqdm(total=config.env_steps, unit="step", desc="PPO", delay=1) as bar:
        for step in making.make_behaviour(known, config, seed, work, made_by):
            bar.update(step.env_steps - bar.n)
    print_result(entries_of(assets.policy_path(family, q) for q in making.QUALITIES), as_json)


def collect(
    family: Positional[FamilyName],
    data: Data = Path("data"),
    episodes: Annotated[
        int | None,
        arg(help="Trajectories per training task and quality; the family's if left out."),
    ] = None,
    from_data: FromData = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Regenerate the training data with the shipped behaviour policies; skips what exists."""
    known = find(family)
    steps = making.make_data(known, data, episodes, seed)
    if from_data is not None:
        steps = own_data.training_data(known, _of_plugin(from_data, family), data)
    total = len(known.tasks("train")) * len(making.QUALITIES)
    rows = [(q, mean) for _, q, mean in tqdm(steps, total=total, unit="file")]
    table = pd.DataFrame(rows, columns=["quality", "return_mean"]).groupby("quality", sort=False)
    print_result(
        records(table["return_mean"].agg(["mean", "min", "max", "size"]).reset_index()), as_json
    )


def demos(
    family: Positional[FamilyName],
    split: Split = TEST,
    from_data: FromData = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make the few-shot sets: 5 trajectories per evaluated task and quality."""
    steps = making.make_demos(find(family), seed, command(), split)
    if from_data is not None:
        source = _of_plugin(from_data, family)
        steps = own_data.few_shot_sets(find(family), source, command())
    rows = [{"task": t.index, "quality": q, "return_mean": round(m, 2)} for t, q, m in steps]
    print_result(rows, as_json)


def pretrain(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[PretrainConfig] = PretrainConfig(),
    sizes: OmitArgPrefixes[ModelConfig] = ModelConfig(),
    model: Annotated[str, arg(help=f"Which: {', '.join(MODELS)}.")] = PROMPT_DT,
    begin_with_prompt_dt: Annotated[
        bool,
        arg(
            help="Begin with the weights of the family's Prompt-DT, what ships or the variant's; "
            "a larger size grows from them."
        ),
    ] = False,
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    work: Work = Path("build/pretrain"),
    device: Annotated[Device, arg(help="Where to compute; auto is CUDA where there is one.")] = (
        "auto"
    ),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a Prompt-DT on the training tasks' data; MT-ORL's network with `--prompt-length 0`.

    `--model` pretrains another model to be prompted, of the same size and on the same data.
    The default size is the released code's (3 layers of 128). The paper's is
    `--n-layers 4 --n-heads 4 --width 512`; `--variant paper-size` is of that size and stands beside
    what ships. With `--begin-with-prompt-dt` it predicts at first what that Prompt-DT does, with
    more to learn with. Keeps a checkpoint below WORK and resumes from it.
    `--attention banded` is a variant of its own, `banded` (`banded-1` of `--variant seed-1`): its
    contexts are twice as long, so that `--batch-size 36` costs what 64 do by default.

    Several GPUs or nodes: `torchrun --nproc-per-node 2 -m workbench pretrain FAMILY`; each process
    takes `--batch-size` sequences a step, the first one writes.
    """
    kind = model_named(model)
    if sizes.attention == "banded":
        variant = with_attention(variant, "banded")  # else in the place of what it begins with
        if not sizes.prompt_length and out is None:
            raise ValueError(
                "There is no banded variant of MT-ORL's network: name a file, `--out`."
            )
    sizes, seed = _of_variant(sizes, variant, model), _seed_of(variant, seed)
    pool = making.load_pool(find(family), data, split=split)
    if model != PROMPT_DT:
        if not sizes.prompt_length:
            raise ValueError("`--prompt-length 0` is for MT-ORL's network: leave out `--model`.")
        sizes = kind.sizes(**dataclasses.asdict(sizes))
    if isinstance(sizes, HarmoConfig):
        sizes = dataclasses.replace(sizes, n_tasks=len(pool.tasks))
    known = variant_of(variant)
    begin = None
    if begin_with_prompt_dt:
        begin = load_model(family, split, known.of if known.attention or known.width else variant)
    with joined(device) as world:
        made_from = identity(pool, config, sizes, seed, model=begin, processes=world.size)
        kept = Checkpoint(work, made_from)
        resume = world.shared(kept.state)
        steps = pretrain_steps(pool, config, sizes, seed, resume, world, begin=begin, kind=kind)
        if world.rank:
            deque(steps, maxlen=0)
            return
        step = train(kept, steps, config.steps)
    name = model if sizes.prompt_length else "mt-orl"
    path = out or assets.pretrained_path(family, name, split, variant)
    finish(kept, step.model, path, config, seed, as_json)


def diffuser(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[GeneratorPretrainConfig] = GeneratorPretrainConfig(),
    sizes: OmitArgPrefixes[DiffuserConfig] = DiffuserConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    begin: Begin = False,
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a prompt diffuser on the training tasks' data, for the shipped Prompt-DT.

    Keeps a checkpoint below WORK and resumes from it.
    """
    _generator(
        "diffuser", family, config, sizes, data, out, split, work, seed, as_json, variant, begin
    )


def vae(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[GeneratorPretrainConfig] = GeneratorPretrainConfig(),
    sizes: OmitArgPrefixes[VAEConfig] = VAEConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    begin: Begin = False,
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a VAE of prompts, which can stand in the diffuser's place; else as `diffuser`."""
    _generator("vae", family, config, sizes, data, out, split, work, seed, as_json, variant, begin)


def gan(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[GeneratorPretrainConfig] = GeneratorPretrainConfig(),
    sizes: OmitArgPrefixes[GANConfig] = GANConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    begin: Begin = False,
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain a GAN of prompts, which can stand in the diffuser's place; else as `diffuser`."""
    _generator("gan", family, config, sizes, data, out, split, work, seed, as_json, variant, begin)


def informed(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[GeneratorPretrainConfig] = INFORMED,
    sizes: OmitArgPrefixes[InformedConfig] = InformedConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    begin: Begin = False,
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain an informed diffuser, which reads few-shot transitions; else as `diffuser`."""
    _generator(
        "informed", family, config, sizes, data, out, split, work, seed, as_json, variant, begin
    )


def _generator(
    kind: str,
    family: str,
    config: GeneratorPretrainConfig,
    sizes: GeneratorConfig,
    data: Path,
    out: Path | None,
    split: str,
    work: Path,
    seed: int,
    as_json: bool,
    variant: str,
    begin: bool,
) -> None:
    sizes, seed = _of_variant(sizes, variant, kind), _seed_of(variant, seed)
    config = dataclasses.replace(config, **variant_of(variant).training())
    pool = making.load_pool(find(family), data, split=split)
    model = load_model(family, split, variant)
    if isinstance(sizes, DiffuserConfig):
        sizes = dataclasses.replace(sizes, constant=model.normalizer.constant)
    first = load_network(family, kind, split) if begin else None
    kept = Checkpoint(work, identity(pool, config, sizes, seed, model=model, begin=first))
    steps = pretrain_generator(kind, pool, model, config, sizes, seed, kept.state, first)
    step = train(kept, steps, config.steps)
    path = out or assets.pretrained_path(family, kind, split, variant)
    finish(kept, step.generator, path, config, seed, as_json)


def hyper(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[HyperPretrainConfig] = HyperPretrainConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    variant: Variant = "",
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the hyper-network that writes HDT's adapters for the shipped, frozen Prompt-DT.

    Keeps a checkpoint below WORK and resumes from it.
    """
    pool, seed = making.load_pool(find(family), data, split=split), _seed_of(variant, seed)
    model = load_model(family, split, variant)
    sizes = HyperConfig.of(model.config)
    kept = Checkpoint(work, identity(pool, config, sizes, seed, model=model))
    step = train(kept, pretrain_hyper(pool, model, config, seed, kept.state), config.steps)
    path = out or assets.pretrained_path(family, "hyper", split, variant)
    finish(kept, step.hyper, path, config, seed, as_json)


def _of_plugin(source: Path, family: str) -> Path:
    """Return a folder of the user's own trajectories.

    Raises:
        ValueError: if the family ships: its data are simulated.
    """
    if plugins.of_family(family) is None:
        raise ValueError("`--from-data` is for a family of a plug-in: what ships is simulated.")
    return source.resolve()


def _of_variant(sizes, variant: str, network: str):
    """Return the sizes of a network of a variant.

    Raises:
        ValueError: if there is no such variant, or it leaves this network as it is.
    """
    known = variant_of(variant)
    if variant and not known.changes(network):
        where = f"of {known.of}" if known.of else "that ships"
        raise ValueError(f"The variant {variant} has the {network} {where}: nothing to make.")
    return dataclasses.replace(sizes, **known.sizes(network))


def _seed_of(variant: str, seed: int) -> int:
    """Return the seed of a training, which a variant may name.

    Raises:
        ValueError: if the variant names another one than was asked for.
    """
    known = pretraining_seed(variant)
    if known is not None and seed not in (0, known):
        raise ValueError(f"The variant {variant} is of seed {known}: leave out `--seed {seed}`.")
    return seed if known is None else known


def finish(kept, network, path: Path, config, seed: int, as_json: bool) -> None:
    """Save a trained network, report it, and drop the checkpoint of its training.

    Networks that are there for comparison ship in half the bytes.
    """
    half = path.stem not in ("prompt-dt", "diffuser")
    made = {"pretrain": dataclasses.asdict(config), "seed": seed}
    if history := kept.history():
        made["history"] = history
    network.save(path, half=half, **made)
    began = time.perf_counter() - kept.seconds
    report_made(path, network.n_parameters, kept.losses, began, seed, as_json)
    kept.remove()


def train(kept: Checkpoint, steps: Iterator[TrainingStep], total: int) -> TrainingStep:
    """Drain a training under a progress bar, keeping its checkpoint; return the last step."""
    done = kept.state.step if kept.state else 0
    with tqdm(total=total, initial=done, unit="step", delay=1) as bar:
        if done:
            bar.set_description("resumed")
        for step in kept.keep(steps, total):
            bar.update(step.step - bar.n)
            if not np.isfinite(step.loss):
                kept.remove()  # what it would resume from is as lost
                raise ValueError(
                    f"The training diverged: its loss is no number at step {step.step}. Nothing "
                    "was written. Try a smaller `--lr`."
                )
    return step
