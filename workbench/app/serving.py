"""The server of the pages: what it does before the first visitor, and how it answers faster."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import mimetypes
import sys
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import get_option
from streamlit.file_util import get_static_dir
from streamlit.logger import get_logger

from workbench.app.links import renamed
from workbench.app.sharing import Gate, shared
from workbench.viewing.scene import graphics

SCRIPT = Path(__file__).with_name("navigation.py")
"""What Streamlit runs for every visitor."""
_BREATH = 2.0  # seconds
_KEPT = 64 << 20  # bytes that stay for the next update; a class shares the memory of one machine
_LARGEST = 64 << 10
"""Bytes of a block that comes from the heap of a shared server. A larger one is the system's again
when it is freed: in a heap that pages and tunings share it would leave a hole, which the pages'
small blocks split."""
_TURN = 0.0005
"""Seconds that a tuning keeps the interpreter while a page asks for it, a tenth of Python's own.

Every message that a page sends takes two such turns, and a page sends hundreds."""
# Names of these files hold a hash of their content, so that a browser need never ask again.
_CACHED_FOR_GOOD = {"cache-control": "public, immutable, max-age=31536000"}


@contextlib.asynccontextmanager
async def prepared(_app: object) -> AsyncIterator[None]:
    """Load what the first visitor of any page would wait for; the server answers afterwards."""
    prepare()
    gc.collect()
    gc.freeze()  # what stays, 400,000 objects, is not looked through again while a visitor waits
    giving_back = asyncio.create_task(_giving_back())
    yield
    giving_back.cancel()


async def _giving_back() -> None:
    """Give freed memory back now and then: visitors and tunings leave holes in the heap."""
    from workbench.networks.fast.memory import give_back_freed_memory

    while True:
        await asyncio.sleep(_BREATH)
        await asyncio.to_thread(give_back_freed_memory)


def prepare() -> None:
    """Import every page and fill the caches that all visitors share.

    What cannot be loaded is left to the page that needs it, which says so in words.
    """
    # Streamlit would warn that nobody looks at what is loaded here: that is meant.
    log = get_logger("streamlit.runtime.scriptrunner_utils.script_run_context")
    before = log.level
    log.setLevel("ERROR")
    try:
        graphics.leave_drawing_to_children()
        import pandas  # noqa: F401  (or the first table would)
        import torch

        from workbench.app import ablate, compare, data, explore, jobs, runs
        from workbench.networks.fast.memory import keep_freed_memory, share_the_heap
        from workbench.tasks import SHIPPED

        torch.set_num_threads(1)
        sys.setswitchinterval(_TURN)
        keep_freed_memory(_KEPT, *([_LARGEST] if shared() else []))
        share_the_heap()
        for page in (explore, compare, ablate, runs, data):
            page.prepare()
        for family in SHIPPED if shared() else ():
            jobs.tune_once(family)
    except Exception:
        traceback.print_exc(file=sys.stderr)
    finally:
        log.setLevel(before)


class FromMemory:
    """Answers Streamlit's own scripts, styles and fonts from memory.

    A first visit asks for a hundred of them. Measured on a busy machine of two cores, all 346
    fetched one after another: 1.0 s and 0.25 s of the server's processor time from here, 3.9 s and
    1.2 s from Streamlit, which looks at each file on the disk.

    Args:
        app: Answers everything else.
    """

    def __init__(self, app: ASGIApp):
        root, base = Path(get_static_dir()), get_option("server.baseUrlPath").strip("/")
        below = f"/{base}/" if base else "/"
        self._app = app
        self._paths = {
            f"{below}{p.relative_to(root).as_posix()}": p for p in root.glob("static/**/*.*")
        }
        self._answers: dict[str, Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        name = scope["path"] if scope["type"] == "http" and scope["method"] == "GET" else ""
        if name not in self._paths:
            await self._app(scope, receive, send)
            return
        if name not in self._answers:
            kind = mimetypes.guess_type(name)[0]
            content = self._paths[name].read_bytes()
            self._answers[name] = Response(content, media_type=kind, headers=_CACHED_FOR_GOOD)
        await self._answers[name](scope, receive, send)


class Renamed:
    """Leads links with former names of parameters to the same view by today's names.

    Args:
        app: Answers everything else.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        query = scope.get("query_string", b"").decode("latin-1")
        if scope["type"] == "http" and scope["method"] == "GET" and renamed(query) != query:
            await RedirectResponse(f"?{renamed(query)}")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _to_the_first_page(request: Request) -> RedirectResponse:
    """Answer the first page's name, which Streamlit does not know as an address."""
    up = "../" if request.url.path.endswith("/") else "./"
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{up}{query}")


MIDDLEWARE = [Middleware(Gate), Middleware(Renamed), Middleware(FromMemory)]
ROUTES = [
    Route(path, _to_the_first_page)
    for name in ("/explore", "/explore/")
    for path in (name, f"/{{base:path}}{name}")
]
"""Addresses beside Streamlit's own; below whatever path it is served at."""
