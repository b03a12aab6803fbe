"""What every notebook begins with: set-up, sentences with numbers, live figures."""

from __future__ import annotations

import functools
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

import anywidget
import plotly.graph_objects as go
import plotly.io as pio
import torch
import traitlets
from IPython.display import Markdown, display
from plotly.offline import get_plotlyjs

from workbench.networks.fast.memory import keep_freed_memory
from workbench.runs.store import RunStore
from workbench.shipped.checkout import RUNNING

QUICK = "WORKBENCH_QUICK"
"""Set to 1, this makes every notebook use fewer episodes and updates: for a test, not to learn."""


def begin() -> bool:
    """Set up drawing and threads; return whether the notebook should be quick.

    Figures are drawn by JupyterLab or VS Code itself; in a page exported to HTML they bring their
    own plotly.js, unless Plotly's ``PLOTLY_RENDERER`` says otherwise. One thread is faster than two
    for networks this small.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    pio.renderers.default = os.environ.get("PLOTLY_RENDERER", "plotly_mimetype+notebook")
    pio.templates.default = "plotly_white"
    return os.environ.get(QUICK, "") not in ("", "0")


def say(text: str) -> None:
    """Show a sentence, Markdown."""
    display(Markdown(text))


def own_runs() -> RunStore:
    """Return where runs made in a notebook are kept: with those of the app, so it shows them too.

    ``WORKBENCH_RUNS`` names another folder.
    """
    return RunStore(os.environ.get("WORKBENCH_RUNS") or (RUNNING or Path.cwd()) / "runs")


_STYLE = """
.workbench-charts { display: flex; flex-wrap: wrap; gap: 8px; color: var(--jp-ui-font-color1,
  var(--vscode-editor-foreground, #1f2933)); }
.workbench-charts > div { flex: 1 1 300px; min-width: 0; }
"""


class _Library(anywidget.AnyWidget):
    """plotly.js, packed; never shown, others refer to it."""

    _esm = "export default {}"
    packed = traitlets.Bytes().tag(sync=True)


@functools.cache
def _library() -> _Library:
    return _Library(packed=gzip.compress(get_plotlyjs().encode(), 6, mtime=0))


class Charts(anywidget.AnyWidget):
    """Figures side by side; ``show`` draws others in their place.

    Attributes:
        figures: Plotly's plain JSON, one per figure.
    """

    _esm = (Path(__file__).parent / "charts.js").read_text(encoding="utf-8")
    _css = _STYLE
    figures = traitlets.List().tag(sync=True)
    library = traitlets.Unicode().tag(sync=True)

    def __init__(self, *figures: go.Figure):
        super().__init__(figures=_plain(figures), library=f"IPY_MODEL_{_library().model_id}")

    def show(self, *figures: go.Figure) -> None:
        """Draw these figures instead; what a reader has zoomed into stays."""
        self.figures = _plain(figures)


def _plain(figures: Sequence[go.Figure]) -> list[dict]:
    return [json.loads(figure.to_json()) for figure in figures]
