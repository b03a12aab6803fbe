"""The verb that opens the pages."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from workbench.commands.output import Json, print_result

PAGES = Path(__file__).resolve().parents[1] / "app" / "start" / "app.py"
"""What Streamlit serves; its settings lie beside it."""


def app(
    port: Annotated[int, arg(help="Port of the pages.")] = 8501,
    address: Annotated[
        str, arg(help="Address to listen at; 0.0.0.0 lets other machines in, without a password.")
    ] = "127.0.0.1",
    browser: Annotated[bool, arg(help="Open a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Open the workbench's pages on http://127.0.0.1:8501; Ctrl-C ends them."""
    if not 1 <= port <= 65535:
        raise ValueError(f"`port` must be from 1 to 65535: got {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ValueError(
                f"Nothing can listen at {address}:{port} ({error.strerror}). Choose another --port."
            ) from error
    shown = "127.0.0.1" if address == "0.0.0.0" else address
    print_result({"url": f"http://{shown}:{port}"}, as_json)
    sys.stdout.flush()
    os.dup2(2, 1)  # what the server says is no result
    words = ["--server.port", str(port), "--server.address", address]
    words += ["--server.headless", "false" if browser else "true"]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGES), *words])
