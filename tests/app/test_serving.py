"""The server: loaded before it answers, Streamlit's files from memory, the first page's name."""

import sys
import urllib.request
from pathlib import Path

import pytest
from streamlit.file_util import get_static_dir

from tests import browser
from workbench.app import ablate, compare, data, explore, jobs, runs, serving, sharing
from workbench.app.families import first
from workbench.tasks import SHIPPED
from workbench.tuning.presets import Side

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    lines = (ROOT / "app.py").read_text()
    (folder / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    with browser.served(folder / "app.py", folder) as address:
        yield address


def test_what_visitors_wait_for_is_loaded_without_a_complaint(capsys):
    serving.prepare()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "ScriptRunContext" not in said


def test_a_shared_server_meets_every_robot_before_its_visitors(monkeypatch):
    met = []

    def meet(columns, model):
        met.append(columns[0].spec.family)

    monkeypatch.setattr(explore, "payload_of", meet)
    explore.prepare()
    assert met == [first().name]
    monkeypatch.setenv(sharing.KEY, "a-key-of-a-class")
    met.clear()
    explore.prepare()
    assert met == list(SHIPPED)


def test_a_shared_server_has_tuned_before_its_visitors(monkeypatch):
    tuned = []
    monkeypatch.setattr(jobs, "run", lambda spec: tuned.append(spec) or iter(()))
    serving.prepare()
    assert tuned == []
    monkeypatch.setenv(sharing.KEY, "a-key-of-a-class")
    serving.prepare()
    assert [(spec.family, spec.updates) for spec in tuned] == [(name, 1) for name in SHIPPED]
    assert {spec.method for spec in tuned} == {Side().method}


def test_a_tuning_gives_pages_the_interpreter_soon():
    before = sys.getswitchinterval()
    try:
        serving.prepare()
        assert sys.getswitchinterval() == pytest.approx(5e-4)
    finally:
        sys.setswitchinterval(before)


def test_what_cannot_be_loaded_is_left_to_its_page(monkeypatch, capsys):
    def broken():
        raise ValueError("the assets are gone")

    for page in (explore, compare, ablate, runs, data):
        monkeypatch.setattr(page, "prepare", broken)
    serving.prepare()
    assert "the assets are gone" in capsys.readouterr().err


def test_every_file_of_streamlit_is_answered_as_it_is(url):
    files = sorted(Path(get_static_dir()).glob("static/js/index.*.js"))
    assert files
    for path in files:
        with urllib.request.urlopen(f"{url}/static/js/{path.name}") as answer:
            assert answer.read() == path.read_bytes()
            assert "javascript" in answer.headers["content-type"]
            assert "immutable" in answer.headers["cache-control"]


def test_other_addresses_stay_streamlits(url):
    with urllib.request.urlopen(f"{url}/ablate") as answer:
        assert b"<html" in answer.read()
    with urllib.request.urlopen(f"{url}/static/js/nothing.js") as answer:
        assert "javascript" not in answer.headers["content-type"]


@pytest.mark.parametrize("name", ["explore", "explore/"])
def test_the_first_page_has_a_name_too_and_keeps_what_a_link_asks(url, name):
    with urllib.request.urlopen(f"{url}/{name}?b-lam=3&a-method=Soft+Prompt") as answer:
        assert answer.url == f"{url}/?b-lam=3&a-method=Soft+Prompt"
    with urllib.request.urlopen(f"{url}/{name}") as answer:
        assert answer.url == f"{url}/"
