"""What axe finds on every page, in both themes: nothing serious."""

import shutil

import pytest

from tests import browser
from tests.app.test_main_path import ROOT, SLOW

PAGES = ("Explore", "Ablate", "Compare", "Runs", "Data", "Report", "Glossary")
BUSY = "[data-testid=stSkeleton], [data-testid=stStatusWidgetRunningIcon]"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(tmp_path, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe").Axe()
    shutil.copytree(ROOT / ".streamlit", tmp_path / ".streamlit")  # the colours
    lines = (ROOT / "app.py").read_text()
    (tmp_path / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        page.set_default_timeout(SLOW)
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.goto(url)
        for name in PAGES:
            page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click()
            page.wait_for_selector("h2")
            page.wait_for_timeout(1_500)
            page.wait_for_function(f"!document.querySelector('{BUSY}')")
            page.wait_for_timeout(1_500)
            found = axe.run(page).response["violations"]
            said = [
                f"{fault['id']}: {node['html'][:200]} {node['failureSummary']}"
                for fault in found
                if fault["impact"] in ("serious", "critical")
                for node in fault["nodes"]
            ]
            assert not said, f"{name}, {theme}: " + "\n".join(said)
