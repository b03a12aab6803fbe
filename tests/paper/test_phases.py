"""λ and projection of the pretraining: which runs, and what they say."""

import pandas as pd
import pytest

from tests.paper.test_lengths import rows
from workbench.data.qualities import QUALITIES
from workbench.networks.variants import variant_of
from workbench.paper import ablation, phases
from workbench.paper.phases import PRETRAININGS, assemble, cell, pretraining, specs
from workbench.viewing.figures.ablation import curves, gains


def test_every_pretraining_has_every_task_and_seed_once_as_it_comes_and_adapted():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted)
    # λ = 0 once, four others with and without projection
    assert len(PRETRAININGS) == 1 + 4 * 2
    assert len(wanted) == 2 * 3 * len(PRETRAININGS) * 5 * 3
    assert {spec.quality for spec in wanted} == set(QUALITIES)
    assert [spec.updates > 0 for spec in wanted] == sorted(spec.updates > 0 for spec in wanted)


def test_each_has_networks_of_its_own_but_the_one_that_ships():
    assert pretraining(0.0, "published") is pretraining(0.0, "none")
    assert pretraining(1.0, "published").variant == ""
    for of in PRETRAININGS:
        told = variant_of(of.variant).guidance()
        assert told == ({"lam": of.lam, "projection": of.projection} if of.variant else {})


def test_adapted_what_ships_is_the_cell_of_the_other_ablation():
    other = ablation.WHOLE[0].cell("medium", "published", 1.0)
    mine = cell(pretraining(1.0, "published"), adapted=True, quality="medium")
    assert [spec.id for spec in mine] == [spec.id for spec in other]


@pytest.fixture
def table():
    """Runs of three pretrainings: without guidance, and λ = 3 with and without projection."""
    value = {"lam-0": -50.0, "lam-3-none": -40.0, "lam-3-published": -45.0}
    some = [
        spec
        for of in PRETRAININGS
        if of.variant in value
        for spec in cell(of, adapted=False, quality="random")
    ]
    return assemble(rows(some[:-1], lambda s: value[s.variant] + 0.1 * s.task + s.seed))


def test_a_cell_is_held_against_no_guidance_and_against_the_plain_sum(table):
    found = table[(table["quality"] == "random") & ~table["adapted"]].set_index(
        ["projection", "lam"]
    )
    plain, projected = found.loc[("none", 3.0)], found.loc[("published", 3.0)]
    assert (plain["seeds"], plain["runs"]) == (3, 15)
    assert (projected["seeds"], projected["runs"], projected["of"]) == (2, 14, 15)
    assert plain["guided"] == pytest.approx(10.0)
    assert projected["guided"] == pytest.approx(5.0)
    assert projected["gain"] == pytest.approx(-5.0)
    assert pd.isna(plain["gain"]), "it would be held against itself"
    assert found.loc[("none", 0.0), "iqm"] == found.loc[("published", 0.0), "iqm"]
    assert pd.isna(found.loc[("none", 0.0), "guided"])
    assert pd.isna(found.loc[("none", 10.0), "iqm"])
    assert not table[table["adapted"]]["seeds"].any()


def test_it_is_drawn_as_the_other_ablation_is(table):
    part = table[(table["quality"] == "random") & ~table["adapted"]]
    lines = {t.name: t for t in curves(part, "before").data if t.mode == "lines+markers"}
    assert list(lines["none: plain sum"].y) == pytest.approx(part["iqm"].dropna()[:2].tolist())
    (bars,) = gains(part, "what it adds").data
    assert list(bars.y) == pytest.approx([-5.0])
    assert phases.LAMBDAS == (0.0, 0.3, 1.0, 3.0, 10.0)
