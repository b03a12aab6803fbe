"""Verbs that make a critic, and that ask whether it is right."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, cast

import pandas as pd
from tqdm import tqdm
from tyro.conf import OmitArgPrefixes, Positional, arg

from workbench.commands.make import Out, Work, finish, train
from workbench.commands.output import Data, FamilyName, Json, Seed, Split, print_result
from workbench.networks.critic import Critic, CriticConfig
from workbench.networks.informed_diffusion import InformedDiffuser
from workbench.pretraining.critic import CriticPretrainConfig, pretrain_critic
from workbench.pretraining.prompt_dt import identity
from workbench.pretraining.resumable import Checkpoint
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import FAMILIES, find
from workbench.tasks.splits import TEST
from workbench.upkeep import making
from workbench.upkeep.values import examine_critic


def critic(
    family: Positional[FamilyName],
    config: OmitArgPrefixes[CriticPretrainConfig] = CriticPretrainConfig(),
    sizes: OmitArgPrefixes[CriticConfig] = CriticConfig(),
    data: Data = Path("data"),
    out: Out = None,
    split: Split = TEST,
    work: Work = Path("build/pretrain"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Pretrain the critic of `--guidance q-regularised`, told the task as the informed diffuser is.

    It takes that diffuser's task code. Keeps a checkpoint below WORK and resumes from it.
    """
    pool = making.load_pool(find(family), data, split=split)
    model = load_model(family, split)
    informed = cast(InformedDiffuser, load_network(family, "informed", split))
    sizes = dataclasses.replace(sizes, code=informed.config.code)
    kept = Checkpoint(work, identity(pool, config, sizes, seed, model.normalizer, informed))
    steps = pretrain_critic(pool, model, informed, config, sizes, seed, kept.state)
    step = train(kept, steps, config.steps)
    path = out or assets.pretrained_path(family, "critic", split)
    finish(kept, step.critic, path, config, seed, as_json)


def values(
    families: Positional[
        Annotated[tuple[str, ...], arg(help="Task families; all with a critic if left out.")]
    ] = (),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask the shipped critics what actions are worth, on episodes that they never saw.

    rank: Spearman's correlation with the discounted return. above_random, above_other: share of
    states in which an expert's action is worth more than a random one's, and than that of an
    expert of another task. told_by: quality of the few-shot set that tells the task; states: of
    the episodes whose states are looked at.
    """
    named = [find(name).name for name in families]
    there = [name for name in FAMILIES if assets.pretrained_path(name, "critic").exists()]
    rows = [
        dataclasses.asdict(check)
        for name in tqdm(named or there, unit="critic", delay=2, disable=None)
        for check in examine_critic(cast(Critic, load_network(name, "critic")), seed=seed)
    ]
    print_result(rows if as_json else pd.DataFrame(rows).round(2), as_json)
