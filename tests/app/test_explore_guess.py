"""Guess first, the tour and the mode for a class, by AppTest on the first page."""

from streamlit.testing.v1 import AppTest

from workbench.app.explore_present import IDEAS
from workbench.app.explore_tour import STEPS
from workbench.app.serving import SCRIPT


def opened(**link):
    app = AppTest.from_file(str(SCRIPT), default_timeout=120)
    for name, value in link.items():
        app.query_params[name.replace("_", "-")] = value
    return app.run()


def words(app):
    return " ".join(m.value for m in app.markdown)


def test_a_guess_comes_before_the_numbers():
    app = opened(guess_first="true")
    assert not app.exception
    assert not app.metric, "nothing is given away"
    assert "earns more than" not in words(app)
    (asked,) = [g for g in app.button_group if g.label.startswith("Over the same")]
    asked.set_value("A").run()
    assert "You guessed *A*: no, B earns more." in words(app)
    assert len(app.metric) == 4
    (asked,) = [g for g in app.button_group if g.label.startswith("Over the same")]
    asked.set_value("B").run()
    assert "**right.**" in words(app)


def test_the_tour_goes_through_its_steps_and_ends():
    app = opened()
    app.button(key="tour-begin").click().run()
    for number, (title, *_) in enumerate(STEPS, 1):
        assert not app.exception
        assert f"**{number} of {len(STEPS)} · {title}.**" in words(app)
        app.button(key="tour-next").click().run()
    assert "of 5 ·" not in words(app)
    assert "tour" not in app.query_params
    assert "of 5 ·" not in words(opened(tour="77"))


def test_a_class_sees_one_idea_at_a_time():
    app = opened(present="1")
    for number in range(1, len(IDEAS) + 1):
        assert not app.exception
        assert not app.error
        assert f"{number} of {len(IDEAS)}" in words(app)
        assert len(app.title) == 1
        if number < len(IDEAS):
            app.button(key="present-next").click().run()
    assert app.button(key="present-next").disabled
    app.button(key="present-end").click().run()
    assert not app.title
    assert "present" not in app.query_params
