"""Plotly figures in a notebook that are redrawn in place while something runs.

Plotly's own widget carries all of plotly.js in every figure; here all figures of a kernel share one
packed copy, which the kernel sends once. It works without network in JupyterLab and VS Code.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

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
