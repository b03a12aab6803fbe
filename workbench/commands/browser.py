"""Verbs that look at the pages in a headless browser: pictures, and how long a visitor waits."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm
from tyro.conf import arg

from workbench.commands.app import PAGES
from workbench.commands.output import Json, print_result
from workbench.teaching.stills import NAMES

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


_LINKS = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]"


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Start a headless Chromium; yields Playwright's handle of it.

    Raises:
        ValueError: if there is none.
        ModuleNotFoundError: without Playwright.
    """
    try:
        from playwright import sync_api
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Looking at the pages needs Playwright: python -m pip install -e '.[e2e]'."
        ) from error
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        raise ValueError(
            f"There is no browser: none of {', '.join(NAMES)} is on the PATH. Install one."
        )
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the app on a free port; yields its address as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--server.port", str(port), "--server.headless", "true"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(PAGES), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise OSError("The pages' server ended: `python -m workbench app` says why.")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    raise OSError(f"The pages' server did not answer within {seconds:.0f} seconds.")


def pages_of(chromium: Any, url: str) -> dict[str, str]:
    """Return the path of each page that the app links to, by name, in order."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_selector(_LINKS, timeout=120_000)
    links = [link.get_attribute("href") for link in page.locator(_LINKS).all()]
    page.close()
    paths = [urllib.parse.urlsplit(link).path.strip("/") for link in links]
    return {path or "explore": f"/{path}" for path in paths}  # the first one is at the root


def chosen(pages: tuple[str, ...], known: dict[str, str]) -> dict[str, str]:
    """Return the pages that were asked for, or all.

    Raises:
        ValueError: if there is no such page.
    """
    if unknown := set(pages) - set(known):
        raise ValueError(
            f"There is no page {', '.join(sorted(unknown))}: choose from {', '.join(known)}."
        )
    return {name: known[name] for name in pages or known}


THEMES = ("light", "dark")


_BUSY = "[data-testid=stSkeleton], [data-testid=stStatusWidgetRunningIcon]"


_SETTLE = 5_500  # ms: what plays by itself is in the middle of it then


def screenshots(
    folder: Annotated[Path, arg(help="Where the pictures go.")] = Path("docs"),
    widths: Annotated[
        tuple[int, ...], arg(help="Pixels; pictures of all but the first carry theirs in the name.")
    ] = (1440,),
    height: Annotated[int, arg(help="Pixels.")] = 1000,
    pages: Annotated[tuple[str, ...], arg(help="Some pages by name, such as explore.")] = (),
    as_json: Json = False,
) -> None:
    """Take a picture of every page in both themes, as a headless Chromium shows it.

    The app is started on a free port and ended again.

    Raises:
        ValueError: if there is no Chromium, or no such page.
        ModuleNotFoundError: without Playwright.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium, served() as url:
        known = chosen(pages, pages_of(chromium, url))
        shots = [(p, w, t) for p in known for w in widths for t in THEMES]
        made = []
        for page, width, theme in tqdm(shots, unit="picture"):
            path = folder / f"{_name(page, width, theme, widths)}.png"
            _take(chromium, f"{url}{known[page]}", path, width, height, theme)
            made.append({"file": str(path), "kilobytes": path.stat().st_size // 1024})
    print_result(made, as_json)


def _name(page: str, width: int, theme: str, widths: tuple[int, ...]) -> str:
    parts = [page, *([str(width)] if width != widths[0] else []), *([theme] * (theme == "dark"))]
    return "-".join(parts)


def _take(chromium: Any, url: str, path: Path, width: int, height: int, theme: str) -> None:
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.goto(url)
    page.wait_for_selector("h1, h2, h3", timeout=120_000)
    page.wait_for_timeout(1_000)
    page.wait_for_function(f"!document.querySelector('{_BUSY}')", timeout=120_000)
    page.mouse.move(width - 2, height - 2)
    page.wait_for_timeout(_SETTLE)
    page.screenshot(path=path)
    page.close()
    # 256 colours are enough for a page and a third of the bytes
    Image.open(path).convert("RGB").quantize(256, dither=0).save(path, optimize=True)


_SLOW = 120_000  # ms


_HEADING = "h1:visible, h2:visible"


_FIGURE = "canvas:visible, .js-plotly-plot .main-svg:visible"


_PAINTED = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
    () => done(performance.now()))))"""


_MOVE = """slider => new Promise(done => {
    const low = Number(slider.min), high = Number(slider.max), took = [];
    const next = () => {
        if (took.length === 12) return done(took);
        const began = performance.now();
        slider.value = low + (high - low) * ((took.length * 5) % 12) / 11;
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        requestAnimationFrame(() => setTimeout(() => {
            took.push(performance.now() - began);
            setTimeout(next, 50);
        }));
    };
    next();
})"""
"""From the event until the frame after it was painted, a dozen times."""


_PRESSED = """words => {
    window.workbenchTook = 0;
    const columns = () => document.querySelectorAll("[data-testid=stMain] [data-testid=stColumn]");
    const said = () => [...columns()].filter(c => c.innerText.includes(words)).length;
    const before = said();
    window.addEventListener("keydown", () => {
        const began = performance.now();
        const look = () => {
            if (said() > before) window.workbenchTook = performance.now() - began;
            else requestAnimationFrame(look);
        };
        look();
    }, {once: true, capture: true});
}"""
"""From the next key press until one more column says ``words``."""


SLIDERS = {"tuning": "updates of the tuning", "diffusion": "diffusion step", "line": "playhead"}


def timings(
    pages: Annotated[tuple[str, ...], arg(help="Some pages by name, such as explore.")] = (),
    repeats: Annotated[int, arg(help="Visits of each kind.")] = 3,
    as_json: Json = False,
) -> None:
    """Time the first paint of every page and the sliders, in a headless Chromium.

    First paint counts from the navigation, with an empty cache of the browser: cold is the first
    visit of a server that has just begun to answer, warm a further one. The figures are medians
    over the visits, the worst in brackets; nothing else should run meanwhile.

    Raises:
        ValueError: if there is no Chromium, no such page, or nothing to repeat.
        ModuleNotFoundError: without Playwright.
    """
    if repeats < 1:
        raise ValueError(f"`repeats` must be at least 1: got {repeats}.")
    with browser() as chromium:
        with served() as url:
            known = chosen(pages, pages_of(chromium, url))
            sliders = _sliders(chromium, url) if "explore" in known else []
        rows = [
            {"what": f"page {name}", **_first_paints(chromium, path, repeats)}
            for name, path in tqdm(known.items(), unit="page")
        ]
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "first_paint_ms": rows,
        "slider_ms": sliders,
    }
    if as_json:
        print_result(found, as_json)
        return
    print(found["machine"])
    for part in ("first_paint_ms", "slider_ms"):
        if found[part]:
            table = [{k: v if k == "what" else _said(v) for k, v in r.items()} for r in found[part]]
            print(f"\n{part.replace('_ms', ', ms').replace('_', ' ')}")
            print_result(pd.DataFrame(table), as_json)


def _said(values: list[float]) -> str:
    return f"{np.median(values):.0f} ({max(values):.0f})"


def _first_paints(chromium: Any, path: str, repeats: int) -> dict[str, list[float]]:
    """Return times of the heading and the first figure, of a server's first visit and the next."""
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        with served() as url:
            for kind in ("cold", "warm"):
                heading, figure = _visit(chromium, f"{url}{path}")
                found.setdefault(f"{kind}: heading", []).append(heading)
                found.setdefault(f"{kind}: figure", []).append(figure)
    return found


def _visit(chromium: Any, address: str) -> tuple[float, float]:
    """Return when heading and first figure were painted, in ms since the navigation."""
    with _fresh(chromium) as page:
        page.goto(address, wait_until="commit")
        page.locator(_HEADING).first.wait_for(timeout=_SLOW)
        heading = page.evaluate(_PAINTED)
        page.locator(_FIGURE).first.wait_for(timeout=_SLOW)
        return round(heading), round(page.evaluate(_PAINTED))


@contextlib.contextmanager
def _fresh(chromium: Any):
    """Open a page of a new visitor, who has nothing in the cache."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    try:
        yield context.new_page()
    finally:
        context.close()


def _sliders(chromium: Any, url: str) -> list[dict[str, Any]]:
    """Return how long the picture takes after each slider of the first page moves."""
    with _fresh(chromium) as page:
        page.emulate_media(reduced_motion="reduce")  # nothing plays by itself
        page.goto(url)
        page.locator("[data-pdw=play]").wait_for(timeout=_SLOW)
        page.wait_for_timeout(2_000)
        found = [
            {"what": words, "moves": page.locator(f"[data-pdw={name}]").evaluate(_MOVE)}
            for name, words in SLIDERS.items()
        ]
        found.append({"what": "Updates, by keyboard", "moves": _updates(page)})
        return [{**row, "moves": [round(move) for move in row["moves"]]} for row in found]


def _updates(page: Any) -> list[float]:
    """Return how long the page takes to say what another number of updates means for B."""
    thumb, moves = page.locator("[data-testid=stSlider] input[type=range]").first, []
    thumb.focus()
    for key, words in (("ArrowRight", "Not run yet"), ("ArrowLeft", "Recorded run")) * 3:
        page.evaluate(_PRESSED, words)
        thumb.press(key)
        page.wait_for_function("window.workbenchTook", timeout=_SLOW)
        moves.append(page.evaluate("window.workbenchTook"))
        page.wait_for_timeout(1_000)
    return moves
