"""What the header of a network's file says of its pretraining is what is drawn."""

import pytest

from workbench.viewing.figures.pretraining import pretraining_conflicts, pretraining_losses

GUIDED = {
    "loss_dm": [[100, 0.8], [200, 0.4], [300, 0.2]],
    "loss_dt": [[300, 0.05]],
    "conflict": [[300, 0.25]],
    "removed": [[300, 0.1]],
}


def test_each_loss_is_drawn_over_its_first_value():
    both = pretraining_losses({"one": GUIDED, "two": {"loss_dm": GUIDED["loss_dm"]}})
    assert [line.name.split(",")[0] for line in both.data] == ["one", "two", "one"]
    assert both.data[0].y.tolist() == pytest.approx([1, 0.5, 0.25])
    assert both.data[0].customdata.tolist() == [0.8, 0.4, 0.2]
    assert both.data[2].x.tolist() == [300]
    assert {line.line.dash for line in both.data if line.name.startswith("two")} == {"dot"}


def test_conflicts_are_per_cent_of_the_guided_steps():
    figure = pretraining_conflicts({"one": GUIDED})
    assert {line.name: line.y.tolist() for line in figure.data} == {
        "one, steps in conflict": [25],
        "one, of g_DT removed": [10],
    }
    assert not pretraining_conflicts({"one": {"loss_dm": GUIDED["loss_dm"]}}).data
