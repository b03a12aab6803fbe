"""Slides and sheets of answers: whole, without solutions on a slide, alone in a browser."""

import contextlib
import functools
import os
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import browser
from tests.test_site import extension
from workbench.teaching import sheets
from workbench.teaching.execution import LESSONS
from workbench.teaching.exercises import EXERCISES

pytest.importorskip("nbconvert", reason="the extra `lab` is not installed")
pytest.importorskip("sphinx", reason="the extra `docs` is not installed")


def elsewhere(page):
    return extension("offline").fetched_elsewhere(page)


def test_every_exercise_has_its_answer(tmp_path):
    told = set()
    for name in LESSONS:
        page = sheets.answers(name, tmp_path).read_text()
        told |= set(re.findall(r"Exercise (\d\.\d): ", page))
        assert page.count("Solution:") == len(set(re.findall(r"Exercise (\d\.\d): ", page)))
        assert elsewhere(page) == []
    assert told == set(EXERCISES)
    assert (tmp_path / "mathjax" / "tex-chtml.js").exists()


def test_an_unknown_lesson_is_named(tmp_path):
    with pytest.raises(ValueError, match="Choose from 1_tasks_and_data"):
        sheets.answers("9_magic", tmp_path)


@contextlib.contextmanager
def served(folder):
    """Serve a folder on a free port; yields its address."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_slides_are_turned_by_keys_and_hold_no_solution(tmp_path):
    env = {**os.environ, "WORKBENCH_QUICK": "1", "WORKBENCH_RUNS": str(tmp_path / "runs")}
    path = sheets.slides("1_tasks_and_data", tmp_path, env)
    text = path.read_text()
    assert "Solution of exercise" not in text
    assert elsewhere(text) == []
    assert path.stat().st_size < 3e6
    with served(tmp_path) as url, browser.opened() as page:
        page.goto(f"{url}/{path.name}")
        now = page.locator("section.now")
        now.get_by_role("heading", name="Lesson 1: Tasks and data").wait_for()
        page.keyboard.press("ArrowRight")
        now.get_by_role("heading", name="The whole system").wait_for()
        now.locator(".main-svg").first.wait_for()
        assert now.locator(".figure").bounding_box()["width"] > 600
        page.keyboard.press("End")
        now.get_by_role("heading", name="What to try next").wait_for()
        page.get_by_role("button", name="Previous slide").click()
        assert now.get_by_role("heading", name="What to try next").count() == 0
