"""Making the shipped assets again: which steps are due, and what comes out different.

It works as ``make`` does, with hashes in place of file times: a step is due if a file is missing or
its hash is not the manifest's, or if a step that it reads from came out different. ``recipes.py``
says what a step is; ``run`` is passed in, so that tests and the command line run commands their own
way.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.data.atomic_files import write_json
from workbench.data.qualities import QUALITIES
from workbench.data.trajectory_files import header_of
from workbench.runs.run_folder import nested
from workbench.shipped import assets
from workbench.tasks import Family, find, plugins
from workbench.tuning.presets import SHIPPED_SPECS
from workbench.upkeep.making import data_path
from workbench.upkeep.recipes import (
    FROM_DATA,
    NETWORKS,
    READERS,
    VERBS,
    Recipe,
    Verb,
    Words,
    data_folder,
    flag,
    recipe,
    steps_of,
)

_COSTS = ("seconds", "peak_memory")  # measured too, but no two runs agree on them


@dataclass(frozen=True)
class Place:
    """Where steps run and what they write.

    Attributes:
        work: The folder that commands run in: ``data/`` and ``build/`` are below it.
        root: The folder of assets that they write.
        origin: The folder of assets that there are: what ships, or that of a plug-in.
        from_data: A folder of recorded trajectories, in place of behaviour policies; or None.
    """

    work: Path
    root: Path
    origin: Path = field(default_factory=lambda: assets.ROOT)
    from_data: Path | None = None

    @property
    def compares_only(self) -> bool:
        """Whether the shipped files stay as they are, and are only compared with."""
        return self.root != self.origin


@dataclass(frozen=True)
class Step:
    """One step of a family as things stand: how it is made, whether it is due, and why."""

    recipe: Recipe
    due: bool
    why: str


@dataclass(frozen=True)
class Compared:
    """A file before and after: whether it says the same, and what was measured of it."""

    file: str
    same: bool
    was: Mapping[str, Any] | None
    now: Mapping[str, Any] | None

    @property
    def new(self) -> bool:
        """Whether there was no such file before."""
        return self.was is None

    @property
    def change(self) -> str:
        """What differs, in words."""
        if self.was is None or self.now is None:
            return "new" if self.new else "not made"
        names = [n for n in self.was if n in self.now and not n.startswith(_COSTS)]
        pairs = [(n, self.was[n], self.now[n]) for n in names if not isinstance(self.was[n], dict)]
        moved = [f"{n} {was} → {now}" for n, was, now in pairs if was != now]
        return ", ".join(moved) or "other bytes, the same figures"


@dataclass(frozen=True)
class Outcome:
    """What became of a step: its command's exit status, the time, and each file compared."""

    step: Step
    status: int
    seconds: float
    files: tuple[Compared, ...] = ()

    @property
    def words(self) -> str:
        """How many files came out the same as before, and how many are new."""
        old = [f for f in self.files if not f.new]
        parts = [f"{sum(f.same for f in old)} of {len(old)} files came out the same"] if old else []
        new = len(self.files) - len(old)
        return "; ".join([*parts, *([f"{new} new file{'s' * (new > 1)}"] if new else [])]) or "done"


class Reproduction:
    """The steps of some families, to be made again in a place.

    What is under way is noted below ``place.work``, so that a killed reproduction goes on where
    it was; the commands keep checkpoints of their own.

    Args:
        families: Their names.
        only: Steps to look at; all if empty, but for networks that do not ship. ``collect``
            comes with what reads its data.
        place: Where.
        again: Make everything again, from nothing: kept data and checkpoints are deleted.

    Raises:
        ValueError: if there is no such family, or the manifest cannot be read.
    """

    def __init__(self, families: Sequence[str], only: Sequence[Verb], place: Place, *, again: bool):
        self.families = [find(name) for name in dict.fromkeys(families)]
        self.place, self.again = place, again
        self.only, entries = tuple(only), assets.manifest(place.origin)
        self.ships = {family.name: steps_of(family, entries) for family in self.families}
        self.verbs = {name: self._verbs(ships) for name, ships in self.ships.items()}
        self._notes = (
            place.work / "build" / ("check.json" if place.compares_only else "reproduce.json")
        )
        self._read_notes()

    def _verbs(self, ships: Sequence[Verb]) -> tuple[Verb, ...]:
        """Return the steps to look at, in order."""
        wanted = self.only or tuple(verb for verb in ships if verb != "collect")
        if self.place.from_data is not None:
            wanted = tuple(verb for verb in wanted if verb != "behaviour")
        reads_data = not NETWORKS.keys().isdisjoint(wanted)
        return tuple(v for v in VERBS if v in wanted or (v == "collect" and reads_data))

    def plan(self) -> list[Step]:
        """Return every step as things stand; touches nothing."""
        return [self.look(f, verb) for f in self.families for verb in self.verbs[f.name]]

    def steps(self, run: Callable[[Words], int]) -> Iterator[Step | Outcome]:
        """Make what is due: a ``Step`` as it is come to, then its ``Outcome`` if it was due.

        Args:
            run: Runs a command in ``place`` and returns its exit status; one that is not 0 ends
                the stream.
        """
        self._begin()
        for family in self.families:
            for verb in self.verbs[family.name]:
                step = self.look(family, verb)
                yield step
                if step.due:
                    outcome = self._make(family, step, run)
                    yield outcome
                    if outcome.status:
                        return

    def look(self, family: Family, verb: Verb) -> Step:
        """Return a step as things stand."""
        entries = self._entries()
        made_by = recipe(family, verb, entries)
        if self.place.from_data is not None and verb in FROM_DATA:
            words = ("--from-data", str(self.place.from_data))
            commands = tuple((*c, *words) for c in made_by.commands)
            made_by = replace(made_by, commands=commands)
        return Step(made_by, *self._due(family, made_by, entries))

    def _due(self, family: Family, made_by: Recipe, entries) -> tuple[bool, str]:
        """Return whether a step is to run, and why or why not."""
        verb, noted = made_by.verb, self._of("due", family)
        if verb == "collect":
            readers = [v for v in self.verbs[family.name] if v in NETWORKS]
            wanted = verb in self.only or any(self.look(family, v).due for v in readers)
            if not wanted:
                return False, "nothing that reads it is to be made"
        if verb in noted:
            return True, noted[verb]["why"]
        if verb == "collect":
            paths = self._data(family)
            missing = sum(not path.exists() for path in paths)
            source = None if self.place.from_data is None else str(self.place.from_data)
            own = plugins.of_family(family.name) is not None
            if own and any(header_of(p).get("source") != source for p in paths if p.exists()):
                return True, "what is there was collected in another way"
            return missing > 0, f"{len(paths) - missing} of {len(paths)} files there"
        if self.place.compares_only:
            finished = self._of("finished", family)
            return verb not in finished, finished.get(verb, "to be compared")
        if verb == "record":
            there = {name.split("/")[1] for name in made_by.files}
            wanted = [i for s in SHIPPED_SPECS.get(family.name, ()) for i in (s.id, s.untuned.id)]
            if not wanted:
                return False, "no run is to ship"
            if missing := sum(run_id not in there for run_id in wanted):
                return True, f"{missing} of {len(wanted)} runs missing"
        good = sum(_verified(self.place.root / n, entries.get(n)) for n in made_by.files)
        if good and plugins.of_family(family.name) is not None:
            wanted_words = {_command(words) for words in made_by.commands}
            if not wanted_words >= {entries[n]["command"] for n in made_by.files if n in entries}:
                return True, "was made with other flags"
        return good < len(made_by.files), f"{good} of {len(made_by.files)} files as recorded"

    def _make(self, family: Family, step: Step, run: Callable[[Words], int]) -> Outcome:
        """Run a step's commands and compare what they made with what was there."""
        verb, noted, began = step.recipe.verb, self._of("due", family), time.perf_counter()
        before = noted.get(verb, {}).get("before")
        if before is None:
            before = self._contents(family, verb, recorded=True)
        noted[verb] = {"why": "was not finished", "before": before}
        self._write_notes()
        if self.place.compares_only and verb != "collect":
            # a command that leaves a file out must not pass by the copy that was there
            _delete(self.place.root, before)
        for words in step.recipe.commands:
            if status := run(words):
                return Outcome(step, status, time.perf_counter() - began)
        after = self._contents(family, verb, recorded=False)
        files = tuple(_compared(name, before, after) for name in sorted({*before, *after}))
        if verb == "collect":  # what was not kept cannot be compared
            files = tuple(f for f in files if f.was is not None)
        done = Outcome(step, 0, time.perf_counter() - began, files)
        if not all(f.same for f in files):
            made = {*self.ships[family.name], *self.verbs[family.name]}
            for reader in filter(made.__contains__, READERS[verb]):
                why = "is new" if all(f.new for f in files) else "came out different"
                noted.setdefault(reader, {"why": f"{verb} {why}"})
            if "collect" in READERS[verb]:
                self._forget(family, ("collect",))
        del noted[verb]
        self._of("finished", family)[verb] = done.words
        self._write_notes()
        return done

    def _contents(self, family: Family, verb: Verb, *, recorded: bool) -> dict[str, list]:
        """Return ``[content hash, measured]`` of every file of a step.

        With ``recorded``, of what the manifest says that there was, even if it is damaged now:
        that is what the files of later steps were made from.
        """
        if verb == "collect":
            return {
                path.as_posix(): [_content(path), {}]
                for path in self._data(family)
                if path.exists()
            }
        entries, contents = self._entries(), {}
        for name in recipe(family, verb, entries).files:
            path, entry = self.place.root / name, entries.get(name)
            if recorded and entry is not None and not _verified(path, entry):
                contents[name] = [entry.get("sha256"), entry.get("measured") or {}]
            elif path.exists():
                contents[name] = [_content(path), (entry or {}).get("measured") or {}]
        return contents

    def _entries(self) -> dict[str, dict]:
        root, origin = self.place.root, self.place.origin
        return assets.manifest(root if root.exists() else origin)

    def _data(self, family: Family) -> list[Path]:
        """Return the files of training data that pretraining reads."""
        folder = self.place.work / data_folder(family, self._entries())
        return [data_path(folder, t, q) for t in family.tasks("train") for q in QUALITIES]

    def _forget(self, family: Family, verbs: Iterable[Verb]) -> None:
        """Delete what earlier runs of steps keep below the work folder."""
        build = self.place.work / "build"
        if "collect" in verbs:
            for path in self._data(family):
                path.unlink(missing_ok=True)
        if "behaviour" in verbs:
            for words in recipe(family, "behaviour", self._entries()).commands:
                kept = build / "behaviour" / f"{family.name}-{flag(words, '--seed', '0')}"
                shutil.rmtree(kept, ignore_errors=True)
        if not NETWORKS.keys().isdisjoint(verbs):
            for path in (build / "pretrain").glob(f"{family.name}-{'?' * 12}.safetensors"):
                path.unlink()

    def _read_notes(self) -> None:
        self._kept: dict[str, Any] = {"source": "", "due": {}, "finished": {}}
        if self._notes.exists():
            try:
                self._kept |= json.loads(self._notes.read_bytes())
            except ValueError as error:
                raise ValueError(f"{self._notes} cannot be read ({error}): delete it.") from error
        # A comparison is with the assets as they are now.
        manifest = assets.manifest_of(self.place.origin)
        source = assets.sha256(manifest) if manifest.exists() else "none"
        self._copy = self.place.compares_only and (self.again or self._kept["source"] != source)
        if self._copy:
            self._kept = {"source": source, "due": {}, "finished": {}}
        if self._copy or self.again:
            why = {"why": "asked for" if self.again else "to be compared"}
            for family in self.families:
                verbs = self.verbs[family.name]
                self._of("due", family).update({verb: dict(why) for verb in verbs})

    def _begin(self) -> None:
        self.place.work.mkdir(parents=True, exist_ok=True)
        if self._copy:
            shutil.rmtree(self.place.root, ignore_errors=True)
            shutil.copytree(self.place.origin, self.place.root)
        if self._copy or self.again:
            for family in self.families:
                self._forget(family, self.verbs[family.name])
        self._copy = self.again = False
        self._write_notes()

    def _of(self, what: str, family: Family) -> dict[str, Any]:
        return self._kept[what].setdefault(family.name, {})

    def _write_notes(self) -> None:
        write_json(self._notes, self._kept)


def _compared(name: str, before: Mapping[str, list], after: Mapping[str, list]) -> Compared:
    was, now = before.get(name), after.get(name)
    same = was is not None and now is not None and was[0] == now[0]
    return Compared(name, same, was and was[1], now and now[1])


def _command(words: Words) -> str:
    return shlex.join(("python", "-m", "workbench", *words))


def _verified(path: Path, entry: Mapping[str, Any] | None) -> bool:
    return entry is not None and path.exists() and assets.sha256(path) == entry.get("sha256")


def _content(path: Path) -> str:
    """Return a hash of what a file says; wall times and the form that a run keeps are left out."""
    if path.suffix != ".jsonl" and path.name != "result.json":
        return assets.sha256(path)
    text = path.read_text()
    lines = [
        json.loads(line) for line in (text.splitlines() if path.suffix == ".jsonl" else [text])
    ]
    kept = [
        {k: v for k, v in nested(line).items() if k != "format" and not k.endswith("seconds")}
        for line in lines
    ]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _delete(root: Path, names: Iterable[str]) -> None:
    """Delete files below ``root``, and folders that this leaves empty."""
    for name in names:
        (root / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            for folder in list(Path(name).parents)[:-1]:
                (root / folder).rmdir()
