"""Five questions of a new user, answered by the pages alone, the way that docs/guide.md says."""

import shutil

from tests import browser
from tests.app.test_main_path import ROOT, SLOW
from workbench.shipped import assets
from workbench.tasks import find


def test_the_pages_answer_them(tmp_path):
    lines = (ROOT / "app.py").read_text()
    (tmp_path / "app.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{lines}")
    mine = tmp_path / "mine.safetensors"
    shutil.copy(assets.demos_path(find("cheetah-vel").task(7), "medium"), mine)
    with browser.served(tmp_path / "app.py", tmp_path) as url, browser.opened() as page:
        page.set_default_timeout(SLOW)
        page.emulate_media(reduced_motion="reduce")
        bar, main = (page.get_by_test_id(f"st{n}") for n in ("SidebarUserContent", "Main"))

        def go_to(name):
            page.get_by_test_id("stTopNavLink").filter(has_text=name).first.click()

        # What is a prompt?
        page.goto(url)
        page.locator(".pdw-stage", has_text="Prompt").first.click()
        page.get_by_text("A short piece of an episode").first.wait_for()

        # Does projection help on bad data? Which setting is best?
        go_to("Ablate")
        page.get_by_role("heading", name="How much λ").wait_for()
        bar.get_by_role("radio", name="random").click()
        said = main.locator(".st-key-answers li")
        said.filter(has_text="From random data projecting").first.wait_for()
        best = said.filter(has_text="The best cell from random data is λ =").first
        best.wait_for()
        assert "[" in best.inner_text(), "with its interval"

        # ... and the link beside the answer opens it again, in the words of the address
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy link").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        assert link.startswith(f"{url}/ablate?")
        assert "data=random" in link

        # Is my file all right? It is of another task than the page shows, and leads there.
        go_to("Data")
        page.get_by_role("heading", name="The data behind").wait_for()
        page.get_by_role("tab", name="Bring your own").click()
        page.locator("input[type=file]").set_input_files(mine)
        page.get_by_text("Accepted: mine.safetensors").wait_for()
        page.get_by_role("button", name="Show its task").click()
        page.wait_for_url("**cheetah-vel-task=run+at+0.6+m%2Fs**")

        # Every episode, one after another.
        page.get_by_role("tab", name="What there is").click()
        page.get_by_text("one by one", exact=True).click()
        page.get_by_text("episode 1 of 5 of its file").wait_for()
        page.get_by_role("button", name="Next", exact=True).click()
        page.get_by_text("episode 2 of 5 of its file").wait_for()
        page.get_by_text("worst first", exact=True).click()
        page.get_by_text("random, episode").first.wait_for()

        # Ablate finds its own choice again: data of one page are not those of another.
        go_to("Ablate")
        said.filter(has_text="From random data projecting").first.wait_for()

        # How do I cite this?
        go_to("Report")
        page.get_by_text("@article{hu2024prompt").wait_for()
