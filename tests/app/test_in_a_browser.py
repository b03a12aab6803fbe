"""The other pages in a real browser: a sweep, clicks on cells and claims, files bad and good."""

import shutil
import time
from pathlib import Path

import pytest

from tests import browser
from tests.app.test_main_path import ROOT
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import find


@pytest.fixture
def site(tmp_path):
    """The app, served over an empty folder of runs; yields its address and a browser's page."""
    lines = (ROOT / "app.py").read_text()
    (tmp_path / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        yield url, page


def go_to(page, name):
    """Open a page by its name at the top: the address of a lower page logs missing files."""
    page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click(timeout=120_000)


def test_a_sweep_begins_and_stops_and_a_cell_is_clicked(site, tmp_path):
    url, page = site
    page.goto(url)
    go_to(page, "Ablate")
    # the grid of Cheetah-vel ships whole; of Ant-dir expert data were not run
    page.get_by_test_id("stSidebar").get_by_role("combobox").first.click()
    page.get_by_role("option", name="Ant-dir").click()
    page.get_by_test_id("stSidebar").get_by_text("expert", exact=True).click()
    page.get_by_text("of this grid are missing").wait_for(timeout=60_000)
    page.get_by_role("button", name="Run the missing").click()
    page.get_by_text("The ablation:").first.wait_for(timeout=60_000)
    go_to(page, "Data")
    page.get_by_text("The data behind a prompt").wait_for(timeout=60_000)
    go_to(page, "Ablate")  # the sweep is the process's, not the page's
    page.get_by_text("The ablation:").first.wait_for(timeout=60_000)
    page.get_by_test_id("stButton").get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped").first.wait_for(timeout=60_000)
    page.get_by_text("of this grid are missing").wait_for(timeout=60_000)
    made = RunStore(tmp_path / "runs").ids()
    time.sleep(5)
    assert RunStore(tmp_path / "runs").ids() == made, "what was stopped has ended"
    page.locator(".js-plotly-plot text", has_text="none: plain sum").first.wait_for()
    cell = page.locator(".js-plotly-plot .scatterlayer text").first.bounding_box()
    page.mouse.click(cell["x"] + cell["width"] / 2, cell["y"] + cell["height"] / 2)
    page.wait_for_url("**projection=none*", timeout=30_000)


def test_a_bad_file_is_refused_in_words(site, tmp_path):
    url, page = site
    page.goto(url)
    go_to(page, "Data")
    page.get_by_role("tab", name="Bring your own").click(timeout=60_000)
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(b"\x80\x04K\x01.")
    page.locator('input[type="file"]').set_input_files(Path(bad))
    page.get_by_text("Refused: bad.pkl").wait_for(timeout=60_000)
    page.get_by_text("Nothing was kept").wait_for()
    assert page.get_by_role("button", name="Save").count() == 0
    assert "tab=Bring" in page.url
    assert not (tmp_path / "data").exists()


def test_a_good_file_is_kept_tuned_on_deleted_and_taken_back(site, tmp_path):
    url, page = site
    good = tmp_path / "mine.safetensors"
    shutil.copy(assets.demos_path(find("cheetah-vel").task(2), "medium"), good)
    page.goto(url)
    go_to(page, "Data")
    page.get_by_role("tab", name="Bring your own").click(timeout=60_000)
    page.locator('input[type="file"]').set_input_files(good)
    page.get_by_text("Accepted: mine.safetensors").wait_for(timeout=60_000)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Kept as").wait_for(timeout=60_000)
    (kept,) = (tmp_path / "data").rglob("*.safetensors")
    page.get_by_role("button", name="Tune a prompt on it").click()
    page.wait_for_url("**data=own%3Amine**", timeout=60_000)
    page.get_by_text("Not run yet").first.wait_for(timeout=60_000)
    go_to(page, "Data")
    page.get_by_role("tab", name="What there is").click(timeout=60_000)
    page.get_by_role("button", name="Delete", exact=True).click(timeout=60_000)
    page.get_by_text("Deleted: own:mine").wait_for(timeout=60_000)
    assert not kept.exists()
    page.get_by_role("button", name="Undo", exact=True).click()
    page.get_by_role("button", name="Tune on it").wait_for(timeout=60_000)
    assert kept.exists()


def test_a_claim_is_clicked_and_stays_in_the_link(site):
    url, page = site
    page.goto(url)
    go_to(page, "Compare")
    page.get_by_test_id("stSidebarUserContent").get_by_text("Claims").click(timeout=60_000)
    page.get_by_text("What the paper claims").wait_for(timeout=60_000)
    table = page.get_by_test_id("stDataFrame").first.locator("canvas").first
    table.wait_for(timeout=60_000)
    page.get_by_text("Compared: ").wait_for(timeout=60_000)
    at = table.bounding_box()
    page.mouse.click(at["x"] + 300, at["y"] + 38 + 35 * 1.5)  # the words of the second line
    page.wait_for_url("**claim=Prompt+Diffuser+beats+Soft+Prompt*", timeout=60_000)
    page.get_by_text("against Soft Prompt").first.wait_for(timeout=60_000)
