"""The verb that opens the pages."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from workbench.app.sharing import KEY, of_this_machine
from workbench.commands.output import Json, print_result
from workbench.networks.fast.memory import LITTLE_MEMORY

PAGES = Path(__file__).resolve().parents[1] / "app" / "start" / "app.py"
"""What Streamlit serves; its settings lie beside it."""


def app(
    port: Annotated[int, arg(help="Port of the pages.")] = 8501,
    address: Annotated[
        str | None,
        arg(help="Address to listen at: 127.0.0.1, or with `--share` 0.0.0.0, if left out."),
    ] = None,
    share: Annotated[
        bool, arg(help="Let other machines in, with a key that is made and printed now.")
    ] = False,
    password_file: Annotated[
        Path | None, arg(help="With --share: the key is this file's first line, 8 characters up.")
    ] = None,
    browser: Annotated[bool, arg(help="Open a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Open the workbench's pages on http://127.0.0.1:8501; Ctrl-C ends them."""
    if not 1 <= port <= 65535:
        raise ValueError(f"`port` must be from 1 to 65535: got {port}.")
    if password_file is not None and not share:
        raise ValueError("`--password-file` is the key of a shared server: add `--share`.")
    address = address or ("0.0.0.0" if share else "127.0.0.1")
    if not share and not of_this_machine(address):
        raise ValueError(
            f"At {address} other machines could come in: add `--share`, which asks them for a key."
        )
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ValueError(
                f"Nothing can listen at {address}:{port} ({error.strerror}). Choose another --port."
            ) from error
    everywhere = address in ("0.0.0.0", "::")
    result = {"url": f"http://{socket.gethostname() if everywhere else address}:{port}"}
    os.environ.pop(KEY, None)
    if share:
        key = secrets.token_urlsafe(9) if password_file is None else _key_of(password_file)
        os.environ[KEY] = key  # not among the words of the command, which everybody may list
        os.environ.update({**LITTLE_MEMORY, **os.environ})
        result |= {"key": key} if password_file is None else {}
    print_result(result, as_json)
    sys.stdout.flush()
    os.dup2(2, 1)  # what the server says is no result
    words = ["--server.port", str(port), "--server.address", address]
    words += ["--server.headless", "false" if browser else "true"]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGES), *words])


def _key_of(path: Path) -> str:
    """Return the key in a file.

    Raises:
        ValueError: if it is too short, or others may read the file.
    """
    key = (path.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    if len(key) < 8:
        raise ValueError(f"The first line of {path} is the key: give it 8 characters or more.")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ValueError(f"Others may read {path}: `chmod 600 {path}`.")
    return key
