"""What several networks are trained on."""

import pytest

from tests.conftest import record
from workbench.data.qualities import QUALITIES
from workbench.pretraining.prompt_dt import Pool


@pytest.fixture
def pool(toy):
    """The training tasks in three qualities."""
    return Pool(
        (quality, record(toy.task(i), 3, seed=q, skill=1 - q / 2))
        for q, quality in enumerate(QUALITIES)
        for i in toy.train_indices
    )
