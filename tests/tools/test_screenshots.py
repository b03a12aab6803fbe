"""The pictures of the documentation are what a browser shows."""

import importlib.util
import json
import shutil
import sys

import pytest
from PIL import Image, ImageStat

from tools import screenshots


def test_the_name_says_page_width_and_theme():
    name = screenshots._name
    assert name("explore", 1440, "light", (1440, 1280)) == "explore"
    assert name("explore", 1440, "dark", (1440, 1280)) == "explore-dark"
    assert name("runs", 1280, "dark", (1440, 1280)) == "runs-1280-dark"


def test_without_a_browser_it_says_what_to_do(monkeypatch):
    pytest.importorskip("playwright", reason="playwright is not installed")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="There is no browser"):
        screenshots.screenshots()


def test_without_playwright_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "playwright", None)
    with pytest.raises(ModuleNotFoundError, match=r"\.\[e2e\]"):
        screenshots.screenshots()


def test_a_page_is_taken_in_both_themes(tmp_path, capsys):
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("there is no Chromium")
    screenshots.screenshots(tmp_path, (1280,), 700, ("data",), as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert [m["file"] for m in made] == [str(tmp_path / n) for n in ("data.png", "data-dark.png")]
    light, dark = (Image.open(m["file"]) for m in made)
    assert light.size == dark.size == (1280, 700)
    assert light.mode == "P", "a palette, so that the file is small"
    mean = [ImageStat.Stat(picture.convert("L")).mean[0] for picture in (light, dark)]
    assert mean[0] > 180
    assert mean[1] < 80
    assert len(light.convert("RGB").getcolors(1 << 20)) > 20, "something is on the page"
    with pytest.raises(ValueError, match="no page nothing: choose from explore, "):
        screenshots.screenshots(tmp_path, pages=("nothing",))
