"""Several runs beside each other: groups and their intervals, settings in parallel."""

import numpy as np
import pandas as pd
import pytest

from workbench.data.rollout import half_width
from workbench.viewing.figures.several_runs import grouped_means, in_parallel


def test_a_group_is_its_runs_their_mean_and_an_interval():
    values = np.array([1.0, 2.0, 6.0])
    runs, mean, alone, its_mean = grouped_means({"a": values, "b": np.array([4.0])}).data
    assert list(runs.x) == [1.0, 2.0, 6.0]
    assert mean.x[0] == 3.0
    assert mean.error_x.array[0] == pytest.approx(half_width(values))
    assert list(alone.x) == [4.0]
    assert its_mean.error_x.array[0] == 0, "one run has no interval"


def test_every_setting_is_an_axis_and_words_keep_their_names():
    table = pd.DataFrame({"lam": [1.0, 3.0], "method": ["x", "w"], "return": [5.0, 7.0]})
    (lines,) = in_parallel(table).data
    assert [axis.label for axis in lines.dimensions] == ["lam", "method", "return"]
    assert list(lines.dimensions[1].ticktext) == ["w", "x"]
    assert list(lines.dimensions[1].values) == [1, 0]
    assert list(lines.line.color) == [5.0, 7.0]
