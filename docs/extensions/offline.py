"""A site that asks nobody for anything: MathJax and Plotly are its own, and a check at the end.

MathJax comes from the package sphinx-mathjax-offline, of which a page needs the script and the
fonts; Plotly from the package that draws the figures.
"""

import importlib.util
import re
import shutil
from pathlib import Path

from plotly.offline import get_plotlyjs
from sphinx.errors import ExtensionError

MATHJAX = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax"
PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2")
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']?([^\"'\s>]+)"
    r"|<link\b(?![^>]*\brel=[\"']?(?:canonical|prev|next|index|search|author|license))[^>]*?"
    r"\bhref=[\"']?([^\"'\s>]+)"
    r"|(?:\burl\(|@import )\s*[\"']?([^\"')\s]+)",
    re.IGNORECASE,
)
"""What a browser fetches by itself; a link that a reader clicks is none of it."""


def copy_scripts(app) -> None:
    """Put MathJax and Plotly among the static files."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for part in PARTS:
        source, target = MATHJAX / part, static / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
    (static / "plotly.js").write_text(get_plotlyjs(), encoding="utf-8")


def add_figures(app, pagename, templatename, context, doctree) -> None:
    """Load Plotly on the pages that have a figure."""
    if doctree is not None and 'class="figure"' in context.get("body", ""):
        app.add_js_file("plotly.js", loading_method="defer")
        app.add_js_file("figures.js", loading_method="defer")


def fetched_elsewhere(text: str) -> list[str]:
    """Return the addresses of other machines that a browser would fetch for a page or a style."""
    found = ["".join(parts) for parts in FETCHED.findall(text)]
    return sorted({url for url in found if re.match(r"(?:[a-z]+:)?//", url, re.IGNORECASE)})


def check(app, exception) -> None:
    """Fail when a page or a style of the site fetches anything from another machine."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for path in sorted([*out.rglob("*.html"), *out.rglob("*.css")]):
        if urls := fetched_elsewhere(path.read_text(encoding="utf-8")):
            raise ExtensionError(
                f"{path.relative_to(out)} fetches {', '.join(urls)}: ship it in docs/static."
            )


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", copy_scripts)
    app.connect("html-page-context", add_figures)
    app.connect("build-finished", check)
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    # without its menu MathJax loads nothing later
    app.config.mathjax3_config = {"options": {"enableMenu": False}}
    return {"parallel_read_safe": True}
