"""λ and projection of the pretraining: which runs, and what they say."""

import pandas as pd
import pytest

from tests.paper.test_lengths import rows
from workbench.data.qualities import QUALITIES
from workbench.networks.variants import variant_of
from workbench.paper import ablation, phases
from workbench.paper.phases import AFTER, BEFORE, LAMBDAS, STAGES, TOLD, assemble, cell, specs
from workbench.viewing.figures.ablation import curves, gains


def test_every_pretraining_has_every_task_and_seed_once_at_every_stage():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted)
    # λ = 0 once, four others with and without projection; qualities × tasks × seeds
    assert LAMBDAS == (0.0, 0.3, 1.0, 3.0, 10.0)
    assert len(wanted) == len(STAGES) * (1 + 4 * 2) * 3 * 5 * 3
    assert {spec.quality for spec in wanted} == set(QUALITIES)
    assert [spec.updates > 0 for spec in wanted] == sorted(spec.updates > 0 for spec in wanted)


@pytest.mark.parametrize("stage", STAGES)
def test_each_has_networks_of_its_own_but_the_one_that_ships(stage):
    assert phases.variant(0.0, "published", stage) == phases.variant(0.0, "none", stage) == "lam-0"
    ships = phases.variant(1.0, "published", stage)
    assert ships == ("lam-1-published" if stage == TOLD else "")
    for lam in LAMBDAS[1:]:
        for projection in phases.PROJECTIONS:
            told = variant_of(phases.variant(lam, projection, stage)).training()
            assert not told or told == {"lam": lam, "projection": projection}


def test_adapted_what_ships_is_the_cell_of_the_other_ablation():
    other = ablation.WHOLE[0].cell("medium", "published", 1.0)
    mine = cell(1.0, "published", AFTER, "medium")
    assert [spec.id for spec in mine] == [spec.id for spec in other]
    assert {spec.updates for spec in cell(1.0, "published", BEFORE, "medium")} == {0}


@pytest.fixture
def table():
    """Runs of three pretrainings: without guidance, and λ = 3 with and without projection."""
    value = {"lam-0": -50.0, "lam-3-none": -40.0, "lam-3-published": -45.0}
    some = [
        run
        for of in ((0.0, "none"), (3.0, "none"), (3.0, "published"))
        for run in cell(*of, BEFORE, "random")
    ]
    return assemble(rows(some[:-1], lambda s: value[s.variant] + 0.1 * s.task + s.seed))


def test_a_cell_is_held_against_no_guidance_and_against_the_plain_sum(table):
    part = table[(table["quality"] == "random") & (table["stage"] == BEFORE)]
    found = part.set_index(["projection", "lam"])
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
    assert not table[table["stage"] != BEFORE]["seeds"].any()


def test_it_is_drawn_as_the_other_ablation_is(table):
    part = table[(table["quality"] == "random") & (table["stage"] == BEFORE)]
    lines = {t.name: t for t in curves(part, "before").data if t.mode == "lines+markers"}
    assert list(lines["none: plain sum"].y) == pytest.approx(part["iqm"].dropna()[:2].tolist())
    (bars,) = gains(part, "what it adds").data
    assert list(bars.y) == pytest.approx([-5.0])
