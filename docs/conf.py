"""How the site is built: `make docs`, without a network; a warning is an error.

Set WORKBENCH_QUICK=1 to execute the lessons with fewer episodes and updates.
"""

import hashlib
import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "extensions")]

from workbench.teaching import execution  # noqa: E402

project = "Prompt Diffuser Workbench"
author = "the authors of the workbench"
language = "en"
html_title = project

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "lessons",
    "offline",
    "reference",
]
exclude_patterns = ["**/.ipynb_checkpoints", "_build"]
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme = "furo"
html_favicon = "static/icon.png"
html_copy_source = False
html_show_copyright = False

# Markdown. A heading's anchor is spelt as JupyterLab spells it, so that the links inside a
# notebook work in both places.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
myst_heading_slug_func = "lessons.anchor"

execution.ask_once()

# The lessons. Plotly and the panels are drawn by the extension `lessons`.
nb_execution_mode = os.environ.get("WORKBENCH_DOCS_EXECUTE", "cache")
nb_execution_timeout = 900
# It trains networks for ten minutes, with Stable-Baselines3: the page is to read.
nb_execution_excludepatterns = (
    [] if os.environ.get("WORKBENCH_QUICK") == "1" else ["lessons/6_your_own_task.ipynb"]
)
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_number_source_lines = False


def outputs_depend_on() -> str:
    """Return a hash of what a notebook's outputs depend on beside its own cells.

    MyST-NB looks at the cells alone; without this, outputs of older code would be shown.
    """
    found = hashlib.sha256(os.environ.get("WORKBENCH_QUICK", "").encode())
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        found.update(path.read_bytes())
    found.update((ROOT / "assets" / "manifest.json").read_bytes())
    return found.hexdigest()[:16]


nb_execution_cache_path = str(ROOT / "build" / "executed-notebooks" / outputs_depend_on())
# Runs that a reader kept would change what the lessons show.
os.environ["WORKBENCH_RUNS"] = str(ROOT / "build" / "executed-notebooks" / "runs")
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The reference.
autosummary_generate = True
autodoc_default_options = {"member-order": "bysource"}
add_module_names = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_use_rtype = False

nitpick_ignore_regex = [
    # names that are not ours: other packages' pages are not at hand without a network
    ("py:.*", r"(?!workbench\.).*"),
    # private names
    ("py:.*", r"workbench\..*\._\w+"),
]

suppress_warnings = ["config.cache"]
