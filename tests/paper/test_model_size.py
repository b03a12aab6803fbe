"""Transformers of two sizes: which runs, and what they say."""

import pandas as pd
import pytest

from tests.paper.test_lengths import rows
from workbench.networks.prompt_dt import ModelConfig
from workbench.networks.variants import VARIANTS
from workbench.paper import tables
from workbench.paper.measured import Runs
from workbench.paper.model_size import REFERENCE, ROWS, SIZES, assemble, cell, specs

SMALL, LARGE = SIZES


def sized(specs, value):
    """Return rows of runs with the parameters that a run of each size has."""
    table = rows(specs, value).table
    large = table["spec"].str.contains("paper-size")
    return Runs.of(table.assign(n_trainable=240, n_model=650_000 + 12_200_000 * large))


def test_the_sizes_are_those_that_they_are_called():
    for size, variant in SIZES.items():
        sizes = ModelConfig(**(VARIANTS[variant].sizes("prompt-dt") if variant else {}))
        assert f"{sizes.n_layers} × {sizes.width}" == size


def test_every_row_is_run_once_at_both_sizes_and_what_ships_is_of_the_tables():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted) == len(ROWS) * 2 * 3 * 5
    one, two = tables.cells("1"), tables.cells("2")
    for row, known in ROWS.items():
        table, *place = known.published
        same = (one if table == "1" else two)[tuple(place)]
        assert {spec.id for spec in cell(row, SMALL)} == {spec.id for spec in same}
        for small, large in zip(cell(row, SMALL), cell(row, LARGE), strict=True):
            assert (small.settings, small.updates) == (large.settings, large.updates)
            assert (small.variant, large.variant) == ("", "paper-size")


def test_a_row_is_held_against_the_expert_prompt_of_its_own_size():
    value = {(REFERENCE, SMALL): -40.0, (REFERENCE, LARGE): -30.0, ("Soft Prompt", LARGE): -28.0}
    some = {s.id: (k, s) for k in value for s in cell(*k)}
    runs = sized([s for _, s in some.values()], lambda s: value[some[s.id][0]] - s.task)
    table = assemble(runs).set_index(["row", "size"])
    soft = table.loc[("Soft Prompt", LARGE)]
    assert (soft["more"], soft["more_low"], soft["more_high"]) == pytest.approx((2.0, 2.0, 2.0))
    assert (soft["trainable"], soft["model"]) == (240, 12_850_000)
    assert soft["published"] == -41.8
    assert pd.isna(table.loc[(REFERENCE, LARGE), "more"]), "it would be held against itself"
    empty = table.loc[("Soft Prompt", SMALL)]
    assert (empty["runs"], empty["of"], empty["seeds"]) == (0, 15, 0)
    assert empty[["iqm", "mean", "more", "trainable"]].isna().all()
    assert table.loc[("Prompt Diffuser, medium data", LARGE), "published"] == -33.5
