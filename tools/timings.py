"""How long a visitor of the app waits: `python -m tools.timings --help`."""

from __future__ import annotations

import contextlib
import os
import platform
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro
from tqdm import tqdm
from tyro.conf import arg

from tools.browser import browser, chosen, pages_of, served
from workbench.commands.output import Json, print_result

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
        page.goto(f"{url}/?b-method=Prompt+Diffuser")  # which is tuned: it has all three
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


if __name__ == "__main__":
    tyro.cli(timings)
