"""Over pretraining seeds: they are the unit, and only a row that all have run counts."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.paper import pretraining_seeds, scores
from workbench.paper.measured import Runs
from workbench.paper.pretraining_seeds import COLUMNS, FAMILY, assemble
from workbench.paper.tables import cells
from workbench.runs.run_table import key, load_shipped

ROWS = ("Prompt-DT: expert prompt", "Prompt-DT: Soft Prompt", "Prompt-DT: no prompt")


@pytest.fixture
def measured(draw):
    """Cells of three rows and made returns of all but one run of the last of ``ROWS``."""
    every = cells("models", families=(FAMILY,))
    some = {place: cell for place, cell in every.items() if place[0] in ROWS}
    names = list(COLUMNS)
    rows = []
    for (row, column), cell in some.items():
        for spec in cell:
            value = 10 * ROWS.index(row) + names.index(column) + draw.normal()
            rows.append((spec, row, column, value))
    lacks = next(i for i, (_, row, *_) in enumerate(rows) if row == ROWS[-1])
    return some, names, rows[:lacks] + rows[lacks + 1 :]


def runs(rows):
    """Return made runs: what identifies each is read from its spec, as of a stored one."""
    table = load_shipped("models").head(1)
    made = []
    for spec, *_, value in rows:
        new = table.iloc[0].to_dict() | {"run": spec.id, "return_mean": value}
        made.append(new | {"seed": spec.seed, "task": spec.task, "spec": spec.canonical})
    return Runs(pd.DataFrame(made), pd.Series([key(spec.asked) for spec, *_ in rows]))


def test_the_interval_is_over_pretraining_seeds_not_over_runs(measured):
    some, names, rows = measured
    table = assemble(some, runs(rows)).set_index("row")
    by_seed = {
        row: [np.mean([v for _, r, c, v in rows if (r, c) == (row, name)]) for name in names]
        for row in ROWS
    }
    for row in ("expert prompt", "Soft Prompt"):
        expected = by_seed[f"Prompt-DT: {row}"]
        np.testing.assert_allclose(table.loc[row, "seeds"], expected)
        half = stats.t.ppf(0.975, 2) * np.std(expected, ddof=1) / np.sqrt(3)
        assert table.loc[row, "mean"] == pytest.approx(np.mean(expected))
        assert table.loc[row, "mean_high"] - table.loc[row, "mean"] == pytest.approx(half)
    paired = np.subtract(by_seed[ROWS[1]], by_seed[ROWS[0]])
    half = stats.t.ppf(0.975, 2) * paired.std(ddof=1) / np.sqrt(3)
    assert table.loc["Soft Prompt", "more"] == pytest.approx(paired.mean())
    assert table.loc["Soft Prompt", "more_low"] == pytest.approx(paired.mean() - half)
    assert np.isnan(table.loc["expert prompt", "more"]), "it is compared with itself"
    alone = table.loc["Soft Prompt"]
    assert (alone["corrected_low"], alone["corrected_high"]) == pytest.approx(
        (alone["more_low"], alone["more_high"])
    ), "of one comparison nothing is to be corrected"


def test_a_row_that_lacks_a_run_does_not_count(measured):
    some, _, rows = measured
    found = assemble(some, runs(rows))
    assert list(found["row"]) == ["expert prompt", "Soft Prompt"]
    first = next(i for i, (_, row, *_) in enumerate(rows) if row == ROWS[1])
    rows = rows[:first] + rows[first + 1 :]
    assert list(assemble(some, runs(rows))["row"]) == ["expert prompt"]


def test_of_what_ships_each_number_is_that_of_its_column():
    every, shipped = cells("models"), Runs.of(load_shipped("models"))
    table = assemble(every, shipped)
    assert {"Prompt Diffuser", "Soft Prompt"} <= set(table["row"])
    for _, r in table.iterrows():
        for column, value in zip(COLUMNS, r["seeds"], strict=True):
            cell = every[f"{r['model']}: {r['row']}", column]
            tasks = list(dict.fromkeys(spec.task for spec in cell))
            means, _ = scores.over_seeds(scores.matrix(shipped.find(cell), tasks).to_numpy())
            assert value == pytest.approx(means)
    assert pretraining_seeds.REFERENCE in set(table["row"])
    others = table[table["row"] != pretraining_seeds.REFERENCE]
    assert (others["corrected_low"] <= others["more_low"] + 1e-9).all()
    assert (others["corrected_high"] >= others["more_high"] - 1e-9).all()
