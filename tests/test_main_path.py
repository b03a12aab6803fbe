"""The main path in a real browser: a shared link, the player, a tuning, stop, a video."""

import time
from pathlib import Path

import browser
import pytest

ROOT = Path(__file__).parents[1]


def test_a_visitor_tunes_a_prompt(tmp_path):
    expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
    (tmp_path / "app.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + (ROOT / "app.py").read_text()
    )
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        # A shared link sets the controls; what is not asked for stays at its default.
        task = "cheetah-vel-task=run+at+1.2+m%2Fs"
        page.goto(f"{url}/?{task}&quality=random&lam=3&projected=false&seed=5")
        page.get_by_text("Recorded run").first.wait_for(timeout=40_000)
        bar = page.get_by_test_id("stSidebarUserContent")
        robot, asked = (bar.get_by_role("combobox").nth(i) for i in (0, 1))
        expect(robot).to_have_value("Cheetah-vel", timeout=20_000)
        expect(asked).to_have_value("run at 1.2 m/s", timeout=20_000)
        expect(bar.get_by_role("spinbutton", name="Seed")).to_have_value("5", timeout=20_000)
        assert "lam=3" in page.url

        # The recorded run plays: the chain first, then the robots.
        page.wait_for_selector(".pdw-play", timeout=20_000)
        assert page.locator("canvas").count() >= 3

        # Tune: the model is cached by now, so a live figure follows within seconds.
        began = time.monotonic()
        bar.get_by_role("button", name="Tune", exact=True).click()
        page.get_by_text("before any update").first.wait_for(timeout=20_000)
        assert time.monotonic() - began < 10
        page.get_by_text("Tuning: update").first.wait_for(timeout=90_000)

        # Stop keeps what was done.
        bar.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_text("Stopped after").first.wait_for(timeout=20_000)
        expect(bar.get_by_role("button", name="Tune", exact=True)).to_be_enabled(timeout=20_000)

        # A choice is in the address, so that it can be shared.
        bar.get_by_text("expert", exact=True).click()
        page.wait_for_url("**quality=expert**", timeout=10_000)
