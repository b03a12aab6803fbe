"""The 2 × 2 × 2 of what being told the task is made of: its runs, its effects, its figures."""

import dataclasses

import pandas as pd
import pytest

from tests.paper.test_lengths import rows
from workbench.data.qualities import QUALITIES
from workbench.networks.variants import variant_of
from workbench.paper import phases
from workbench.paper.factorial import CELLS, FACTORS, Cell, assemble, cell, effects, specs
from workbench.pretraining.generators import INFORMED, GeneratorPretrainConfig
from workbench.viewing.figures.factorial import eight, main_effects

ADDS = {"reads": 100.0, "expert": 10.0, "best": 1.0}


def test_every_cell_has_every_task_and_seed_once():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted)
    # eight as they come, three adapted; qualities × tasks × seeds
    assert len(wanted) == (8 + 3) * 3 * 5 * 3
    assert [spec.updates > 0 for spec in wanted] == sorted(spec.updates > 0 for spec in wanted)


def test_the_four_diffusers_differ_in_what_they_read_and_in_their_prompts_alone():
    of_default = {False: GeneratorPretrainConfig(), True: INFORMED}
    for this in CELLS:
        told = variant_of(this.variant).training()
        config = dataclasses.replace(of_default[this.reads], **told)
        assert config.prompt_qualities == (("expert",) if this.expert else QUALITIES)
        assert (config.lam, config.projection) == (1.0, "published")
        rest = dataclasses.replace(config, prompt_qualities=QUALITIES)
        assert rest == GeneratorPretrainConfig()
    assert len({(this.reads, this.variant) for this in CELLS}) == 4


def test_two_cells_are_those_of_the_other_phase():
    published = phases.cell(1.0, "published", phases.BEFORE, "random")
    assert [s.id for s in cell(Cell(), "random")] == [s.id for s in published]
    told = phases.cell(1.0, "published", phases.TOLD, "random")
    assert [s.id for s in cell(Cell(reads=True, expert=True), "random")] == [s.id for s in told]


def worth(spec):
    """Return a return that each of the three adds to, and reading twice as much from experts."""
    reads = spec.method == "informed-diffuser"
    expert = spec.variant in ("lam-1-published", "prompts-expert")
    has = {"reads": reads, "expert": expert, "best": "n_candidates" in spec.settings}
    both = 20.0 if reads and expert else 0.0
    noise = spec.seed * (1.0 if reads else -1.0) + spec.task
    return sum(ADDS[name] for name, so in has.items() if so) + both + noise - 300.0


def test_a_main_effect_is_over_the_settings_of_the_other_two_and_a_simple_one_of_one():
    some = [s for s in specs() if s.updates == 0 and s.quality == "medium"]
    found = effects(rows(some, worth)).set_index(["where", "quality", "factor"])
    assert set(found.index.get_level_values("quality")) == {"medium"}
    assert found.loc[("read", "medium", "expert"), "effect"] == pytest.approx(10.0 + 20.0)
    assert found.loc[("not read", "medium", "expert"), "effect"] == pytest.approx(10.0)
    assert len(found) == 3 + 2 * 2, "reading has no effect where all read"
    found = found.loc["all"]
    # seeds 0, 1, 2 differ by 2 each where it reads; half of the interaction goes to either
    assert found.loc[("medium", "reads"), "effect"] == pytest.approx(100.0 + 10.0 + 2.0)
    assert found.loc[("medium", "expert"), "effect"] == pytest.approx(10.0 + 10.0)
    assert found.loc[("medium", "best"), "effect"] == pytest.approx(1.0)
    scattered = found.loc[("medium", "reads")]
    # t of 2 degrees of freedom times 2 / √3
    assert scattered["effect_high"] - scattered["effect"] == pytest.approx(4.968, abs=1e-3)


def test_what_was_not_run_whole_has_no_effect_and_no_difference():
    some = [s for s in specs() if s.quality == "expert" and s.updates == 0]
    last = [s for s in some if s.method == "informed-diffuser"][-1]
    found = effects(rows([s for s in some if s is not last], worth))
    assert set(found["seeds"]) == {2}, "the seed that lacks a run is left out of all"
    none = [s for s in some if s.method != "informed-diffuser"]
    assert effects(rows(none, worth)).empty
    table = assemble(rows(none, worth))
    part = table[(table["quality"] == "expert") & ~table["adapted"]].set_index("label")
    assert part.loc["best of 8 prompts", "ahead"] == pytest.approx(1.0)
    assert pd.isna(part.loc["as published", "ahead"]), "it would be held against itself"
    assert pd.isna(part.loc["reads the few-shot data", "iqm"])
    assert part.loc["reads the few-shot data", "of"] == 15


def test_both_figures_draw_what_was_run():
    runs = rows([s for s in specs() if s.quality == "random"], worth)
    part = assemble(runs)
    part = part[part["quality"] == "random"]
    published, told = eight(part).data
    assert [len(published.x), len(told.x)] == [4, 4]
    assert len(set(published.y)) == 4, "a line each"
    assert min(told.x) > max(published.x)
    (drawn,) = main_effects(effects(runs)).data
    assert list(drawn.x) == pytest.approx([112.0, 20.0, 1.0])
    assert len(set(drawn.y)) == len(FACTORS)
