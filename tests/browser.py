"""A real browser for tests: skipped with a message where there is none."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tools.browser import FLAGS, NAMES

ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def served(script, folder):
    """Serve a Streamlit script from ``folder`` on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = "--server.address=127.0.0.1 --server.headless=true --browser.gatherUsageStats=false"
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    server = subprocess.Popen(
        [*command, *options.split()],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:  # a thread of it is busy
            server.kill()
            server.wait()


@contextlib.contextmanager
def laboratory(folder):
    """Serve JupyterLab on a folder of notebooks, as ``make lab`` does; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = "--no-browser --ServerApp.ip=127.0.0.1 --IdentityProvider.token="
    options += f" --ServerApp.root_dir={folder} --port={port}"
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in ("_CONFIG", "_DATA", "_RUNTIME")}
    own |= {f"JUPYTERLAB_{n}_DIR": str(folder / n) for n in ("SETTINGS", "WORKSPACES")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options.split()],
        env={**os.environ, **own, "JUPYTER_CONFIG_PATH": str(ROOT / "jupyter")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/status", server, 90)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@contextlib.contextmanager
def opened(init_script=""):
    """Open an empty page; at the end no error may have been logged and no request have left."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        wrong = []
        page.on(
            "console",
            lambda m: wrong.append(f"{m.text} {m.location}") if m.type == "error" else None,
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda r: (
                None
                if r.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
                else wrong.append(f"a request left this machine: {r.url}")
            ),
        )
        page.add_init_script(init_script)
        yield page
        chromium.close()
    assert wrong == [], wrong


def _wait_for(url, server, seconds=120):  # a machine may be busy with other things
    for _ in range(5 * seconds):
        assert server.poll() is None, "the server ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.2)
    raise TimeoutError(url)
