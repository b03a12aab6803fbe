"""Who is let in, what a browser is told, and what a class may do on a shared server."""

import json
import os
import socket
import threading
import urllib.error
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit.testing.v1 import AppTest

from tests import browser
from tests.app.test_data import bring, texts
from tests.app.test_data import script as data_page
from tests.app.test_serving import ROOT
from tests.exchange.test_received import as_pickle
from workbench.app import data, jobs, sharing
from workbench.app.sharing import COOKIE, HEADERS, KEY, Gate
from workbench.commands import app as verb
from workbench.data import own_sets
from workbench.networks.fast.memory import LITTLE_MEMORY
from workbench.runs.jobs import JobQueue


async def answered(request):
    return PlainTextResponse("the pages")


async def connected(socket):
    await socket.accept()
    await socket.send_text("the pages")
    await socket.close()


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def client(clock):
    """Return what makes a client at an address, all of one server."""
    gate = [Middleware(Gate, clock=lambda: clock[0])]
    routes = [Route("/{path:path}", answered, methods=["GET", "POST"])]
    routes.insert(0, WebSocketRoute("/stream", connected))
    server = Starlette(routes=routes, middleware=gate)
    return lambda host="10.0.0.7": TestClient(server, client=(host, 50000), follow_redirects=False)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY, "correct horse")
    return "correct horse"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.4.5.6", "::1", "localhost"])
def test_this_machine_needs_no_key(client, host, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    assert client(host).get("/runs").text == "the pages"


@pytest.mark.parametrize("host", ["10.0.0.7", "192.168.1.2", "fe80::1%eth0", "example.org", ""])
def test_without_a_key_nothing_but_this_machine_is_answered(client, host, monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    for path in ("/", "/_stcore/health", "/static/js/a.js", "/media/a"):
        answer = client(host).get(path)
        assert (answer.status_code, "the pages" in answer.text) == (403, False)
    with pytest.raises(WebSocketDisconnect), client(host).websocket_connect("/stream"):
        pass


def test_whoever_gives_the_key_is_let_in(client, key):
    visitor = client()
    asked = visitor.get("/runs")
    assert asked.status_code == 401
    assert 'type="password"' in asked.text
    assert key not in asked.text
    let_in = visitor.post("/runs", data={"key": key})
    assert (let_in.status_code, let_in.headers["location"]) == (303, "./")
    cookie = let_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert key not in cookie
    assert visitor.get("/runs").text == "the pages"
    with visitor.websocket_connect("/stream") as socket:
        assert socket.receive_text() == "the pages"


def test_others_are_not(client, key):
    for wrong in ({"key": "wrong"}, {"key": ""}, {}, {"key": "é" * 9000}, {"other": key}):
        assert client().post("/", data=wrong).status_code == 401
    assert client("127.0.0.1").get("/").status_code == 401, "a proxy is of this machine too"
    assert client().get(sharing.HEALTH).status_code == 200
    assert client().get(f"/runs{sharing.HEALTH}").status_code == 401
    forged = client()
    forged.cookies.set(COOKIE, "0" * 64)
    assert forged.get("/").status_code == 401
    assert client().get(f"/?key={key}").status_code == 401, "a link is kept in histories and logs"
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/stream"):
        pass


def test_guessing_is_slowed_down(client, key, clock):
    for _ in range(sharing.TRIES):
        assert client("10.0.0.9").post("/", data={"key": "guess"}).status_code == 401
    assert client("10.0.0.9").post("/", data={"key": key}).status_code == 429
    assert client("10.0.0.8").post("/", data={"key": key}).status_code == 303, "others go on"
    clock[0] += sharing.MINUTE + 1
    assert client("10.0.0.9").post("/", data={"key": key}).status_code == 303


def test_every_answer_has_the_headers(client, key):
    for answer in (client().get("/"), client().post("/", data={"key": key})):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value


# --- the verb -----------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch, capfd):
    """Start the verb, and return what it prints and the environment of the server."""
    monkeypatch.setattr(os, "dup2", lambda a, b: None)
    for name in (KEY, *LITTLE_MEMORY):  # so that what the verb sets here is undone
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    words = []
    monkeypatch.setattr(os, "execv", lambda program, line: words.append(line))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(**flags):
        verb.app(port=port, as_json=True, **flags)
        return json.loads(capfd.readouterr().out), words[-1], os.environ.get(KEY)

    return start


def test_share_prints_a_key_that_no_list_of_processes_shows(started):
    first, words, key = started(share=True)
    assert first["key"] == key
    assert len(key) >= 12
    assert key not in " ".join(words)
    assert words[words.index("--server.address") + 1] == "0.0.0.0"
    assert started(share=True)[2] != key, "a new one each time"
    alone, words, none = started()
    assert none is None
    assert words[words.index("--server.address") + 1] == "127.0.0.1"
    assert "key" not in alone


@pytest.mark.parametrize("name", LITTLE_MEMORY)
def test_a_shared_server_takes_little_memory_unless_told_otherwise(started, monkeypatch, name):
    started()
    assert name not in os.environ
    started(share=True)
    assert os.environ[name] == LITTLE_MEMORY[name]
    monkeypatch.setenv(name, "of the user")
    started(share=True)
    assert os.environ[name] == "of the user"


def test_the_network_is_for_those_who_ask_for_it(started, tmp_path):
    for flags, words in [
        ({"address": "0.0.0.0"}, "add `--share`"),
        ({"password_file": tmp_path / "a"}, "add `--share`"),
    ]:
        with pytest.raises(ValueError, match=words):
            started(**flags)
    path = tmp_path / "key"
    path.write_text("short\n")
    with pytest.raises(ValueError, match="8 characters"):
        started(share=True, password_file=path)
    path.write_text("long enough\nmore\n")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="Others may read"):
        started(share=True, password_file=path)
    path.chmod(0o600)
    said, _, key = started(share=True, password_file=path)
    assert key == "long enough"
    assert "key" not in said


# --- what a class may do ------------------------------------------------------------------


def test_a_shared_server_keeps_a_core_for_its_pages(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert sharing.jobs_at_a_time(2) == 2
    monkeypatch.setenv(KEY, "correct horse")
    for cores, most in ((None, 1), (1, 1), (2, 1), (3, 2), (16, 2)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert sharing.jobs_at_a_time(2) == most


def test_owners_take_turns_and_have_few_jobs_each():
    queue, go = JobQueue(1), threading.Event()

    def work():
        yield go.wait(10)

    for name in ("a1", "a2", "a3"):
        queue.submit(name, name, work, owner="a", each=3)
    queue.submit("b1", "b1", work, owner="b", each=3)
    queue.submit("n", "n", work)
    assert [entry.key for entry in queue.running] == ["a1"]
    assert [entry.key for entry in queue.waiting] == ["b1", "n", "a2", "a3"]
    assert queue.place("b1") == 1
    with pytest.raises(ValueError, match=r"You have 3 jobs.*Stop one"):
        queue.submit("a4", "a4", work, owner="a", each=3)
    assert queue.submit("a2", "a2", work, owner="a", each=3).key == "a2", "the one that is there"
    go.set()


def test_jobs_are_nobodys_where_nothing_is_shared(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    assert jobs.mine() == {}


def test_nothing_is_kept_or_deleted_on_a_shared_server(
    shipped, toy, demos, tmp_path, monkeypatch, key
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_sets, "FOLDER", tmp_path / "own")
    monkeypatch.setattr(data, "show_replays", lambda task, names: None)
    own_sets.save("theirs", demos)
    page = AppTest.from_function(data_page, default_timeout=60).run()
    bring(page, as_pickle(tmp_path / "a.pkl", demos))
    assert "Accepted" in texts(page)
    assert "not kept" in texts(page)
    assert not [b for b in page.button if b.key and b.key.startswith(("save", "delete", "undo"))]


# --- the server itself --------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    lines = (ROOT / "app.py").read_text()
    (folder / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    with browser.served(folder / "app.py", folder) as address:
        yield address


def test_the_pages_carry_the_headers(url):
    for path in ("/", "/runs", "/_stcore/health"):
        with urllib.request.urlopen(url + path) as answer:
            for name, value in HEADERS.items():
                assert answer.headers[name] == value


def test_an_upload_from_another_page_is_refused(url):
    request = urllib.request.Request(
        f"{url}/_stcore/upload_file/session/file",
        data=b"x" * 100,
        method="PUT",
        headers={"Origin": "http://example.org", "Content-Type": "application/octet-stream"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code in (400, 401, 403)
