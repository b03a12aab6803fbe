"""What data of every quality cost on every robot: which runs, and what they say."""

import pandas as pd
import pytest

from tests.paper.test_lengths import rows
from workbench.data.qualities import QUALITIES
from workbench.paper import tables
from workbench.paper.any_data import ROWS, assemble, cell, specs
from workbench.paper.scores import normalised
from workbench.tasks import SHIPPED

TOLD = "Prompt Diffuser, told the task (ours)"


def test_every_robot_has_every_quality_once():
    wanted = specs()
    assert len({spec.id for spec in wanted}) == len(wanted)
    # rows × qualities × tasks of the four robots × seeds
    assert len(wanted) == 3 * 3 * (5 + 2 + 5 + 5) * 3
    assert [spec.updates > 0 for spec in wanted] == sorted(spec.updates > 0 for spec in wanted)
    assert {spec.updates for spec in cell(TOLD, "ant-dir", "random")} == {0}
    assert {spec.updates for spec in cell(list(ROWS)[1], "reach", "random")} == {400}


def test_those_from_expert_data_are_of_table_1_and_prompts_are_of_the_data():
    of_table = {spec.id for specs in tables.cells("1").values() for spec in specs}
    for row in ROWS:
        assert {spec.id for spec in cell(row, "reach", "expert")} <= of_table
    assert {spec.prompts for spec in specs()} == {""}


def test_a_loss_is_a_share_of_the_way_between_the_behaviour_policies():
    value = {"expert": 3000.0, "medium": 2500.0, "random": 2000.0}
    some = [s for q in QUALITIES for s in cell(TOLD, "reach", q)]
    table = assemble(rows(some, lambda s: value[s.quality] + 100 * s.task + 5 * s.seed))
    part = table[(table["row"] == TOLD) & (table["family"] == "reach")].set_index("quality")
    tasks = sorted({spec.task for spec in some})
    shares = [
        normalised("reach", t, [2000.0])[0] - normalised("reach", t, [3000.0])[0] for t in tasks
    ]
    assert part.loc["random", "share"] == pytest.approx(sum(shares) / len(shares))
    assert part.loc["random", "share_low"] == pytest.approx(part.loc["random", "share"])
    assert part.loc["medium", "share"] == pytest.approx(part.loc["random", "share"] / 2)
    assert pd.isna(part.loc["expert", "share"]), "it would be held against itself"
    others = table[(table["row"] != TOLD) | (table["family"] != "reach")]
    assert not others["runs"].any()
    assert others["iqm"].isna().all()


def test_a_seed_that_lacks_a_task_counts_nowhere():
    some = [s for q in QUALITIES for s in cell(TOLD, "cheetah-dir", q)]
    table = assemble(rows(some[:-1], lambda s: 1000.0 + s.seed))
    part = table[(table["row"] == TOLD) & (table["family"] == "cheetah-dir")].set_index("quality")
    assert part["seeds"].to_dict() == {"expert": 3, "medium": 3, "random": 2}
    assert set(table["family"]) == set(SHIPPED)
