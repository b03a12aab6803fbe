"""A visitor of the pages without a browser: Streamlit's protocol over a real connection.

It does what the front end does with a page: it keeps what the server draws, answers by widget, asks
again for the parts that draw themselves anew, and remembers large messages by their hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.cookiejar
import re
import urllib.parse
import urllib.request
from typing import Any

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

LARGEST = 256 * 2**20
"""Of a message, bytes."""
SLOW = 120.0
"""Seconds after which an answer counts as none."""
_FIRST = re.compile(r'(?:src|href)="\./([^"]+)"')


class Client:
    """One tab of one visitor.

    Attributes:
        widgets: What can be used on the page as it is drawn, by kind and label.
        wrong: What went wrong so far: exceptions, errors in words, failed runs of the script.
        views: Runs of the script that ended well.
    """

    def __init__(self, url: str):
        self.url, self.wrong, self.views = url, [], 0
        self.widgets: dict[tuple[str, str], tuple[Any, str]] = {}
        self._cookies = http.cookiejar.CookieJar()
        jar = urllib.request.HTTPCookieProcessor(self._cookies)
        self._http = urllib.request.build_opener(jar)
        self._messages: dict[str, ForwardMsg] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._again: dict[str, asyncio.Task] = {}
        self._pages: dict[str, str] = {}
        self._page = self._query = ""
        self._ended = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task | None = None

    async def enter(self, key: str) -> None:
        """Give the key of a shared server, load what its first page needs, and connect."""
        await asyncio.to_thread(self._load, key)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)
        self._socket = await connect(
            f"{self.url.replace('http', 'ws')}/_stcore/stream",
            origin=self.url,
            subprotocols=["streamlit"],
            additional_headers={"Cookie": cookies} if cookies else {},
            max_size=LARGEST,
            ping_interval=None,  # a browser sends none
        )
        self._reader = asyncio.create_task(self._read())

    def _load(self, key: str) -> None:
        form = urllib.parse.urlencode({"key": key}).encode() if key else None
        with self._http.open(f"{self.url}/", form, SLOW) as answer:
            html = answer.read().decode()
        for path in _FIRST.findall(html):
            with self._http.open(f"{self.url}/{path}", timeout=SLOW) as answer:
                answer.read()

    async def close(self) -> None:
        """Close the tab."""
        self._quiet()
        if self._socket is not None:
            self._reader.cancel()
            await self._socket.close()

    async def open(self, page: str, query: str = "") -> None:
        """Go to a page, as by its link."""
        self._page, self._query = page, query
        self._values.clear()
        await self._ask()

    async def use(self, kind: str, label: str, **value: Any) -> None:
        """Use a widget: ``value`` is what the protocol calls it, such as ``bool_value``.

        Raises:
            KeyError: if the page has none.
        """
        element, fragment = self.widgets[kind, label]
        self._values[element.id] = value
        await self._ask(fragment)
        if "trigger_value" in value:  # a press is over with the run that it began
            self._values.pop(element.id, None)

    async def _ask(self, fragment: str = "") -> None:
        self._ended.clear()
        await self._send(fragment)
        try:
            await asyncio.wait_for(self._ended.wait(), SLOW)
        except TimeoutError:
            self.wrong.append(f"no answer within {SLOW:.0f} s on {self._page or 'the first page'}")

    async def _send(self, fragment: str = "", again: bool = False) -> None:
        asked = BackMsg()
        state = asked.rerun_script
        state.query_string, state.fragment_id = self._query, fragment
        state.is_auto_rerun = again
        state.page_name = self._page
        state.page_script_hash = self._pages.get(self._page, "")
        state.cached_message_hashes.extend(self._messages)
        for name, value in self._values.items():
            widget = state.widget_states.widgets.add(id=name)
            for kind, x in value.items():
                if isinstance(x, list):
                    getattr(widget, kind).data.extend(x)
                else:
                    setattr(widget, kind, x)
        await self._socket.send(asked.SerializeToString())

    async def _read(self) -> None:
        try:
            async for raw in self._socket:
                self._take(ForwardMsg.FromString(raw))
            self.wrong.append("the server closed the connection")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.wrong.append(f"connection: {error!r}")
        self._ended.set()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            message = self._known(message)
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable:
            self._messages[message.hash] = message
            for old in list(self._messages)[:-64]:
                del self._messages[old]
        if kind == "new_session":
            self._pages = {
                "" if p.is_default else p.url_pathname: p.page_script_hash
                for p in message.new_session.app_pages
            } or self._pages
            if not message.metadata.run.fragment_ids:
                self.widgets.clear()
                self._quiet()
        elif kind == "navigation":
            for page in message.navigation.app_pages:
                name = "" if page.is_default else page.url_pathname
                self._pages[name] = page.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "delta":
            self._draw(message)
        elif kind == "auto_rerun":
            self._repeat(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._quiet(fragment)
        elif kind == "page_not_found":
            self.wrong.append(f"no such page: {self._page}")
        elif kind == "script_finished":
            self._finished(message.script_finished)
        elif kind == "session_event" and message.session_event.script_compilation_exception.message:
            self.wrong.append(message.session_event.script_compilation_exception.message)

    def _known(self, reference: ForwardMsg) -> ForwardMsg:
        message = ForwardMsg()
        if reference.ref_hash in self._messages:
            message.CopyFrom(self._messages[reference.ref_hash])
            message.metadata.CopyFrom(reference.metadata)
        else:
            self.wrong.append("the server left out a message that this tab does not have")
        return message

    def _draw(self, message: ForwardMsg) -> None:
        delta = message.delta
        if delta.WhichOneof("type") != "new_element":
            return
        kind = delta.new_element.WhichOneof("type")
        element = getattr(delta.new_element, kind) if kind else None
        if kind == "exception":
            self.wrong.append(f"{element.type}: {element.message}")
        elif kind == "alert" and element.format == Alert.ERROR:
            self.wrong.append(element.body)
        elif getattr(element, "id", "") and hasattr(element, "label"):
            self.widgets[kind, element.label] = (element, delta.fragment_id)
            if getattr(element, "set_value", False):
                self._values.pop(element.id, None)

    def _finished(self, status: int) -> None:
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.wrong.append("the script could not be compiled")
        if status != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self.views += 1
            self._ended.set()

    def _repeat(self, fragment: str, seconds: float) -> None:
        self._quiet(fragment)

        async def again() -> None:
            while True:
                await asyncio.sleep(seconds)
                with contextlib.suppress(Exception):
                    await self._send(fragment, again=True)

        self._again[fragment] = asyncio.create_task(again())

    def _quiet(self, fragment: str | None = None) -> None:
        for name in [fragment] if fragment is not None else list(self._again):
            if (task := self._again.pop(name, None)) is not None:
                task.cancel()
