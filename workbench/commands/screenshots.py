"""The verb that takes the pictures of the documentation: every page, light and dark."""

from __future__ import annotations

import contextlib
import os
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

from PIL import Image
from tqdm import tqdm
from tyro.conf import arg

from workbench.commands.output import Json, print_result

THEMES = ("light", "dark")
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
_APP = Path(__file__).resolve().parents[2] / "app.py"
_LINKS = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]"
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
    api, executable = _browser()
    folder.mkdir(parents=True, exist_ok=True)
    with _served() as url, api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        known = _pages(chromium, url)
        if unknown := set(pages) - set(known):
            raise ValueError(
                f"There is no page {', '.join(sorted(unknown))}: choose from {', '.join(known)}."
            )
        shots = [(p, w, t) for p in pages or known for w in widths for t in THEMES]
        made = []
        for page, width, theme in tqdm(shots, unit="picture"):
            path = folder / f"{_name(page, width, theme, widths)}.png"
            _take(chromium, known[page], path, width, height, theme)
            made.append({"file": str(path), "kilobytes": path.stat().st_size // 1024})
        chromium.close()
    print_result(made, as_json)


def _name(page: str, width: int, theme: str, widths: tuple[int, ...]) -> str:
    parts = [page, *([str(width)] if width != widths[0] else []), *([theme] * (theme == "dark"))]
    return "-".join(parts)


def _browser() -> tuple[Any, str]:
    """Return Playwright and the path of a Chromium."""
    try:
        from playwright import sync_api
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Pictures of the pages need Playwright: python -m pip install -e '.[e2e]'."
        ) from error
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        raise ValueError(
            f"There is no browser: none of {', '.join(names)} is on the PATH. Install one."
        )
    return sync_api, executable


@contextlib.contextmanager
def _served() -> Iterator[str]:
    """Serve the app on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--server.port", str(port), "--server.headless", "true"]
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(_APP), *words],
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
        time.sleep(0.2)
    raise OSError(f"The pages' server did not answer within {seconds:.0f} seconds.")


def _pages(chromium: Any, url: str) -> dict[str, str]:
    """Return the address of each page that the app links to, by name, in order."""
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_selector(_LINKS, timeout=120_000)
    links = [link.get_attribute("href") for link in page.locator(_LINKS).all()]
    page.close()
    paths = [urllib.parse.urlsplit(link).path.strip("/") for link in links]
    return {path or "explore": f"{url}/{path}" for path in paths}  # the first one is at the root


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
