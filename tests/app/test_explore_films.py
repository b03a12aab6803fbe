"""Films on Explore, by Streamlit's AppTest: made by a job, one at a time, in turn on a class."""

import importlib
import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from workbench.app import explore_films, jobs, sharing
from workbench.app.serving import SCRIPT
from workbench.runs.jobs import JobQueue
from workbench.viewing.scene import clips, render


@pytest.fixture
def queue(monkeypatch):
    made = JobQueue(1)
    monkeypatch.setattr(explore_films, "FILMS", made)
    yield made
    for entry in [*made.waiting, *made.running]:
        made.stop(entry.key)


@pytest.fixture
def drawn(monkeypatch):
    """Let a picture be ready, and the film only once the test says so; counts the films begun."""
    go, begun = threading.Event(), []

    def film_of(trajectory, *, progress):
        begun.append(trajectory)
        progress(0.5)
        assert go.wait(60)
        return b"film"

    monkeypatch.setattr(render, "film_of", film_of)
    monkeypatch.setattr(clips, "beside", lambda films, labels: b"+".join(films))
    monkeypatch.setattr(clips, "gif", lambda film, width: b"gif")
    go.begun = begun
    return go


def opened():
    test = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert not test.exception
    return test


def press(app, key):
    return app.button(key=key).click().run()


def until(app, condition):
    """Rerun the page until it shows what is asked for; `run_every` does not fire by itself."""
    end = time.monotonic() + 120
    while not condition(app.run()):
        assert time.monotonic() < end
        time.sleep(0.1)


def downloads(app):
    return [b.proto.label.partition(" (")[0] for b in app.get("download_button")]


def at_half(app):
    """Whether the first of two columns is half drawn."""
    return any(p.proto.value == 22 for p in app.get("progress"))


def test_a_film_is_made_behind_the_page(queue, drawn):
    app = opened()
    press(app, "render")
    until(app, at_half)
    assert app.button(key="render").disabled
    assert "Download mp4" not in downloads(app)
    drawn.set()
    until(app, lambda a: "Download mp4" in downloads(a))
    assert "Download GIF" in downloads(app)
    assert not app.exception
    assert len(drawn.begun) == 2, "both columns, each once"


def test_two_who_ask_for_the_same_film_get_one(queue, drawn):
    first, second = opened(), opened()
    press(first, "render")
    until(first, at_half)
    drawn.set()
    until(first, lambda a: "Download mp4" in downloads(a))
    until(second, lambda a: "Download mp4" in downloads(a))
    assert len(drawn.begun) == 2


def test_a_film_waits_for_its_turn_and_can_be_cancelled(queue, drawn):
    busy = threading.Event()
    queue.submit("tuning", "a tuning", lambda: iter(lambda: busy.wait(60), True), watched=False)
    app = opened()
    press(app, "render")
    assert any("number 1 in the queue" in info.value for info in app.info)
    press(app, "cancel-film")
    assert not any("in the queue" in info.value for info in app.info)
    assert not app.button(key="render").disabled
    press(app, "render")
    busy.set()
    drawn.set()
    until(app, lambda a: "Download mp4" in downloads(a))


def test_what_cannot_be_drawn_is_words_on_the_page(queue, drawn, monkeypatch):
    def fail(trajectory, *, progress):
        raise RuntimeError("No renderer could draw this episode.")

    monkeypatch.setattr(render, "film_of", fail)
    app = opened()
    press(app, "render")
    until(app, lambda a: any("No renderer could draw" in e.value for e in a.error))
    assert not app.button(key="render").disabled, "it can be tried again"


def test_films_share_the_tunings_queue_where_the_machine_is_shared(monkeypatch):
    assert explore_films.FILMS is not jobs.QUEUE
    try:
        with monkeypatch.context() as shared:
            shared.setenv(sharing.KEY, "a-key-of-a-class")
            assert importlib.reload(explore_films).FILMS is jobs.QUEUE
    finally:
        importlib.reload(explore_films)
