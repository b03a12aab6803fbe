"""How each shipped asset is made: the steps of a family, their files, commands and time.

The command that made a file stands in ``assets/manifest.json``, beside the file's hash; so the
recipes are read from there, and only what must run before what (``READERS``) is written here. A
pipeline tool (DVC, Snakemake, pytask) would need the same facts a second time, in files of its own.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from workbench.data.behaviour import BehaviourConfig
from workbench.data.qualities import QUALITIES
from workbench.pretraining.critic import CriticPretrainConfig
from workbench.pretraining.generators import INFORMED, GeneratorPretrainConfig
from workbench.pretraining.hyper_network import HyperPretrainConfig
from workbench.pretraining.prompt_dt import PretrainConfig
from workbench.shipped import assets
from workbench.tasks import Family, find, plugins
from workbench.tuning.presets import SHIPPED_SPECS
from workbench.upkeep.making import EPISODES, FEW_SHOT, USUAL_EPISODES

Verb = Literal[
    "behaviour",
    "collect",
    "demos",
    "pretrain",
    "mt-orl",
    "diffuser",
    "informed",
    "critic",
    "vae",
    "gan",
    "hyper",
    "multi-game-dt",
    "harmodt",
    "gato",
    "record",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
"""The steps of a family, each after those it reads; but for ``mt-orl`` and the models of other
papers, which ``pretrain`` makes too, the name is the verb."""
OTHER_MODELS: tuple[Verb, ...] = ("multi-game-dt", "harmodt", "gato")
NETWORKS: Mapping[Verb, str] = {
    "pretrain": "prompt-dt",
    **{verb: verb for verb in ("mt-orl", "diffuser", "informed", "critic", "vae", "gan", "hyper")},
    **{verb: verb for verb in OTHER_MODELS},
}
"""The steps that train a network on the training data, and the name of its file."""
OPTIONAL: tuple[Verb, ...] = ("mt-orl", "informed", "critic", "vae", "gan", "hyper", *OTHER_MODELS)
"""What only the comparisons need: where it does not ship, nothing is wrong."""
FROM_DATA: tuple[Verb, ...] = ("collect", "demos")
"""The steps that can take a user's own trajectories in place of behaviour policies."""
OF_A_PLUGIN: tuple[Verb, ...] = ("informed",)
"""What of that is made for a family of a plug-in nonetheless."""
SMALL: Mapping[str, str] = {
    "behaviour": "--env-steps 200000 --snapshots 16 --n-steps 128 --batch-size 256 --lr 0.001 "
    "--gamma 0.95",
    "collect": "--episodes 20",
    "pretrain": "--steps 3000 --warmup 200 --batch-size 32 --n-layers 2 --width 64",
    "diffuser": "--steps 3000",
    "informed": "--steps 3000",
}
"""Flags of the steps of a family of a plug-in that says no others in ``Family.training``: small
tasks, such as a pendulum's, are learned within minutes."""
_OF_THE_MODEL: tuple[Verb, ...] = (
    *("diffuser", "informed", "critic", "vae", "gan", "hyper"),
    *OTHER_MODELS,
)
READERS: Mapping[Verb, tuple[Verb, ...]] = {
    "behaviour": ("collect", "demos", *NETWORKS, "record"),
    "collect": (*NETWORKS, "record"),
    "demos": ("record",),
    "pretrain": (*_OF_THE_MODEL, "record"),
    "diffuser": ("record",),
    **dict.fromkeys((*OPTIONAL, "record"), ()),
    "informed": ("critic",),
}
"""Step → the steps that read its files: they are made again when it comes out different."""
ROUGH: Mapping[Verb, float] = {
    "behaviour": 1.3e-4,
    "collect": 6.4e-5,
    "demos": 6.4e-5,
    "pretrain": 0.19,
    "mt-orl": 0.1,
    "diffuser": 0.008,
    "informed": 0.015,
    "critic": 0.02,
    "vae": 0.009,
    "gan": 0.027,
    "hyper": 0.12,
    "multi-game-dt": 0.25,
    "harmodt": 0.25,
    "gato": 0.21,
    "record": 48.0,
}
"""Seconds on one core of the recording machine, measured with Cheetah-vel: per environment step
(the first three), gradient step (the networks), recorded run."""
_START = 5.0  # seconds until a command has imported everything
_SCRIPTED = 200_000  # environment steps: a hand-written expert is graded, not trained
_HOW = ("python", "-m", "workbench")

Words = tuple[str, ...]
"""A command, without ``python -m workbench``."""


@dataclass(frozen=True)
class Recipe:
    """How one step of a family is made.

    Attributes:
        family, verb: Which step.
        files: What ships of it, by name below the assets; nothing of ``collect``.
        commands: What makes it.
        from_manifest: Whether the manifest says so; else these are the verb's defaults.
        seconds: Expected, on one core of the recording machine.
        timed: Whether that machine took so long for this command; else a rough number.
    """

    family: str
    verb: Verb
    files: tuple[str, ...]
    commands: tuple[Words, ...]
    from_manifest: bool
    seconds: float
    timed: bool


def recipe(family: Family, verb: Verb, entries: Mapping[str, dict]) -> Recipe:
    """Read a step's recipe out of the manifest's ``entries``.

    Raises:
        ValueError: if the manifest names a command that is not of this step.
    """
    files = _files(family, verb, entries)
    recorded = _recorded(family, verb, entries, files)
    commands = recorded or (usual_words(family.name, verb),)
    measured = [entries[name].get("measured") or {} for name in files if name in entries]
    seconds = [v for figures in measured for k, v in figures.items() if k.startswith("seconds")]
    return Recipe(
        family.name,
        verb,
        files,
        commands,
        bool(recorded),
        max(seconds) if seconds else _rough(family, verb, commands[0]),
        bool(seconds),
    )


def steps_of(family: Family, entries: Mapping[str, dict]) -> tuple[Verb, ...]:
    """Return the steps of what ships of a family: an optional network may not."""

    def ships(verb: Verb) -> bool:
        names = _files(family, verb, entries)
        home = assets.home_of(family.name)
        return any(name in entries or (home / name).exists() for name in names)

    if plugins.of_family(family.name) is not None:  # no run of it ships
        return tuple(v for v in VERBS if v in OF_A_PLUGIN or v not in (*OPTIONAL, "record"))
    return tuple(verb for verb in VERBS if verb not in OPTIONAL or ships(verb))


def usual_words(family: str, verb: Verb) -> Words:
    """Return the command of a step with the defaults of its verb."""
    if verb == "mt-orl":
        return "pretrain", family, "--prompt-length", "0", *own_words(family, "pretrain")
    if verb in OTHER_MODELS:
        return "pretrain", family, "--model", verb, *own_words(family, "pretrain")
    return verb, family, *own_words(family, verb)


def own_words(family: str, verb: Verb) -> Words:
    """Return the flags of a step that a family of a plug-in says, or the small usual ones."""
    if plugins.of_family(family) is None:
        return ()
    return tuple(shlex.split({**SMALL, **find(family).training}.get(verb, "")))


def data_folder(family: Family, entries: Mapping[str, dict]) -> str:
    """Return where the recorded pretraining reads its data, ``"data"`` if nothing is said."""
    return flag(
        _words(entries.get(_name(family, assets.model_path(family.name)), {})), "--data", "data"
    )


def flag(words: Words, name: str, default: str) -> str:
    """Return what a command says after the flag ``name``, or ``default``."""
    for i, word in enumerate(words):
        if word == name:
            return "".join(words[i + 1 : i + 2])
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return default


def _files(family: Family, verb: Verb, entries: Mapping[str, dict]) -> tuple[str, ...]:
    if verb == "behaviour":
        paths = [assets.policy_path(family.name, q) for q in QUALITIES]
    elif verb == "demos":
        paths = [assets.demos_path(t, q) for t in family.tasks("test") for q in QUALITIES]
    elif verb in NETWORKS:
        paths = [assets.pretrained_path(family.name, NETWORKS[verb])]
    elif verb == "record":
        runs = {n: _words(e) for n, e in entries.items() if n.startswith("runs/")}
        return tuple(n for n, w in runs.items() if w[:1] == ("record",) and family.name in w)
    else:
        paths = []
    return tuple(_name(family, path) for path in paths)


def _name(family: Family, path) -> str:
    return path.relative_to(assets.home_of(family.name)).as_posix()


def _recorded(
    family: Family, verb: Verb, entries: Mapping[str, dict], files: tuple[str, ...]
) -> tuple[Words, ...]:
    """Return the commands that the manifest records, each once."""
    if verb == "collect":
        folder = data_folder(family, entries)
        return () if folder == "data" else ((verb, family.name, "--data", folder),)
    commands, (own, _, *flags) = [], usual_words(family.name, verb)
    if plugins.of_family(family.name) is not None:
        return ()  # its flags are those of the plug-in as it is now
    for name in files:
        if name in entries:
            words = tuple(word for word in _words(entries[name]) if word != "--json")
            if verb in NETWORKS:
                words = _without(words, "--out")  # a file of the place it is made in
            other = flags and flag(words, flags[0], "") != flags[1]
            if words[:1] != (own,) or family.name not in words or other:
                usual = " ".join(usual_words(family.name, verb))
                raise ValueError(
                    f"The manifest says that {name} was made by "
                    f"{entries[name].get('command')!r}, which is no `{usual}`. "
                    f"Make the file again with that verb, or mend the entry."
                )
            commands.append(words)
    return tuple(dict.fromkeys(commands))


def _without(words: Words, name: str) -> Words:
    """Return a command without the flag ``name`` and its value."""
    kept = []
    for i, word in enumerate(words):
        if word != name and not word.startswith(f"{name}=") and words[i - 1 : i] != (name,):
            kept.append(word)
    return tuple(kept)


def _words(entry: Mapping[str, Any]) -> Words:
    """Return an entry's command without ``python -m workbench``; () if it is none of ours."""
    with contextlib.suppress(ValueError):  # quotes that do not close
        words = tuple(shlex.split(str(entry.get("command", ""))))
        if words[: len(_HOW)] == _HOW:
            return words[len(_HOW) :]
    return ()


def _rough(family: Family, verb: Verb, words: Words) -> float:
    """Return about how many seconds a step takes where nobody has measured it."""
    tests, trains = (len(family.tasks(split)) * len(QUALITIES) for split in ("test", "train"))
    usual = {
        "behaviour": _SCRIPTED if family.script else BehaviourConfig().env_steps,
        "collect": trains * EPISODES.get(family.name, USUAL_EPISODES) * family.horizon,
        "demos": tests * FEW_SHOT * family.horizon,
        "pretrain": PretrainConfig().steps,
        **dict.fromkeys(("mt-orl", *OTHER_MODELS), PretrainConfig().steps),
        "informed": INFORMED.steps,
        "hyper": HyperPretrainConfig().steps,
        "critic": CriticPretrainConfig().steps,
        "record": len(SHIPPED_SPECS.get(family.name, ())),
    }.get(verb, GeneratorPretrainConfig().steps)
    said = flag(words, "--env-steps" if verb == "behaviour" else "--steps", "")
    size = _size(words) if verb in ("pretrain", "mt-orl", *OTHER_MODELS) else 1.0
    return _START + size * ROUGH[verb] * (int(said) if said.isdecimal() else usual)


def _size(words: Words) -> float:
    """Return about how much a transformer's step takes, in steps of the default size."""
    given = {"--batch-size": 64, "--n-layers": 3, "--width": 128}
    said = [(flag(words, name, ""), usual) for name, usual in given.items()]
    return float(np.prod([int(word) / usual for word, usual in said if word.isdecimal()]))
