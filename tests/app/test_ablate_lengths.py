"""The part of the page Ablate that shows other lengths, of the runs that ship."""

from streamlit.testing.v1 import AppTest


def script():
    from workbench.app import ablate_lengths
    from workbench.app.known_runs import known_runs

    ablate_lengths.show("cheetah-vel", "expert", known_runs())
    ablate_lengths.show("ant-dir", "expert", known_runs())


def test_lengths_are_drawn_and_other_robots_have_none():
    page = AppTest.from_function(script, default_timeout=120).run()
    assert not page.exception
    assert not page.warning
    assert "as in the tables" in page.caption[0].value
    assert len(page.get("plotly_chart")) == 2
    assert "Other lengths were run on Cheetah-vel only" in page.caption[-1].value
