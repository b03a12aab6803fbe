"""The notebooks as pages of the site, and their outputs as a page without a kernel shows them.

Plotly figures are kept as numbers and drawn by `static/figures.js` in the page's theme; where a
notebook has a panel, the page says how to open it.
"""

import json
import shutil
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer, load_mime_renders
from myst_nb.sphinx_ import NbMetadataCollector

FIGURE = "application/vnd.plotly.v1+json"
PANEL = "application/vnd.jupyter.widget-view+json"
NOTE = (
    "Here the notebook has a panel to play with; make lab opens it. The figures around this place "
    "tell the same story."
)


def copy_notebooks(app, config) -> None:
    """Put the notebooks among the sources: links between them hold only within Sphinx's folder."""
    folder = Path(app.srcdir) / "lessons"
    folder.mkdir(exist_ok=True)
    notebooks = {path.name: path for path in (folder.parents[1] / "notebooks").glob("*.ipynb")}
    for old in folder.glob("*.ipynb"):
        if old.name not in notebooks:
            old.unlink()
    for name, path in notebooks.items():
        copy = folder / name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


class Figure:
    """A Plotly figure: an empty place of its height, and its numbers."""

    mime_priority_overrides = (("html", FIGURE, 1),)

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool):
        """Return the nodes of a figure, or None for anything else."""
        if data.mime_type != FIGURE:
            return None
        figure = {name: data.content[name] for name in ("data", "layout")}
        height = figure["layout"].get("height", 450)
        numbers = json.dumps(figure, separators=(",", ":")).replace("</", "<\\/")
        html = (
            f'<div class="figure" style="min-height: {height}px">'
            f'<script type="application/json">{numbers}</script></div>'
        )
        return [nodes.raw(text=html, format="html")]


class Panel:
    """A panel, which needs a kernel: a note in its place."""

    mime_priority_overrides = (("html", PANEL, 1),)

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool):
        """Return a note for a panel, or None for anything else."""
        if data.mime_type != PANEL:
            return None
        return [nodes.note("", nodes.paragraph(text=NOTE))]


def anchor(title: str) -> str:
    """Return the anchor of a heading as JupyterLab spells it."""
    return title.replace(" ", "-")


def drop_widget_state(app, doctree) -> None:
    """Leave the state of panels out of the page: nothing there could use it."""
    NbMetadataCollector.get_js_files(app.env, app.env.docname).pop("ipywidgets_state", None)


def setup(app):
    """Register with Sphinx."""
    load_mime_renders().extend(p for p in (Figure, Panel) if p not in load_mime_renders())
    app.connect("config-inited", copy_notebooks)
    app.connect("doctree-read", drop_widget_state)
    return {"parallel_read_safe": True}
