"""Pictures of every page of the app, in both themes: `python -m tools.screenshots --help`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro
from PIL import Image
from tqdm import tqdm
from tyro.conf import arg

from tools.browser import browser, chosen, pages_of, served
from workbench.commands.output import Json, print_result

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


if __name__ == "__main__":
    tyro.cli(screenshots)
