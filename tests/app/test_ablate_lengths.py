"""The part of the page Ablate that shows other lengths, of the runs that ship."""

from streamlit.testing.v1 import AppTest

from workbench.app.known_runs import known_runs
from workbench.paper.lengths import assemble


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
    captions = [c.value for c in page.caption]
    table = assemble(known_runs().runs)
    for axis, value in (("N", 50), ("K*", 2)):
        cell = table.query("axis == @axis and value == @value and quality == 'expert'")
        lacking = cell.set_index("method")["seeds"]["Prompt Diffuser"] == 0
        assert (f"Not run: Prompt Diffuser, {axis} = {value}." in captions) == lacking
    assert not any("Not run: Prompt-DT" in c for c in captions)
    assert "Other lengths were run on Cheetah-vel only" in page.caption[-1].value
