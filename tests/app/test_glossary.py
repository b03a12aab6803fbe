"""The glossary: every link leads to a term, and a search finds one."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import workbench
from workbench.app.glossary import TERMS, anchor, linked

APP = Path(workbench.__file__).parent / "app"


def page():
    from workbench.app import glossary

    glossary.page()


def test_every_term_has_a_place_of_its_own():
    places = [anchor(term) for term in TERMS]
    assert len(set(places)) == len(places)
    assert anchor("standard deviation (sd)") == "standard-deviation-sd"


def test_every_link_on_a_page_names_a_term():
    named = [
        n for path in APP.glob("*.py") for n in re.findall(r"linked\('([^']+)'", path.read_text())
    ]
    assert len(named) >= 3
    assert set(named) <= set(TERMS)
    assert linked("prompt") == "[prompt](./glossary#prompt)"
    with pytest.raises(AssertionError):
        linked("no such word")


def test_a_search_keeps_the_terms_that_have_its_letters():
    app = AppTest.from_function(page, default_timeout=60).run()
    assert len(app.subheader) == len(TERMS)
    app.text_input(key="glossary-find").set_value("Eq. 8").run()
    assert [s.value for s in app.subheader] == ["projection"]
    app.text_input(key="glossary-find").set_value("zzz").run()
    assert not app.exception
    assert len(app.subheader) == 0
    assert len(app.info) == 1
