"""The main path in a real browser: a shared link, A | B, both sliders, a tuning, a reload, stop."""

import re
import time
from pathlib import Path

import pytest

from tests import browser

ROOT = Path(__file__).parents[2]
SLOW = 300_000  # ms: a busy machine


def move_to_start(slider):
    """Move a slider of the player to its left end and return how long its picture took, in s."""
    return slider.evaluate(
        """slider => new Promise(done => {
            const began = performance.now();
            slider.value = slider.min;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
            requestAnimationFrame(() => requestAnimationFrame(
                () => done((performance.now() - began) / 1000)));
        })"""
    )


def test_a_visitor_compares_two_ways_to_a_prompt(tmp_path):
    expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
    (tmp_path / "app.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + (ROOT / "app.py").read_text()
    )
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        page.set_default_timeout(SLOW)
        page.emulate_media(reduced_motion="reduce")  # nothing plays by itself
        # A shared link sets the controls; what is not asked for stays at its default.
        task = "cheetah-vel-task=run+at+1.2+m%2Fs"
        page.goto(f"{url}/?{task}&quality=expert&seed=5&a-method=Soft+Prompt&b-lam=3")
        bar, main = (page.get_by_test_id(f"st{n}") for n in ("SidebarUserContent", "Main"))
        robot, asked = (bar.get_by_role("combobox").nth(i) for i in (0, 1))
        expect(robot).to_have_value("Cheetah-vel", timeout=SLOW)
        expect(asked).to_have_value("run at 1.2 m/s", timeout=SLOW)
        expect(bar.get_by_role("spinbutton", name="Seed")).to_have_value("5", timeout=SLOW)
        expect(main.get_by_role("combobox").nth(0)).to_have_value("Soft Prompt", timeout=SLOW)
        assert "b-lam=3" in page.url
        icon = page.locator("link[rel*=icon]").first
        # a picture that the server kept would be gone once another run of the script begins
        expect(icon).to_have_attribute("href", re.compile("^data:image/png;base64,"))
        # It was never run: the prompts before any update are there all the same.
        main.get_by_text("Not run yet").first.wait_for()
        page.locator("[data-pdw=diffusion]").wait_for()

        # One click sets A and B, and the address says so.
        page.goto(url)
        main.get_by_text("Recorded run, shipped").first.wait_for()
        main.get_by_text("Projection off | on").click()
        page.wait_for_url("**a-projection=none**")
        main.get_by_text("Prompt Diffuser, projection off").first.wait_for()
        main.get_by_text("Difference B − A").wait_for()

        # Both sliders are drawn by the browser alone.
        line, step, updates = (
            page.locator(f"[data-pdw={name}]") for name in ("line", "step", "updates")
        )
        page.locator("[data-pdw=play]").wait_for()
        took = move_to_start(page.locator("[data-pdw=diffusion]"))
        expect(step).to_contain_text("pure noise")
        took = max(took, move_to_start(page.locator("[data-pdw=tuning]")))
        expect(updates).to_contain_text("no update")
        assert took < 3, "a tenth of it on an idle machine"

        # It plays.
        before = float(line.input_value())
        page.locator("[data-pdw=play]").click()
        expect(line).not_to_have_value(str(before), timeout=SLOW)

        # A tuning goes on while the page is reloaded, and stops when it is told to.
        page.goto(f"{url}/?seed=9&b-method=Prompt+Diffuser")
        tune, stop = (bar.get_by_role("button", name=n, exact=True) for n in ("Tune", "Stop"))
        main.get_by_text("Not run yet").first.wait_for()
        tune.click()
        runs = re.compile("Running the episodes before|Tuning: update")
        main.get_by_text(runs).first.wait_for()
        began = time.monotonic()
        page.reload()
        main.get_by_text(runs).first.wait_for()
        assert time.monotonic() - began < SLOW / 1000
        expect(tune).to_be_disabled()
        stop.click()
        main.get_by_text(re.compile("Stopped (after|before)")).first.wait_for()
        expect(tune).to_be_enabled(timeout=SLOW)

        # A link that asks for what there is not says so, and shows the usual.
        page.goto(f"{url}/?robot=Dog")
        main.get_by_text("The link asks for what is not offered here").wait_for()
        main.get_by_text("Recorded run, shipped").first.wait_for()
