"""A grid of runs out of words: every combination of some values of fields and settings."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.methods import METHODS
from workbench.tasks import did_you_mean, find
from workbench.tasks.splits import TEST, evaluated_tasks
from workbench.tuning.presets import chosen
from workbench.tuning.spec import RunSpec, plain_settings

FIELDS = tuple(f.name for f in dataclasses.fields(RunSpec) if f.name != "settings")
_WHOLE = ("task", "updates", "seed", "eval_every", "episodes")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 100_000


def specs(axes: Mapping[str, Sequence[str]], *, untuned: bool = True) -> list[RunSpec]:
    """Return every run of a grid, each once: seed by seed, so that a part tells something.

    What is not an axis is as the tables run it: settings and updates of ``presets.CHOSEN``, one
    evaluation at the end, every test task. A setting is an axis of the methods that have it.

    Args:
        axes: Values of each, as words: fields of ``RunSpec`` and settings of methods. ``0..9``
            are the whole numbers from 0 to 9.
        untuned: Whether to add the run that each is compared with.

    Raises:
        ValueError: if a word is no value of its axis, or no method has a setting.
    """
    axes = {name: list(dict.fromkeys(words)) for name, words in axes.items() if words}
    if "family" not in axes:
        raise ValueError("`family` must name at least one task family, such as cheetah-vel.")
    methods = axes.get("method", ["prompt-diffuser"])
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"There is no method {method!r}.{did_you_mean(method, list(METHODS))}")
    settings = {name: words for name, words in axes.items() if name not in FIELDS}
    kinds = {method: plain_settings(METHODS[method]()) for method in methods}
    for name in settings:
        if not any(name in known for known in kinds.values()):
            every = sorted({s for known in kinds.values() for s in known})
            raise ValueError(
                f"{', '.join(methods)}: no setting {name!r}.{did_you_mean(name, every)}"
            )
    fields = {name: _values(name, axes[name]) for name in FIELDS if name in axes}
    fields.pop("method", None)
    found = [
        spec
        for method in methods
        for chosen_settings in _products(
            {n: [_read(n, w, kinds[method][n]) for w in words] for n, words in settings.items()
             if n in kinds[method]}
        )
        for values in _products(fields)
        for spec in _of_tasks(method, chosen_settings, values)
    ]  # fmt: skip
    if untuned:
        found += [spec.untuned for spec in found]
    found.sort(key=lambda spec: spec.seed)  # stable
    return list({spec.id: spec for spec in found}.values())


def varied(specs: Iterable[RunSpec]) -> list[str]:
    """Return the fields and settings in which runs of a method differ, but for task and seed."""
    specs = list(specs)
    names = [n for n in FIELDS if n not in ("task", "seed")]
    names += list(dict.fromkeys(n for spec in specs for n in spec.settings))
    values = {n: {(spec.method, repr(value_of(spec, n))) for spec in specs} for n in names}
    methods = {spec.method for spec in specs}
    return [n for n in names if len(values[n]) > (1 if n == "method" else len(methods))]


def value_of(spec: RunSpec, name: str) -> Any:
    """Return a field of a spec or a setting of its method; None where the method has none such."""
    if name in FIELDS:
        return getattr(spec, name)
    return plain_settings(spec.build()).get(name)


def _of_tasks(method: str, settings: Mapping[str, Any], values: dict[str, Any]) -> list[RunSpec]:
    """Return a run, or where no task is named one of every test task."""
    values = dict(values)
    family, tasks = find(values.pop("family")), [values.pop("task", None)]
    if tasks == [None]:
        tasks = [task.index for task in evaluated_tasks(family, values.get("split", TEST))]
    own = {n: values.pop(n) for n in ("updates", "eval_every") if n in values}
    runs = [chosen(method, family.name, t, settings=settings, **values) for t in tasks]
    return [dataclasses.replace(spec, **own) for spec in runs]


def _products(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination, the last axis fastest."""
    size = 1
    for values in axes.values():
        size *= len(values)
    if size > _MOST:
        raise ValueError(f"The grid has {size:,} combinations, more than {_MOST:,}: ask for less.")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _values(name: str, words: Sequence[str]) -> list[Any]:
    """Return what the words of a field mean, ranges written out."""
    if name not in _WHOLE:
        return list(words)
    found: list[int] = []
    for word in words:
        if match := _RANGE.fullmatch(word):
            low, high = map(int, match.groups())
            if high < low or high - low > _MOST:
                raise ValueError(f"`{name}`: {word} must go up, by at most {_MOST:,}.")
            found += range(low, high + 1)
        else:
            found.append(_read(name, word, 0))
    return list(dict.fromkeys(found))


def _read(name: str, word: str, like: Any) -> Any:
    """Return a word as a value of the type of ``like``."""
    try:
        if isinstance(like, bool):
            return {"true": True, "false": False}[word.lower()]
        return type(like)(word)
    except (ValueError, KeyError) as error:
        what = {bool: "true or false", int: "a whole number", float: "a number"}[type(like)]
        hint = ", or a range such as 0..9" if name in _WHOLE else ""
        raise ValueError(f"`{name}` must be {what}{hint}: got {word!r}.") from error
