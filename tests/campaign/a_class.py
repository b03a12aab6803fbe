"""A class at one shared server: does anything go wrong, and what does it take of the machine?

`python -m tests.campaign.a_class` lets 20 visitors use the pages for 10 minutes, measures the
server, says whether it keeps within the limits, and draws its memory; `--keep` enters numbers and
figure into `docs/`. Each action stands with its time in `build/class-actions.csv`, to find what
made the memory rise.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import csv
import dataclasses
import json
import os
import platform
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
from streamlit.proto.ButtonGroup_pb2 import ButtonGroup
from streamlit.proto.Slider_pb2 import Slider

from tests.campaign.client import Client
from workbench.app.sharing import HEALTH

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "": "Explore",
    "ablate": "Ablate",
    "compare": "Compare",
    "runs": "Runs",
    "data": "Data",
    "report": "Report",
    "glossary": "Glossary",
}
LIKED = (6, 3, 3, 2, 2, 1, 1)
"""How often each page is opened, beside the others."""
THINKS = (10.0, 60.0)
"""Seconds that somebody looks at a page before the next click."""
MEMORY, GROWTH, CPU = 1200.0, 0.05, 0.6
"""Limits: MB of the server and its children; growth over the last half, as a share of the memory;
seconds of processor time for a view of a page."""
DOCS = ROOT / "docs"


@contextlib.contextmanager
def shared_server(folder: Path) -> Iterator[tuple[str, str, psutil.Process]]:
    """Serve the pages as `workbench app --share` does; yields address, key and process.

    What the server says goes to ``server.log`` in the folder.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    key, secret = secrets.token_urlsafe(9), folder / "key"
    secret.touch(mode=0o600)
    secret.write_text(key)
    words = f"app --share --address 127.0.0.1 --port {port} --password-file {secret}"
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "workbench", *words.split()],
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
    try:
        while True:  # loading takes as long as the machine is busy
            assert server.poll() is None, (folder / "server.log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}{HEALTH}", timeout=5):
                break
            time.sleep(0.2)
        yield url, key, psutil.Process(server.pid)
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def memory(server: psutil.Process) -> float:
    """Return what the server and its children hold now, MB.

    Where the system tells (Linux does), a page of memory that several of them share counts once: a
    film's process begins as a copy of its parent, which would count twice until it has loaded.
    """
    held = 0
    for process in (server, *server.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            full = process.memory_full_info()
            held += getattr(full, "pss", full.rss)
    return held / 1e6


def cpu(server: psutil.Process) -> float:
    """Return the processor time that the server and its children took so far, seconds."""
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])  # user, system, and those of children that ended
    return total


async def cpu_of_views(url: str, key: str, server: psutil.Process, views: int) -> dict[str, float]:
    """Return the median processor time of a view of each page, by new visitors, one at a time."""
    found = {}
    for page, name in PAGES.items():
        took = []
        for _ in range(views + 1):
            visitor = Client(url)
            await visitor.enter(key)
            before = cpu(server)
            await visitor.open(page)
            await asyncio.sleep(0.3)
            took.append(cpu(server) - before)
            await visitor.close()
            assert not visitor.wrong, visitor.wrong
        found[name] = round(statistics.median(took[1:]), 2)  # the first one may fill caches
    return found


@dataclasses.dataclass
class Log:
    """What happened: how often what was done, how long answers took, and what went wrong.

    ``each`` has a row per action: when it began and ended (seconds since the class began), the
    visitor, and what was done, in words.
    """

    began: float = dataclasses.field(default_factory=time.monotonic)
    done: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)
    each: list[tuple[float, float, int, str]] = dataclasses.field(default_factory=list)


class Visitor:
    """Somebody who opens pages, moves what can be moved, and tunes now and then."""

    def __init__(self, url: str, key: str, log: Log, number: int):
        self._url, self._key, self._log, self._number = url, key, log, number
        self._draw = random.Random(number)

    async def stay(self, until: float) -> None:
        """Use the pages until then, in one tab after another."""
        come_in = min(30.0, (until - time.monotonic()) / 10)  # not all at once
        await asyncio.sleep(self._draw.uniform(0, come_in))
        while time.monotonic() < until:
            tab = Client(self._url)
            try:
                await tab.enter(self._key)
                self._log.done["tabs"] += 1
                await self._timed("pages opened", tab.open(""), "Explore")
                while time.monotonic() < until and not tab.wrong:
                    await asyncio.sleep(self._draw.uniform(*THINKS))
                    await self._act(tab)
                    if self._draw.random() < 0.02:  # closes it, and comes back
                        break
            except Exception as error:
                self._log.wrong.append(f"{type(error).__name__}: {error}")
            finally:
                self._log.wrong += tab.wrong
                await tab.close()

    async def _timed(self, what: str, doing, which: str = "") -> None:
        began = time.monotonic()
        await doing
        ended = time.monotonic()
        self._log.seconds.append(ended - began)
        self._log.done[what] += 1
        when = [round(at - self._log.began, 2) for at in (began, ended)]
        self._log.each.append((*when, self._number, f"{what} {which}".strip()))

    async def _act(self, tab: Client) -> None:
        draw = self._draw.random()
        if draw < 0.05:
            await self._tune(tab)
        elif draw < 0.06:
            await self._timed("pages opened", tab.open(""), "Explore")
            button, _ = tab.widgets.get(("button", "Render"), (None, ""))
            if button is not None and not button.disabled:  # neither column may have run
                await self._timed("films", tab.use("button", "Render", trigger_value=True))
        elif draw < 0.4:
            page = self._draw.choices(list(PAGES), LIKED)[0]
            await self._timed("pages opened", tab.open(page), PAGES[page])
        else:
            await self._move(tab)

    async def _tune(self, tab: Client) -> None:
        await self._timed("pages opened", tab.open(""), "Explore")
        seed = float(self._draw.randrange(10_000))
        await tab.use("number_input", "Seed", double_value=seed)
        await tab.use("slider", "Updates", double_array_value=[50.0])
        if not tab.widgets["button", "Tune"][0].disabled:
            await self._timed("tunings", tab.use("button", "Tune", trigger_value=True))
            await asyncio.sleep(self._draw.uniform(5, 40))  # watches

    async def _move(self, tab: Client) -> None:
        """Choose something else of any widget that is there."""
        moves = [
            (kind, label, value)
            for (kind, label), (element, _) in sorted(tab.widgets.items(), key=lambda x: x[0])
            if (value := self._other(kind, element)) is not None
        ]
        if moves:
            kind, label, value = self._draw.choice(moves)
            await self._timed("widgets moved", tab.use(kind, label, **value), f"{label} {value}")

    def _other(self, kind: str, element) -> dict | None:
        """Return a value of a widget as the protocol says it; None where there is no choice."""
        if getattr(element, "disabled", False):
            return None
        if kind in ("selectbox", "radio") and element.options:
            return {"string_value": self._draw.choice(element.options)}
        if kind == "button_group" and element.click_mode == ButtonGroup.SINGLE_SELECT:
            return {"string_array_value": [self._draw.choice(element.options).content]}
        if kind == "slider" and element.type == Slider.SELECT_SLIDER:
            chosen = [self._draw.choice(element.options) for _ in element.default]
            return {"string_array_value": sorted(chosen, key=list(element.options).index)}
        if kind == "slider":
            steps = int((element.max - element.min) / element.step)
            at = element.min + element.step * self._draw.randrange(steps + 1)
            return {"double_array_value": [at for _ in element.default]}
        if kind == "checkbox":
            return {"bool_value": self._draw.random() < 0.5}
        return None


async def use(
    url: str, key: str, server: psutil.Process, sessions: int, seconds: float
) -> tuple[Log, list[tuple[float, float]]]:
    """Let visitors use the pages; return what happened and the memory, (second, MB)."""
    log, curve = Log(), []
    until = log.began + seconds

    async def watch() -> None:
        while True:
            curve.append((round(time.monotonic() - log.began, 1), round(memory(server), 1)))
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    visitors = [Visitor(url, key, log, n) for n in range(sessions)]
    await asyncio.gather(*(visitor.stay(until) for visitor in visitors))
    watching.cancel()
    return log, [point for point in curve if point[0] <= seconds]


def growth(curve: list[tuple[float, float]]) -> float:
    """Return how much memory grew over the last half: its last quarter beside the one before."""
    half = [held for _, held in curve[len(curve) // 2 :]]
    before, after = half[: len(half) // 2], half[len(half) // 2 :]
    return statistics.mean(after) / statistics.mean(before) - 1


def measured(sessions: int, minutes: float, views: int) -> dict:
    """Serve a class; return all that was measured, as plain JSON."""
    with tempfile.TemporaryDirectory() as name, shared_server(Path(name)) as (url, key, server):
        took = asyncio.run(cpu_of_views(url, key, server, views)) if views else {}
        began, alone = time.monotonic(), memory(server)
        before = cpu(server)
        log, curve = asyncio.run(use(url, key, server, sessions, 60 * minutes))
        share = (cpu(server) - before) / (time.monotonic() - began)
        said = (Path(name) / "server.log").read_text(errors="replace")
    traces = ["the server's log has a trace"] * ("Traceback" in said)
    ordered = sorted(log.seconds)
    return {
        "machine": machine(),
        "sessions": sessions,
        "minutes": minutes,
        "cpu_of_a_view": took,
        "cores_busy": round(share, 2),
        "done": dict(log.done),
        "answer_median_s": round(statistics.median(ordered), 2),
        "answer_95_s": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
        "memory_before_mb": round(alone),
        "memory_most_mb": round(max(held for _, held in curve)),
        "growth_last_half": round(growth(curve), 4),
        "wrong": [*log.wrong, *traces],
        "log": said[-4000:] if traces else "",
        "memory": curve,
        "each": log.each,
    }


def machine() -> str:
    """Return the processor's name and how many cores there are."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def beyond(found: dict) -> list[str]:
    """Return which limits were not kept, in words."""
    said = [f"{name} took {s:g} s a view" for name, s in found["cpu_of_a_view"].items() if s > CPU]
    if found["memory_most_mb"] > MEMORY:
        said.append(f"memory reached {found['memory_most_mb']} MB")
    if found["growth_last_half"] > GROWTH:
        said.append(f"memory grew by {found['growth_last_half']:.1%} in the last half")
    return [*found["wrong"], *said]


def draw(found: dict, path: Path) -> None:
    """Draw the memory over time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    minutes, held = zip(*((s / 60, mb) for s, mb in found["memory"]), strict=True)
    axes.plot(minutes, held, color="#2f6fb5")
    axes.axhline(MEMORY, color="#c8741e", ls="--", lw=1)
    axes.text(0, MEMORY, " limit", va="bottom", color="#c8741e")
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, 1.1 * max(*held, MEMORY)))
    axes.set_xlim(0, None)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> int:
    """Measure, print, and keep; 1 if a limit was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.a_class", description=__doc__)
    parser.add_argument("--sessions", type=int, default=20, help="visitors at a time")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long they stay")
    parser.add_argument("--views", type=int, default=5, help="views of each page that are timed")
    parser.add_argument("--keep", action="store_true", help="write into docs/, else into build/")
    asked = parser.parse_args()
    found = measured(asked.sessions, asked.minutes, asked.views)
    folder = DOCS if asked.keep else ROOT / "build"
    draw(found, folder / "class.png")
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build" / "class-actions.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("began_s", "ended_s", "visitor", "what"))
        rows.writerows(found["each"])
    # the server's log, which names files of this machine, is printed and not kept
    kept = {name: value for name, value in found.items() if name not in ("log", "each")}
    (folder / "class.json").write_text(json.dumps(kept) + "\n")
    for name, value in found.items():
        if name not in ("memory", "each"):
            print(f"{name}: {value}")
    for words in beyond(found):
        print(f"NOT KEPT: {words}", file=sys.stderr)
    return 1 if beyond(found) else 0


if __name__ == "__main__":
    sys.exit(main())
