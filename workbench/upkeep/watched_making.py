"""The making of a family's networks that somebody watches: how far it is, and an end at any moment.

It is ``reproduce-assets`` for a family of a plug-in: the same steps by the same commands in the
same folders, so that either goes on where the other was stopped.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.data.qualities import QUALITIES
from workbench.data.trajectory_files import header_of
from workbench.shipped import assets
from workbench.tasks import Family, find, plugins
from workbench.upkeep.making import data_path
from workbench.upkeep.recipes import Words, recipe, steps_of
from workbench.upkeep.reproduce import Outcome, Place, Reproduction, Step

_CODE = Path(__file__).resolve().parents[2]
_SHARE = re.compile(r"(\d+)%\|")  # of a progress bar
_PATIENCE = 5.0


def step_process(place: Place, words: Words, **how: Any) -> subprocess.Popen:
    """Start a step's command in a process of its own.

    So its memory is given back, its recorded command and peak memory are its own, and a crash in
    native code ends one step.

    Args:
        place: Where it runs and what it writes.
        words: The command, without ``python -m workbench``.
        **how: Further arguments of ``Popen``.
    """
    paths = [str(_CODE), *filter(None, [os.environ.get("PYTHONPATH")])]
    root = "WORKBENCH_ASSETS" if place.origin == assets.ROOT else plugins.HOME
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), root: str(place.root)}
    command = [sys.executable, "-m", "workbench", *words]
    return subprocess.Popen(command, cwd=place.work, env=env, **how)


class WatchedMaking:
    """What a family of a plug-in lacks, made step by step, and seen from other threads meanwhile.

    Args:
        family: Its name.
        work: The folder that commands run in: ``data/`` and ``build/`` are below it.

    Attributes:
        plan: The steps that are due, as things stand now.
        n_steps: All of its steps.
        fresh: Whether none of them was ever begun.
        now: The step in flight; None where there is none.
        ended: Whether somebody asked for the end.
        error: The last words of a step that failed; "" for none.
    """

    def __init__(self, family: str, work: Path):
        self.work = work.resolve()
        home = assets.home_of(family)
        self.place = Place(self.work, home, home, _recordings(family, self.work))
        plan = Reproduction([family], (), self.place, again=False).plan()
        self.family, self.n_steps = family, len(plan)
        self.plan = [step for step in plan if step.due]
        self.fresh = len(self.plan) == len(plan) and not self._begun_before()
        self.now: Step | None = None
        self.ended, self.error, self._lock = False, "", threading.Lock()
        self._child: subprocess.Popen | None = None
        self._began, self._done, self._part = time.monotonic(), 0.0, 0.0

    @property
    def expected(self) -> float:
        """Seconds that what is due should take, on one core of the recording machine."""
        return sum(step.recipe.seconds for step in self.plan)

    @property
    def share(self) -> float:
        """How much of what was due is done, in [0, 1], by expected seconds."""
        current = 0.0 if self.now is None else self._part * self.now.recipe.seconds
        return min(1.0, (self._done + current) / max(1e-9, self.expected))

    @property
    def left(self) -> float:
        """Seconds that are left: by its own speed once it has one, else as expected."""
        if self.share < 0.02:
            return self.expected
        return (time.monotonic() - self._began) * (1 - self.share) / self.share

    def _begun_before(self) -> bool:
        kept = self.work / "build"
        trained = kept.glob(f"behaviour/{self.family}-*"), kept.glob(f"pretrain/{self.family}-*")
        return any(any(found) for found in trained)

    def outcomes(self) -> Iterator[Outcome]:
        """Make what is due and yield each step as it ends, until all is made or it is ended."""
        self._began = time.monotonic()
        job = Reproduction([self.family], (), self.place, again=False)
        for item in job.steps(self._run):
            if isinstance(item, Step):
                self.now, self._part = (item if item.due else None), 0.0
            else:
                self.now = None
                self._done += item.step.recipe.seconds
                yield item

    def end(self) -> None:
        """End now; checkpoints stay, and the next making goes on from them."""
        with self._lock:
            self.ended = True
            if self._child is not None:
                self._child.send_signal(signal.SIGINT)
                # who was begun in the background of a script may not hear that
                late = threading.Timer(_PATIENCE, self._child.terminate)
                late.daemon = True
                late.start()

    def _run(self, words: Words) -> int:
        """Run a step's command, reading its progress bar; return its exit status."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        with self._lock:
            if self.ended:
                return 130
            child = self._child = step_process(
                self.place, words, stderr=subprocess.PIPE, text=True, errors="replace", **quiet
            )
        said: deque[str] = deque(maxlen=12)
        assert child.stderr is not None  # a pipe
        with child.stderr:
            for line in child.stderr:  # a carriage return ends a line, too
                if found := _SHARE.search(line):
                    self._part = int(found[1]) / 100
                elif line.strip():
                    said.append(line.strip())
        with self._lock:
            self._child = None
        try:
            status = child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            status = child.wait()
        if status and not self.ended:
            self.error = f"{words[0]} failed: {' '.join(said) or f'exit status {status}'}"
        return status


def lacking() -> list[str]:
    """Return the families of plug-ins that lack a file of those that ``reproduce-assets`` makes."""
    own = [family for plugin in plugins.plugins() for family in plugin.families]
    return [family.name for family in own if not all(p.exists() for p in _files(family))]


def _files(family: Family) -> Iterator[Path]:
    home = assets.home_of(family.name)
    for verb in steps_of(family, {}):
        yield from (home / name for name in recipe(family, verb, {}).files)


def _recordings(family: str, work: Path) -> Path | None:
    """Return the user's recordings that its data were taken from; None if they were simulated."""
    known = find(family)
    for task in known.tasks("train"):
        source = header_of(data_path(work / "data", task, QUALITIES[0])).get("source")
        if source is not None:
            return Path(source)
    return None
