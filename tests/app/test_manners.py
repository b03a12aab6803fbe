"""What only the browser can do: a tablet's sidebar is folded, a view is turned by hand."""

import pytest

from tests import browser
from tests.app.test_main_path import ROOT


@pytest.fixture
def site(tmp_path):
    """The app, served over an empty folder of runs; yields its address and a browser's page."""
    lines = (ROOT / "app.py").read_text()
    (tmp_path / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        page.set_default_timeout(90_000)
        page.emulate_media(reduced_motion="reduce")
        yield url, page


def test_a_tablet_sees_the_robots_first_and_turns_them(site):
    url, page = site
    page.set_viewport_size({"width": 820, "height": 1180})
    page.goto(url)
    robot = page.locator(".pdw-replay canvas").first
    robot.wait_for()
    page.wait_for_selector("[data-testid=stSidebar][aria-expanded=true]", state="hidden")
    page.wait_for_timeout(3_000)
    box = robot.bounding_box()
    assert box["y"] + box["height"] < 1180, "a robot is on the first screen"

    # Dragging turns the view of both robots.
    def picture(number):
        return page.locator(".pdw-replay canvas").nth(number).evaluate("c => c.toDataURL()")

    before = [picture(0), picture(1)]
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y + 10, steps=4)
    page.mouse.up()
    page.wait_for_timeout(400)
    assert picture(0) != before[0]
    assert picture(1) != before[1]

    # A double click looks straight again, to the very same picture.
    robot.dblclick()
    page.wait_for_timeout(400)
    assert [picture(0), picture(1)] == before

    # A key does the same; the wheel zooms where nothing can be scrolled, on the full screen.
    page.locator(".pdw").first.focus()
    page.keyboard.press("]")
    page.wait_for_timeout(400)
    assert picture(0) != before[0]
    page.keyboard.press("0")
    page.wait_for_timeout(400)
    assert picture(0) == before[0]
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement !== null")
    page.wait_for_timeout(600)
    large = robot.bounding_box()
    assert large["width"] * large["height"] > 1.2 * box["width"] * box["height"]
    whole = picture(0)
    page.mouse.move(large["x"] + large["width"] / 2, large["y"] + large["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(400)
    assert picture(0) != whole
