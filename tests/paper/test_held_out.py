"""The held-out table: families by kinds of prompt."""

import numpy as np
import pytest

from workbench.paper.held_out import held_out, published_words


def row(family, task, prompt, mean, sd=1.0, **more):
    return {
        "family": family, "task": task, "prompt": prompt,
        "return_mean": mean, "return_sd": sd, "episodes": 100, **more,
    }  # fmt: skip


def test_tasks_are_averaged_and_compared_with_the_expert_prompt():
    table = held_out(
        [
            row("ant-dir", 6, "expert", 400.0, 30.0),
            row("ant-dir", 17, "expert", 600.0, 40.0),
            row("ant-dir", 6, "none", 100.0),
            row("ant-dir", 17, "none", 150.0),
            row("cheetah-vel", 2, "expert", -30.0),
            row("cheetah-vel", 2, "none", -90.0),
        ]
    )
    assert table.family.tolist() == ["ant-dir", "ant-dir", "cheetah-vel", "cheetah-vel"]
    assert table.return_mean.tolist() == [500, 125, -30, -90]
    assert table.return_sd.tolist()[0] == pytest.approx(np.sqrt((900 + 1600) / 2), abs=0.1)
    assert table.of_expert.tolist()[:2] == [1, 0.25]
    assert table.of_expert[2:].isna().all(), "a share of a negative return says nothing"
    assert table.tasks.tolist() == [2, 2, 1, 1]
    assert table.success.isna().all()
    assert table.published.tolist() == ["420.2 ± 5.1", "110.5 ± 2.2", "-43.5 ± 3.4", "-146.6 ± 2.1"]


def test_success_is_averaged_where_a_family_has_it():
    table = held_out(
        [row("reach", t, "expert", 4000.0, success=s) for t, s in ((5, 1.0), (15, 0.5))]
    )
    assert table.success.tolist() == [0.75]


def test_what_was_not_published_is_a_dash():
    assert published_words("cheetah-vel", "medium") == "–"
    assert published_words("toy", "expert") == "–"
