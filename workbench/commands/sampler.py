"""The verb that looks at the chains of the shipped diffusers, step by step."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import pandas as pd
from tqdm import tqdm
from tyro.conf import Positional, arg

from workbench.commands.output import Json, Seed, print_result
from workbench.methods import METHODS
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import SHIPPED, find
from workbench.upkeep.sampler import examine_sampler

DIFFUSERS = {"diffuser": "prompt-diffuser", "informed": "informed-diffuser"}
"""The networks with a chain, and the method whose temperature they act at."""


def sampler(
    families: Positional[
        Annotated[tuple[str, ...], arg(help="Task families; all that ship if left out.")]
    ] = (),
    temperature: Annotated[
        float | None, arg(help="Of the sampling noise, 0 to 1; the method's own if left out.")
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure the chains of the shipped diffusers, step by step, beside the shipped data.

    A row for each diffusion step k, from noise (N) to the finished prompt (0): the share of
    predictions at the clip, their standard deviation over that of the data (median over the
    columns that vary), the distance to the nearest recorded transition, and the error of the
    predicted noise (Eq. 6).
    """
    names = [find(name).name for name in families] or list(SHIPPED)
    wanted = [
        (family, network)
        for family in names
        for network in DIFFUSERS
        if assets.pretrained_path(family, network).exists()
    ]
    rows = []
    for family, network in tqdm(wanted, unit="network", delay=2, disable=None):
        own = METHODS[DIFFUSERS[network]]().temperature if temperature is None else temperature
        steps = examine_sampler(
            network, load_network(family, network), load_model(family), temperature=own, seed=seed
        )
        rows += [dataclasses.asdict(step) for step in steps]
    if as_json:
        plain = [{n: v if v == v else None for n, v in row.items()} for row in rows]  # no NaN
        print_result(plain, True)
        return
    table = pd.DataFrame(rows)
    for column in ("clip_share", "sd_ratio", "nearest", "loss"):
        table[column] = table[column].map(lambda v: "–" if np.isnan(v) else f"{v:.4f}")
    print_result(table, False)
