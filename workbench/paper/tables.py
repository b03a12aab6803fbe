"""The paper's tables: every published number, and which of our runs stand behind each cell.

``PUBLISHED`` holds the numbers of arXiv 2411.01168 (K* = 5, 3 seeds). ``cells`` maps (row, column)
to the runs whose mean is our number there; ``measured.assemble`` puts the two side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from workbench.data.qualities import QUALITIES
from workbench.methods import METHODS
from workbench.networks.models import MODELS, PROMPT_DT
from workbench.paper.listed import SEEDS
from workbench.shipped import assets
from workbench.tasks import FAMILIES, SHIPPED, did_you_mean, find, plugins
from workbench.tasks.splits import TEST, evaluated_tasks
from workbench.tuning.presets import CHOSEN, chosen
from workbench.tuning.spec import RunSpec, applies

TableName = Literal["1", "2", "3", "guidance", "models"]
TABLES: tuple[str, ...] = get_args(TableName)
Cells = dict[tuple[str, str], list[RunSpec]]

_ROWS_1 = """
Prompt-DT, random prompt  935.3 2.6   -127.7 9.9   278.7 38.7   457.2 30.3
Prompt-DT, expert prompt  934.6 4.4    -43.5 3.4   420.2  5.1   469.8 29.9
MT-ORL                    -46.2 3.4   -146.6 2.1   110.5  2.2   264.1  9.6
Soft Prompt               940.2 1.0    -41.8 2.1   379.1 33.7   448.7 41.3
Adaptor                   875.2 4.2    -63.8 6.3   361.4  5.6   477.9  2.1
Prompt-DT-FT              936.9 4.8    -40.1 3.8   425.2  8.6   478.1 27.8
Prompt-Tuning DT          941.5 3.2    -39.5 3.7   427.9  4.3   472.5 29.0
Prompt Diffuser           945.3 7.2    -35.3 2.4   432.1  6.7   555.7  6.8
Prompt-DT-FT-Full         950.6 1.2    -23.0 1.1   494.2  2.3   564.7  0.7
"""
_ROWS_2 = """
expert data  -42.1 -49.9 -89.2  -32.6 -34.2 -33.5
medium data  -41.4 -50.3 -90.3  -34.2 -33.5 -34.4
random data  -41.2 -50.4 -90.4  -33.5 -33.2 -32.5
"""
_ROWS_3 = """
Prompt-DT         526.0   52.7
Prompt-Tuning DT  540.8   52.7
Prompt Diffuser   546.8  329.2
"""
OUT_OF_DISTRIBUTION, ZERO_SHOT = "out of distribution, few-shot", "zero-shot"
LATE = ", late rows"
"""Ends the name of a row whose prompts are cut where Prompt Diffuser's conditions are."""


def _lines(text: str) -> Iterator[tuple[str, list[float]]]:
    """Read lines of a name, two spaces, and numbers."""
    for line in text.strip().splitlines():
        name, _, numbers = line.partition("  ")
        yield name, [float(number) for number in numbers.split()]


_COLUMNS_1 = ("cheetah-dir", "cheetah-vel", "ant-dir", "reach")
_COLUMNS_2 = [(m, q) for m in ("Prompt-Tuning DT", "Prompt Diffuser") for q in QUALITIES]
PUBLISHED: dict[str, dict[tuple[str, str], tuple[float, float | None]]] = {
    "1": {
        (row, column): tuple(pair)
        for row, numbers in _lines(_ROWS_1)
        for column, *pair in zip(_COLUMNS_1, numbers[::2], numbers[1::2], strict=True)
    },
    "2": {
        (f"{data}, {prompt} prompt", column): (mean, None)
        for data, numbers in _lines(_ROWS_2)
        for (column, prompt), mean in zip(_COLUMNS_2, numbers, strict=True)
    },
    "3": {
        (row, column): (mean, None)
        for row, numbers in _lines(_ROWS_3)
        for column, mean in zip((OUT_OF_DISTRIBUTION, ZERO_SHOT), numbers, strict=True)
    },
    "guidance": {},
    "models": {},
}
"""Published numbers: table → (row, column) → mean and sd over seeds, None where it is not given.
The guidance ablation is a figure without numbers. Reach is on another scale than Meta-World's. The
models of other papers were published on other tasks."""

# Row of table 1 → key of presets.CHOSEN, quality of the few-shot trajectories. Prompt Diffuser's
# conditions are cut from the rows before an episode's last; "late rows" have prompts cut there too.
_ROWS = {
    "Prompt-DT, random prompt": ("prompt-dt", "random"),
    "Prompt-DT, expert prompt": ("prompt-dt", "expert"),
    "Prompt-DT, expert prompt, late rows": ("prompt-dt/end", "expert"),
    "MT-ORL": ("mt-orl", "expert"),
    "Soft Prompt": ("soft-prompt", "expert"),
    "Soft Prompt, late rows": ("soft-prompt/end", "expert"),
    "Adaptor": ("adapter", "expert"),
    "HDT": ("hdt", "expert"),
    "Prompt-DT-FT": ("prompt-dt-ft", "expert"),
    "Prompt-Tuning DT": ("prompt-tuning-dt", "expert"),
    "Prompt-Tuning DT, late rows": ("prompt-tuning-dt/end", "expert"),
    "Prompt-Tuning DT, online": ("prompt-tuning-dt/online", "expert"),
    "Prompt bandit": ("prompt-bandit", "expert"),
    "Prompt Diffuser": ("prompt-diffuser", "expert"),
    "Prompt Diffuser, told the task (ours)": ("informed-diffuser", "expert"),
    "Prompt VAE": ("prompt-vae", "expert"),
    "Prompt GAN": ("prompt-gan", "expert"),
    "Prompt-DT-FT-Full": ("prompt-dt-ft-full", "expert"),
}
BY_QUALITY = (
    "Soft Prompt",
    "Prompt-Tuning DT, online",
    "Prompt bandit",
    "Prompt Diffuser, told the task (ours)",
)
"""Rows of table 1 that table 2 has besides the published two, from data of every quality."""
_READINGS = ("projection, vector", "projection, tensor", "projection, subspace")
_BY_VALUE = "projection and value"
_GUIDANCE: dict[str, Mapping[str, Any]] = {
    "diffusion loss alone": {"guidance": "diffusion"},
    "downstream loss alone": {"guidance": "downstream"},
    "plain sum": {"projection": "none"},
    "projection, vector": {"projection": "vector"},
    "projection, tensor": {"projection": "tensor"},
    "projection, subspace": {"projection": "subspace"},
    "projection, published": {"projection": "published"},
    "plain sum, λ = 10": {"projection": "none", "lam": 10.0},
    "projection, published, λ = 10": {"projection": "published", "lam": 10.0},
    _BY_VALUE: {"guidance": "q-regularised"},
}
GUIDED: dict[str, tuple[str, str]] = {
    "cheetah-vel": ("cheetah-vel", "expert"),
    "cheetah-vel, medium data": ("cheetah-vel", "medium"),
    "cheetah-vel, random data": ("cheetah-vel", "random"),
    **{f"{f}, medium data": (f, "medium") for f in SHIPPED if f != "cheetah-vel"},
}
"""Columns of the guidance table: family, quality of the few-shot trajectories and prompts. A family
of a plug-in has one of its name, from expert data. Our readings of the projection are not of the
other robots, guidance by value is of Cheetah-vel alone."""


def _table_1(families: Iterable[str], **fields: Any) -> Cells:
    return {
        (row, family): [
            spec
            for index in _tasks(family)
            for spec in _seeds(key, family, index, quality=quality, **fields)
        ]
        for row, (key, quality) in _ROWS.items()
        for family in families
    }


def _of_plugins(families: Iterable[str], methods: Iterable[str], **fields: Any) -> Cells:
    """Rows of table 1 for methods of the user's own, where they are asked for by name."""
    return {
        (f"{METHODS[method].label}, mine", family): [
            spec
            for index in _tasks(family)
            for spec in _seeds(method, family, index, quality="expert", **fields)
        ]
        for method in methods
        if plugins.of_method(method) is not None
        for family in families
    }


def _table_2(families: Iterable[str], **fields: Any) -> Cells:
    """Few-shot data × initial prompt; for most methods the prompt is cut from that very data."""
    keys = {"Prompt-Tuning DT": "prompt-tuning-dt", "Prompt Diffuser": "prompt-diffuser"}
    keys |= {row: _ROWS[row][0] for row in BY_QUALITY}
    cells: Cells = {}
    for column, key in keys.items():
        for data in QUALITIES:
            for prompt in (
                QUALITIES if column in ("Prompt-Tuning DT", "Prompt Diffuser") else (data,)
            ):
                # "" where it is the data's own, so that the run has the id of that in table 1
                own = {"quality": data, "prompts": "" if prompt == data else prompt}
                cells[f"{data} data, {prompt} prompt", column] = [
                    spec
                    for family in families
                    for index in _tasks(family)
                    for spec in _seeds(key, family, index, **own, **fields)
                ]
    return cells


def _table_3(families: Iterable[str], **fields: Any) -> Cells:
    """Tasks outside of the range of eight that were trained on: a few expert trajectories, or none.

    Where the condition of a prompt comes from in zero-shot is not published. Ours: returns-to-go of
    the expert set of another of the evaluated tasks, the next one for seed 0, the one after for
    seed 1 and so on. Without trajectories of the task there is neither a prompt nor an update.
    """
    keys = {
        f"{row}{late}": f"{key}{end}"
        for row, key in (("Prompt-DT", "prompt-dt"), ("Prompt-Tuning DT", "prompt-tuning-dt"))
        for late, end in (("", ""), (LATE, "/end"))
    }
    keys["Prompt Diffuser"] = "prompt-diffuser"
    split = "out-of-distribution"
    cells: Cells = {}
    for family in families:
        tasks = _tasks(family, split)
        for row, key in keys.items():
            cells[row, OUT_OF_DISTRIBUTION] = [
                spec
                for index in tasks
                for spec in _seeds(key, family, index, quality="expert", split=split, **fields)
            ]
        unprompted = [
            spec
            for index in tasks
            for spec in _seeds(
                "prompt-dt/none", family, index, quality="expert", split=split, **fields
            )
        ]
        cells["Prompt-DT", ZERO_SHOT] = cells["Prompt-Tuning DT", ZERO_SHOT] = unprompted
        cells["Prompt Diffuser", ZERO_SHOT] = [
            replace(spec, updates=0, quality=f"{assets.OTHER}{_donor(tasks, index, spec.seed)}")
            for index in tasks
            for spec in _seeds("prompt-diffuser", family, index, split=split, **fields)
        ]
    return cells


def _donor(tasks: Sequence[int], task: int, seed: int) -> int:
    """Return another task than ``task``, which changes with the seed."""
    return tasks[(tasks.index(task) + 1 + seed % (len(tasks) - 1)) % len(tasks)]


def _guidance(families: Iterable[str], data: Sequence[str], **fields: Any) -> Cells:
    own = {family: (family, "expert") for family in families if family not in SHIPPED}
    every = {**GUIDED, **own}
    columns = {c: of for c, of in every.items() if of[0] in families and of[1] in data}
    return {
        (row, column): [
            spec
            for index in _tasks(family)
            for spec in _seeds(
                "prompt-diffuser", family, index, quality=quality, settings=_GUIDANCE[row], **fields
            )
        ]
        for column, (family, quality) in columns.items()
        for row in _guidance_rows(family)
    }


def _guidance_rows(family: str) -> list[str]:
    """Return the rows that a robot has: value needs a critic, our readings many runs."""
    left = [] if family == "cheetah-vel" else [_BY_VALUE]
    if left and family in SHIPPED:
        left += _READINGS
    return [row for row in _GUIDANCE if row not in left]


# What each model is used with: the same prompts or none, or methods as table 1 has them.
_WITH_EVERY_MODEL = {
    "expert prompt": _ROWS["Prompt-DT, expert prompt"],
    "random prompt": _ROWS["Prompt-DT, random prompt"],
    "no prompt": ("prompt-dt/none", "expert"),
    **{
        row: _ROWS[row]
        for row in ("Soft Prompt", "Prompt Diffuser", "Prompt Diffuser, told the task (ours)")
    },
}


_WITH_MODELS = ("cheetah-vel", "ant-dir")
"""The families that ship more than one model."""
OTHER_SEEDS = {
    f"{family}, pretraining seed {seed}": {"family": family, "variant": f"seed-{seed}"}
    for family, seed in (("cheetah-vel", 1), ("cheetah-vel", 2), ("ant-dir", 1))
}
"""Columns of the table of models, where all was pretrained from another seed: column → runs."""
OF_PROMPT_DT = ("cheetah-vel, pretraining seed 2",)
"""Of them, those of the Prompt-DT and its diffusers alone."""


def _models(families: Iterable[str], **fields: Any) -> Cells:
    """Every model under the same prompts; the prompts' diffusers are those of the Prompt-DT."""
    columns: dict[str, dict[str, str]] = {}
    for family in families:
        columns[family] = {"family": family}
        columns |= {c: which for c, which in OTHER_SEEDS.items() if which["family"] == family}
    found: Cells = {}
    for model, kind in MODELS.items():
        for how, (key, quality) in _WITH_EVERY_MODEL.items():
            method = METHODS[key.partition("/")[0]]
            for column, pretrained in columns.items():
                if column in OF_PROMPT_DT and model != PROMPT_DT:
                    continue
                found[f"{kind.kind}: {how}", column] = [
                    spec
                    for index in _tasks(pretrained["family"])
                    if applies(kind, method, CHOSEN[key][1])
                    for spec in _seeds(
                        key, task=index, quality=quality, model=model, **pretrained, **fields
                    )
                ]
    return found


def _tasks(family: str, split: str = "test") -> list[int]:
    return [task.index for task in evaluated_tasks(find(family), split)]


def _seeds(key: str, family: str, task: int, seeds: Sequence[int], **fields: Any) -> list[RunSpec]:
    return [chosen(key, family, task, seed=seed, **fields) for seed in seeds]


_FAMILIES = {"2": ("cheetah-vel",), "3": ("ant-dir",)}


def cells(
    table: TableName,
    *,
    families: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
    data: Sequence[str] = QUALITIES,
) -> Cells:
    """Return the runs of every cell of a table.

    Args:
        table: Which.
        families: Its families; by default those of the published table.
        methods: Keys of ``METHODS``; all by default.
        seeds: Seeds of the adaptation.
        data: Of the table ``guidance``: qualities of the few-shot trajectories. Expert and random
            ones are of Cheetah-vel alone.

    Raises:
        ValueError: if something has no such name, or nothing is left of the table.
    """
    for name, known in [(f, FAMILIES) for f in families] + [(m, METHODS) for m in methods]:
        if name not in known:
            what = "task family" if known is FAMILIES else "method"
            raise ValueError(f"There is no {what} {name!r}.{did_you_mean(name, list(known))}")
    usual = _WITH_MODELS if table == "models" else _FAMILIES.get(table, SHIPPED)
    families = tuple(families) or usual
    if table in _FAMILIES and len(families) > 1:
        raise ValueError(f"Table {table} is of one family: got {', '.join(families)}.")
    if not seeds:
        raise ValueError("`seeds` must name at least one seed.")
    seeds = tuple(dict.fromkeys(seeds))
    makers = {"1": _table_1, "2": _table_2, "3": _table_3, "models": _models}
    if table == "guidance":
        found = _guidance(families, data, seeds=seeds)
    else:
        found = makers[table](families, seeds=seeds)
    if table == "1":
        found |= _of_plugins(families, methods, seeds=seeds)
    if methods:
        found = {
            place: kept
            for place, cell in found.items()
            if (kept := [spec for spec in cell if spec.method in methods])
        }
    if not found:
        raise ValueError("No cell of the table is left: ask for more families, methods or data.")
    return found


def published(
    table: TableName, place: tuple[str, str], cell: Sequence[RunSpec]
) -> tuple[float | None, float | None]:
    """Return the published mean and sd of a cell, None where there is none for its family."""
    families = {spec.family for spec in cell}
    if table in _FAMILIES and not families <= set(_FAMILIES[table]):
        return None, None
    return PUBLISHED[table].get(place, (None, None))


def pooled(cells: Cells) -> list[str]:
    """Return the families that can be put together: those that have a column of their name."""
    families = list(dict.fromkeys(column for _, column in cells if column in FAMILIES))
    return families if len(families) > 1 else []


def baseline(cell: Iterable[RunSpec]) -> list[RunSpec]:
    """Return what a cell is compared with: Prompt-DT with expert prompts, not tuned.

    Where nothing is known of the task, no prompt: zero-shot is compared with zero-shot.
    """
    return [_reference(spec, spec.untuned) for spec in cell]


def _reference(spec: RunSpec, untuned: RunSpec) -> RunSpec:
    settings = CHOSEN["prompt-dt/none"][0] if _zero_shot(spec) else untuned.settings
    return replace(untuned, quality="expert", model=PROMPT_DT, settings=settings)


def _zero_shot(spec: RunSpec) -> bool:
    unprompted = spec.split != TEST and not spec.settings.get("prompted", True)
    return unprompted or spec.quality.startswith(assets.OTHER)


def runs_of(cells: Cells) -> list[RunSpec]:
    """Return every run that a table needs, its baselines too; some more than once."""
    return [spec for cell in cells.values() for spec in [*cell, *baseline(cell)]]
