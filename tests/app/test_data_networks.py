"""The networks of one's own family on the page Data: offered, made, stopped, and done."""

import sys
import time

import pytest
from streamlit.testing.v1 import AppTest

from tests.tasks.test_plugins import FAMILY
from workbench.app import data_networks, sharing
from workbench.app.jobs import QUEUE
from workbench.shipped import assets
from workbench.tasks import find
from workbench.upkeep.recipes import recipe


def script():
    import streamlit as st

    from workbench.app import explore
    from workbench.app.data_networks import show_networks

    show_networks(st.Page(explore.page))


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Return fake(then): an interpreter that does what it is told in place of a step."""

    def fake(then):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{then}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return fake


@pytest.fixture
def page(plugged, shipped, tmp_path, monkeypatch):
    """The part of the page with one family of a plug-in, of which nothing is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data_networks, "_BEGUN", {})
    plugged(FAMILY)
    yield AppTest.from_function(script, default_timeout=30)
    for begun in data_networks._BEGUN.values():
        begun.making.end()
        QUEUE.stop(begun.entry.key)
        begun.entry.job.wait(10)


def until(page, true):
    end = time.monotonic() + 30
    while not true(page):
        assert time.monotonic() < end
        time.sleep(0.1)
        page.run()
    assert not page.exception


def texts(page):
    kinds = (page.markdown, page.caption, page.info, page.success, page.error)
    return "\n".join(item.value for kind in kinds for item in kind)


def test_what_lacks_is_offered_with_its_time_and_the_command(page):
    page.run()
    assert not page.exception
    assert "behaviour policies, training data, few-shot sets, transformer" in texts(page)
    assert "minutes on one core" in texts(page)
    assert "reproduce-assets mine" in texts(page)
    assert page.button(key="make-mine").label == "Make its networks"
    assert page.button(key="make-mine").help


def test_it_is_made_watched_and_stopped_and_goes_on(page, python, tmp_path):
    python("mkdir -p build/behaviour/mine-0; printf '\\r 50%%|##\\r\\r' >&2; exec sleep 60")
    page.run().button(key="make-mine").click().run()
    until(page, lambda page: data_networks._BEGUN["mine"].making.share > 0)
    assert QUEUE.running[-1].label == "The networks of mine"
    assert [b.key for b in page.button] == ["stop-making-mine"]
    page.button(key="stop-making-mine").click().run()
    assert not page.error, "to be stopped is no failure"
    assert page.button(key="make-mine").label == "Go on"
    assert data_networks._BEGUN["mine"].entry.job.wait(10)
    python("echo 'no more room' >&2; exit 1")
    page.button(key="make-mine").click().run()
    until(page, lambda page: page.error)
    assert "behaviour failed: no more room" in page.error[0].value.replace("\\", "")
    assert page.button(key="make-mine").label == "Go on"


def test_when_all_is_there_the_page_leads_on(page, python):
    files = [n for v in ("behaviour", "demos", "pretrain", "diffuser", "informed")
             for n in recipe(find("mine"), v, {}).files]  # fmt: skip
    home = assets.home_of("mine")
    python(f"cd {home} 2>/dev/null || mkdir -p {home}; cd {home}; mkdir -p mine/demos; touch " +
           " ".join(files))  # fmt: skip
    page.run().button(key="make-mine").click().run()
    until(page, lambda page: page.success)
    assert "has its networks" in page.success[0].value
    assert not page.button


def test_on_a_shared_server_nobody_is_offered_it(page, monkeypatch):
    monkeypatch.setenv(sharing.KEY, "a-key-of-a-class")
    assert texts(page.run()) == ""
    assert not page.button
