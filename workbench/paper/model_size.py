"""The size of the transformer: the released code's, which ships, and the paper's.

The released Prompt-DT has 3 layers of width 128, and so has what ships; the 13.71M parameters of
arXiv 2411.01168 are those of 4 layers of 512. How much a method tunes is counted against them. Here
some rows of tables 1 and 2 are run with both, on one family. The larger network does not ship:
``networks/variants.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workbench.data.qualities import QUALITIES
from workbench.paper import scores
from workbench.paper.measured import Runs
from workbench.paper.tables import PUBLISHED
from workbench.tasks import find
from workbench.tasks.splits import evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec

NAME = "model-size"
"""Of the sweep, and of the shipped results: ``assets/results/model-size.parquet``."""
FAMILY = "cheetah-vel"
SEEDS = (0, 1, 2)
SIZES = {"3 × 128": "", "4 × 512": "paper-size"}
"""Layers × width → the variant of the networks."""


@dataclass(frozen=True)
class Row:
    """A row of table 1, or of table 2 where the data are not an expert's.

    Attributes:
        key: Of ``CHOSEN``.
        quality: Of the few-shot trajectories, and of the prompts.
        published: Table, row and column of the published number.
    """

    key: str
    quality: str
    published: tuple[str, str, str]


def _of_table_1(name: str, key: str, quality: str = "expert") -> Row:
    return Row(key, quality, ("1", name, FAMILY))


_PUBLISHED = "Prompt Diffuser"
ROWS: dict[str, Row] = {
    "Prompt-DT, random prompt": _of_table_1("Prompt-DT, random prompt", "prompt-dt", "random"),
    "Prompt-DT, expert prompt": _of_table_1("Prompt-DT, expert prompt", "prompt-dt"),
    "Soft Prompt": _of_table_1("Soft Prompt", "soft-prompt"),
    "Adaptor": _of_table_1("Adaptor", "adapter"),
    "Prompt-DT-FT": _of_table_1("Prompt-DT-FT", "prompt-dt-ft"),
    "Prompt-Tuning DT": _of_table_1("Prompt-Tuning DT", "prompt-tuning-dt"),
    _PUBLISHED: _of_table_1(_PUBLISHED, "prompt-diffuser"),
    **{
        f"{_PUBLISHED}, {quality} data": Row(
            "prompt-diffuser", quality, ("2", f"{quality} data, {quality} prompt", _PUBLISHED)
        )
        for quality in QUALITIES[1:]
    },
    "Prompt-DT-FT-Full": _of_table_1("Prompt-DT-FT-Full", "prompt-dt-ft-full"),
}
REFERENCE = "Prompt-DT, expert prompt"
"""The row that the others of a size are compared with."""


def cell(row: str, size: str, seeds: tuple[int, ...] = SEEDS) -> list[RunSpec]:
    """Return the runs of a row of ``ROWS`` at a size of ``SIZES``: seeds by tasks."""
    known = ROWS[row]
    fields = {"quality": known.quality, "variant": SIZES[size]}
    return [
        chosen(known.key, FAMILY, task.index, seed=seed, **fields)
        for seed in seeds
        for task in evaluated_tasks(find(FAMILY))
    ]


def specs() -> list[RunSpec]:
    """Return every run, each once, row by row: one that is stopped early has whole rows."""
    return [run for row in ROWS for size in SIZES for run in cell(row, size)]


COLUMNS = (
    "row", "size", "iqm", "iqm_low", "iqm_high", "mean", "sd", "more", "more_low", "more_high",
    "published", "model", "trainable", "seconds", "seeds", "tasks", "runs", "of",
)  # fmt: skip


def assemble(runs: Runs) -> pd.DataFrame:
    """Return one row per row of ``ROWS`` and size: what ``runs`` say of it.

    Returns:
        ``COLUMNS``. ``iqm``: interquartile mean of returns over seeds and tasks, raw, with its
        95 % interval over seeds; ``mean``, ``sd`` over seeds. ``more``: mean difference to
        ``REFERENCE`` at the same size, paired by seed and task, with its interval; missing for that
        row itself. ``published``: in arXiv 2411.01168. ``model``, ``trainable``: parameters of the
        transformer, and those that a run changes. ``seconds``: wall time a run; ``runs`` were found
        ``of`` those wanted. A cell counts the ``seeds`` that ran all tasks; with none it is empty.
    """
    matrices = {size: runs.summed_up(cell(REFERENCE, size))[1] for size in SIZES}
    records = []
    for row, known in ROWS.items():
        table, *place = known.published
        for size, reference in matrices.items():
            said, matrix = runs.summed_up(cell(row, size))
            record = {"row": row, "size": size, "published": PUBLISHED[table][tuple(place)][0]}
            record |= said
            if len(matrix):
                found = runs.find(cell(row, size))
                record["trainable"] = found["n_trainable"].mean()
                record["model"] = found["n_model"].mean()
                record["mean"], record["sd"] = scores.over_seeds(matrix.to_numpy())
                more = scores.paired_difference(matrix, reference) if row != REFERENCE else None
                record |= more.named("more") if more else {}
            records.append(record)
    counts = ("row", "size", "seeds", "tasks", "runs", "of")
    made = pd.DataFrame(records, columns=list(COLUMNS))
    return made.astype({name: float for name in COLUMNS if name not in counts})
