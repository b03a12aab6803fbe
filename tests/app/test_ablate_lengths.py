"""The part of the page Ablate that shows other lengths, of the runs that ship."""

from streamlit.testing.v1 import AppTest


def script():
    from workbench.app import ablate_lengths
    from workbench.app.known_runs import known_runs

    ablate_lengths.show("cheetah-vel", "expert", known_runs())
    ablate_lengths.show("ant-dir", "expert", known_runs())


def test_figures_of_the_former_adaptation_say_so_and_other_robots_have_none():
    page = AppTest.from_function(script, default_timeout=120).run()
    assert not page.exception
    (warning,) = page.warning
    assert "not to be compared with the returns above" in warning.value
    assert "Other lengths were run on Cheetah-vel only" in page.caption[-1].value
