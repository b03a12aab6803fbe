"""One flag per setting of any way of adapting, made from the methods themselves."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import Annotated, Any, get_type_hints

from tyro.conf import DisallowNone, arg

from workbench.methods import METHODS
from workbench.tuning.spec import FLAGS

HELP = {
    "lam": "Weight of the downstream gradient, Eq. 9.",
    "projection": "Reading of Eq. 8-9; none is the plain sum.",
    "guidance": "Losses that guide: both, or one alone; or value beside the downstream loss, or in "
    "its place, where there is a critic.",
    "eta": "Weight of the value of the actions, where it guides.",
    "prompt_positions": "Where in an episode prompts are cut: any row, its start, or as published, "
    "the rows before the last.",
    "prompted": "Act under the prompts; if not, with no prompt at all.",
    "trust": "Deviations of the reward by which data may fall short and still be imitated; 0: all.",
    "dm_data": "What the diffusion loss is computed on: the initial prompts, or few-shot data.",
    "lr": "Learning rate at first, or length of a step.",
    "lr_half": "Updates after which the learning rate has halved; 0 never.",
    "average": "Decay of the average of the weights that acts; 0 acts with the last ones.",
    "batch_size": "Prompts, contexts or pairs of them per update.",
    "clip": "Largest norm of the combined gradient.",
    "temperature": "Factor on the sampling variance of prompts that act, 0 to 1.",
    "training_temperature": "The same while the downstream loss is computed; -1: as that.",
    "energy": "Share of energy the subspace keeps.",
    "memory": "Recent gradients that span it.",
    "refresh": "Updates between two bases.",
    "bottleneck": "Width inside an adapter.",
    "weight_decay": "Of AdamW.",
    "contexts": "Rows of a context in fine-tuning: as the prompt has, or as the model reads.",
    "scorer": "What ranks prompts: offline action error, or online return.",
    "n_candidates": "Perturbations of each prompt per update, or prompts generated for it.",
    "mu": "Size of a perturbation, in normalised units.",
    "ranking_episodes": "Episodes per candidate of the online scorer.",
    "n_arms": "Segments of the demonstrations that a bandit tries.",
    "n_pulls": "Episodes of a bandit's update, each under one of them.",
    "exploration": "Width of a bandit's confidence bounds; 1 is UCB1's.",
    "line_search": "Rank lengths of the step too.",
}
"""What each setting is, in a line; the methods' own docstrings say more."""


def settings_of(name: str) -> dict[str, tuple[Any, Any]]:
    """Return type and default of every setting of the method ``name``, by the setting's name."""
    method, types = METHODS[name](), get_type_hints(METHODS[name])
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
    usable = {n: v for n, v in values.items() if n not in FLAGS}  # `check` refuses the others
    plain = {n: v for n, v in usable.items() if isinstance(v, int | float | str)}
    return {n: (types[n], value) for n, value in plain.items()}


def _flags() -> list[tuple[str, Any, Any]]:
    """Return a field per setting: None, or a value of the types that methods give it."""
    types: dict[str, list[Any]] = {}
    defaults: dict[str, dict[Any, list[str]]] = {}
    for method in METHODS:
        for name, (kind, default) in settings_of(method).items():
            if kind not in types.setdefault(name, []):
                types[name].append(kind)
            defaults.setdefault(name, {}).setdefault(default, []).append(method)
    fields = []
    for name, kinds in types.items():
        by_method = "; ".join(f"{v} {', '.join(who)}" for v, who in defaults[name].items())
        said = arg(help=HELP.get(name), help_behavior_hint=f"(default: {by_method})")
        kind = functools.reduce(operator.or_, kinds, None)
        # the word None would be taken for "left out": `--projection None` is a mistake for none
        fields.append((name, Annotated[DisallowNone[kind], said], None))
    return fields


Settings = dataclasses.make_dataclass("Settings", _flags(), frozen=True)
"""Settings given on the command line; None is the method's own default."""
NONE_GIVEN = Settings()


def given(settings: Settings) -> dict[str, Any]:
    """Return the settings that were given, by name."""
    pairs = ((f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings))
    return {name: value for name, value in pairs if value is not None}
