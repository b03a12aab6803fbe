"""The chains of the shipped diffusers, and that the diagnosis tells a sound chain from another."""

import dataclasses
import math

import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_INFORMED
from workbench.networks.diffusion import PromptDiffuser
from workbench.networks.informed_diffusion import InformedDiffuser
from workbench.shipped import assets
from workbench.shipped.networks import load_model, load_network
from workbench.tasks import FAMILIES
from workbench.upkeep.sampler import examine_sampler

SHIPPED = [
    (family, network)
    for family in FAMILIES
    for network in ("diffuser", "informed")
    if assets.pretrained_path(family, network).exists()
]


def test_there_are_shipped_diffusers():
    assert len(SHIPPED) == 2 * len(FAMILIES)


@pytest.mark.parametrize(("family", "network"), SHIPPED)
def test_a_shipped_chain_is_sound(family, network):
    """It does not begin at the clip, and its prompts vary as the data do."""
    diffuser = load_network(family, network)
    first, *_, last = examine_sampler(network, diffuser, load_model(family), temperature=1.0)
    assert first.clip_share < 0.05
    assert first.loss < 0.01
    assert 0.7 < last.sd_ratio < 1.3


@pytest.mark.parametrize(
    ("network", "kind", "sizes"),
    [
        ("diffuser", PromptDiffuser, TOY_DIFFUSER),
        ("informed", InformedDiffuser, TOY_INFORMED),
    ],
)
def test_every_step_is_measured_and_a_chain_at_the_clip_is_seen(shipped, toy, network, kind, sizes):
    found = {}
    for prediction in ("v", "eps"):
        torch.manual_seed(0)
        config = dataclasses.replace(sizes, prediction=prediction, n_diffusion_steps=20)
        steps = examine_sampler(network, kind(config, toy), load_model("toy"), temperature=0.5)
        found[prediction] = list(steps)
        assert [step.k for step in found[prediction]] == list(range(20, -1, -1))
        assert {(step.family, step.network) for step in found[prediction]} == {("toy", network)}
        assert math.isnan(found[prediction][-1].loss)
    assert found["v"][0].clip_share == 0
    assert found["eps"][0].clip_share > 0.9
    assert found["v"][0].nearest < found["eps"][0].nearest
