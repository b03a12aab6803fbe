"""The app in a headless Chromium, for the tools beside this file."""

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
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""What a Chromium may be called on the PATH."""
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
APP = Path(__file__).resolve().parents[1] / "app.py"
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
        [sys.executable, "-m", "streamlit", "run", str(APP), *words],
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
