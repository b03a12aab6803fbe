"""What every notebook needs before it begins, and a way to say a sentence with numbers in it."""

from __future__ import annotations

import os
from pathlib import Path

import plotly.io as pio
import torch
from IPython.display import Markdown, display

from workbench.store import RunStore

QUICK = "WORKBENCH_QUICK"
"""Set to 1, this makes every notebook use fewer episodes and updates: for a test, not to learn."""


def begin() -> bool:
    """Set up drawing and threads; return whether the notebook should be quick.

    Figures are drawn by JupyterLab or VS Code itself; in a page exported to HTML they bring their
    own plotly.js. One thread is faster than two for networks this small.
    """
    torch.set_num_threads(1)
    pio.renderers.default = "plotly_mimetype+notebook"
    pio.templates.default = "plotly_white"
    return os.environ.get(QUICK, "") not in ("", "0")


def say(text: str) -> None:
    """Show a sentence, Markdown."""
    display(Markdown(text))


def own_runs() -> RunStore:
    """Return where runs made in a notebook are kept: with those of the app, so it shows them too.

    ``WORKBENCH_RUNS`` names another folder.
    """
    here = Path(__file__).resolve().parents[1] / "runs"
    return RunStore(os.environ.get("WORKBENCH_RUNS") or here)
