"""The site: built without a warning, asking nobody for anything, with equations and figures drawn.

The lessons are not executed here; `make docs` does that, and `tests/teaching` runs them too.
"""

import functools
import http.server
import importlib.util
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import browser

WHY = "the extra `docs` is not installed: make install EXTRAS=collect,lab,dev,docs"
pytest.importorskip("sphinx", reason=WHY)
pytest.importorskip("myst_nb", reason=WHY)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def extension(name):
    """Return one of the site's own extensions as a module."""
    where = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"extensions/{name}.py")
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    flags = ["--quiet", "--nitpicky", "--fail-on-warning", "--keep-going"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *flags, "-d", out / "doctrees", DOCS, out / "html"],
        env={**os.environ, "WORKBENCH_DOCS_EXECUTE": "off"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_source_is_a_page_with_one_heading(site):
    names = [path.stem for path in DOCS.glob("*.md")]
    names += [f"lessons/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert len(names) > 15
    for name in names:
        html = (site / f"{name}.html").read_text(encoding="utf-8")
        assert len(re.findall(r"<h1>", html)) == 1, name


def test_no_page_and_no_style_fetches_anything_from_elsewhere(site):
    offline, found = extension("offline"), {}
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found[path.name] = offline.fetched_elsewhere(path.read_text(encoding="utf-8"))
    assert len(found) > 60
    assert {name: urls for name, urls in found.items() if urls} == {}


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/a.js"></script>',
        "<script async src=//cdn.example/a.js>",
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<link href="https://fonts.example" rel="preconnect">',
        '<img alt="x" src="http://example/a.png">',
        "@font-face { src: url(https://fonts.example/a.woff2) }",
        '@import "https://fonts.example/css";',
    ],
)
def test_what_a_browser_fetches_by_itself_is_seen(text):
    assert len(extension("offline").fetched_elsewhere(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://arxiv.org/abs/2411.01168">paper</a>',
        '<script src="_static/plotly.js"></script>',
        '<link rel="canonical" href="https://example/page.html">',
        "<img src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\">",
    ],
)
def test_what_only_a_reader_follows_is_none_of_it(text):
    assert extension("offline").fetched_elsewhere(text) == []


def test_a_figure_keeps_its_numbers_and_a_panel_becomes_a_note():
    lessons = extension("lessons")
    layout = {"height": 300, "title": {"text": "</script>"}}
    data = SimpleNamespace(mime_type=lessons.FIGURE, content={"data": [], "layout": layout})
    (node,) = lessons.Figure.handle_mime(None, data, False)
    assert "min-height: 300px" in node.astext()
    assert node.astext().count("</script>") == 1
    (note,) = lessons.Panel.handle_mime(None, SimpleNamespace(mime_type=lessons.PANEL), False)
    assert "make lab" in note.astext()
    other = SimpleNamespace(mime_type="text/plain")
    assert lessons.Figure.handle_mime(None, other, False) is None
    assert lessons.Panel.handle_mime(None, other, False) is None


def test_headings_have_the_anchors_of_jupyterlab():
    assert extension("lessons").anchor("1. How to read this") == "1.-How-to-read-this"


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def test_equations_are_drawn_in_a_browser(address):
    with browser.opened() as page:
        page.goto(f"{address}/paper.html")
        page.locator("mjx-container").first.wait_for()
        assert page.locator("mjx-container").count() > 10


FIGURE = """<!doctype html><link rel="icon" href="data:,">
<body data-theme="light" style="color: rgb(10, 20, 30)">
<div class="figure"><script type="application/json">
{"data": [{"x": [0, 1], "y": [0, 1]}], "layout": {"xaxis": {}, "height": 300}}
</script></div>
<script src="_static/plotly.js"></script><script src="_static/figures.js"></script>"""


def test_figures_are_drawn_in_the_colours_of_the_theme(site, address):
    (site / "figure.html").write_text(FIGURE, encoding="utf-8")
    with browser.opened() as page:
        page.goto(f"{address}/figure.html")
        tick = page.locator(".xtick text").first
        assert "fill: rgb(10, 20, 30)" in tick.get_attribute("style")
        page.evaluate("document.body.style.color = 'rgb(200, 210, 220)'")
        page.evaluate("document.body.dataset.theme = 'dark'")
        page.wait_for_function(
            "document.querySelector('.xtick text').style.fill === 'rgb(200, 210, 220)'"
        )
