"""Who may use the pages: this machine alone, or a class with a key; and what a browser may do.

`workbench app --share` puts the key into ``KEY``. Whoever gives it gets a cookie for as long as the
server runs. On a shared server nothing is deleted, uploads stay in their session, and a session has
few jobs at a time. See `docs/trust.md`.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import ipaddress
import os
import secrets
import time
from collections import deque
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEY = "WORKBENCH_SHARE_KEY"
"""Variable of the environment that holds the key of a shared server."""
JOBS_EACH = 2
"""Tunings and sweeps that a session of a shared server may have waiting or running."""
COOKIE = "workbench-key"
HEALTH = "/_stcore/health"
"""Answers "ok" to whoever keeps a shared server running, and nothing else; it takes no key."""
TRIES, MINUTE = 10, 60.0
"""Wrong keys that an address may give in a minute."""
_MAX_FORM = 4096
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    # Streamlit and plotly write styles and make scripts of their own; nothing comes from elsewhere
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'self'",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Prompt Diffuser Workbench</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 18vh auto;
padding: 0 1rem; color: #1f2933 }} input, button {{ font: inherit; padding: .5rem .7rem;
border: 1px solid #9aa5b1; border-radius: .4rem }} input {{ width: 100%; box-sizing: border-box;
margin: .3rem 0 .8rem }} button {{ background: #0072b2; color: #fff; border-color: #0072b2 }}
p.wrong {{ color: #b3261e }} @media (prefers-color-scheme: dark) {{ body {{ background: #12161c;
color: #e4e7eb }} input {{ background: #1b2129; color: inherit }} }}</style>
<h1>Prompt Diffuser Workbench</h1><p>Whoever opened this workbench has a key for it.</p>{wrong}
<form method="post"><label>Key<input name="key" type="password" autofocus required
autocomplete="current-password"></label><button>Open</button></form></html>"""


def shared() -> bool:
    """Return whether this server is shared."""
    return bool(os.environ.get(KEY))


def jobs_at_a_time(most: int) -> int:
    """Return how many jobs may run here at a time: a shared server keeps a core for its pages."""
    return max(1, min(most, (os.cpu_count() or 1) - 1)) if shared() else most


def of_this_machine(host: str) -> bool:
    """Return whether an address is one of the loopback."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """Answers this machine alone or, where there is a key, whoever has given it; adds ``HEADERS``.

    Args:
        app: Answers those who are let in.
        clock: Returns seconds.
    """

    def __init__(self, app: ASGIApp, clock=time.monotonic):
        self._app, self._clock = app, clock
        self._secret = secrets.token_bytes(32)
        self._wrong: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or open one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                new = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
                new = [pair for pair in new if pair[0] not in there]
                message = {**message, "headers": [*message.get("headers", ()), *new]}
            await send(message)

        key = os.environ.get(KEY, "")
        host = scope["client"][0] if scope.get("client") else "localhost"
        if self._let_in(HTTPConnection(scope), key, host):
            await self._app(scope, receive, sending)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4401})
        elif not key:
            words = "This workbench answers its own machine alone: `workbench app --share`."
            await Response(words, 403, media_type="text/plain")(scope, receive, sending)
        else:
            answer = await self._asked(Request(scope, receive), key, host)
            await answer(scope, receive, sending)

    def _let_in(self, connection: HTTPConnection, key: str, host: str) -> bool:
        if not key:
            return of_this_machine(host)
        if connection.url.path == HEALTH:
            return True
        given = connection.cookies.get(COOKIE, "")
        return hmac.compare_digest(given.encode(), self._ticket(key).encode())

    def _ticket(self, key: str) -> str:
        return hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()

    async def _asked(self, request: Request, key: str, host: str) -> Response:
        """Ask for the key, or let in who gives it."""
        given, recent = await _given(request), self._wrong.setdefault(host, deque(maxlen=TRIES))
        now = self._clock()
        if len(recent) == TRIES and now - recent[0] < MINUTE:
            return _page("Too many wrong keys: wait a minute.", 429)
        if given is None:
            return _page("", 401)
        if not hmac.compare_digest(given.encode(), key.encode()):
            recent.append(now)
            if len(self._wrong) > 10_000:
                self._wrong.clear()
            return _page("That is not the key.", 401)
        self._wrong.pop(host, None)
        answer = RedirectResponse("./", 303)
        answer.set_cookie(COOKIE, self._ticket(key), httponly=True, samesite="strict", path="/")
        return answer


async def _given(request: Request) -> str | None:
    """Return the key that a form holds, or None; a link holds none, since links are kept."""
    if request.method != "POST":
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            return ""
    return parse_qs(body.decode(errors="replace")).get("key", [""])[0]


def _page(words: str, status: int) -> HTMLResponse:
    wrong = f'<p class="wrong">{html.escape(words)}</p>' if words else ""
    headers = {"cache-control": "no-store"}
    return HTMLResponse(_PAGE.format(wrong=wrong), status, headers)
