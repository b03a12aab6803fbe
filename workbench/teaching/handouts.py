"""Executed notebooks → pages to read and print: no script, and no request to anywhere.

Figures become pictures (``stills``), equations SVG (``equations``). Panels live in the notebook
only; a note stands in their place, and the figures around them tell the same. ``cost`` says what
running one takes.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.teaching import equations, stills

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = ("1_tasks_and_data", "2_prompt_dt", "3_denoising", "4_gradient_projection", "5_ablation")
"""The lessons, in order."""
PAGES = (*LESSONS, "findings")
"""The notebooks that have a page."""
_FIGURE, _PANEL = "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"
_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
_NOTE = (
    "Here the notebook has a panel to play with: <code>make lab</code> opens it. "
    "The figures around this place tell the same story."
)
_TOKENS = {"Keyword": "k", "Literal.String": "s", "Comment": "c", "Literal.Number": "m"}


@dataclass(frozen=True)
class Handout:
    """One page.

    Attributes:
        name: Of the notebook, without ending.
        title: Its first heading.
        html: The whole page.
    """

    name: str
    title: str
    html: str


@dataclass(frozen=True)
class Cost:
    """What running a notebook takes.

    Attributes:
        seconds: Wall time from top to bottom, the start of its kernel included.
        gigabytes: Peak resident memory of its kernel.
    """

    seconds: float
    gigabytes: float


def cost(name: str, env: Mapping[str, str], folder: Path = FOLDER) -> Cost:
    """Run a notebook as ``execute`` does, and return what that took."""
    began = time.perf_counter()
    notebook = execute(name, env, folder, last=_PEAK)
    seconds = time.perf_counter() - began
    return Cost(seconds, float(notebook.cells[-1].outputs[0]["text"]))


_PEAK = """
import resource, sys
unit = 2 ** (30 if sys.platform == "darwin" else 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
"""


def execute(name: str, env: Mapping[str, str], folder: Path = FOLDER, last: str = ""):
    """Run a notebook from top to bottom and return it with its outputs.

    Args:
        name: Of a notebook of ``folder``, without ending.
        env: Environment of its kernel.
        folder: Where it is, and where it runs.
        last: Code of one more cell at the end.

    Raises:
        ValueError: if there is no such notebook, or a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    path = folder / f"{name}.ipynb"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.ipynb")))
        raise ValueError(f"There is no notebook {name!r}. Choose from {known}.")
    notebook = nbformat.read(path, as_version=4)
    if last:
        notebook.cells.append(nbformat.v4.new_code_cell(last))
    place = {"metadata": {"path": folder}}
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources=place)
    try:
        return client.execute(env=dict(env))
    except CellExecutionError as error:
        raise ValueError(f"{path} stops at a cell: {error.ename}: {error.evalue}") from error


def handout(name: str, notebook) -> Handout:
    """Return the page of an executed notebook."""
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    figures = [o["data"][_FIGURE] for o in outputs if _FIGURE in o.get("data", {})]
    drawn = iter(stills.pictures(figures))
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(markdown(cell.source))
        elif cell.cell_type == "code":
            parts.append(f"<pre>{highlighted(cell.source)}</pre>")
            parts += _shown(cell.get("outputs", []), drawn)
    first = next(c.source for c in notebook.cells if c.cell_type == "markdown")
    title = re.search(r"^# (.+)$", first, re.MULTILINE)[1]
    return Handout(name, title, page(title, "\n".join(parts)))


def _shown(outputs: Sequence[Mapping], drawn: Iterator[str]) -> Iterator[str]:
    for output in outputs:
        data = output.get("data", {})
        if _FIGURE in data:
            title = data[_FIGURE].get("layout", {}).get("title", {}).get("text", "figure")
            yield f'<figure><img src="{next(drawn)}" alt="{html.escape(title)}"></figure>'
        elif _PANEL in data:
            yield f'<p class="note">{_NOTE}</p>'
        elif "text/markdown" in data:
            yield f'<div class="said">{markdown(data["text/markdown"])}</div>'
        elif "text/html" in data and "<script" not in data["text/html"]:
            yield f'<div class="table">{data["text/html"]}</div>'
        elif "text/plain" in data and "text/html" not in data:
            yield f"<pre>{html.escape(data['text/plain'])}</pre>"


def markdown(text: str) -> str:
    """Return Markdown as HTML: equations drawn, links between notebooks as links between pages."""
    import mistune

    drawn: list[str] = []

    def keep(found: re.Match) -> str:
        display = found[1] is not None
        picture = equations.svg(found[1] or found[2], display=display)
        drawn.append(f'<div class="equations">{picture}</div>' if display else picture)
        return f"EQUATION{len(drawn) - 1}EQUATION"

    # Dollar signs in code are no equations.
    pieces = re.split(r"(```.*?```|`[^`]*`)", text, flags=re.DOTALL)
    text = "".join(p if p.startswith("`") else _MATH.sub(keep, p) for p in pieces)
    made = mistune.create_markdown(escape=False, plugins=["table"])(text)
    made = re.sub(r"<p>(EQUATION\d+EQUATION)</p>", r"\1", made)
    made = re.sub(r"EQUATION(\d+)EQUATION", lambda m: drawn[int(m[1])], made)
    made = re.sub(
        r'<pre><code class="language-python">(.*?)</code></pre>',
        lambda m: f"<pre>{highlighted(html.unescape(m[1]))}</pre>",
        made,
        flags=re.DOTALL,
    )
    return re.sub(r'href="([0-9a-z_]+)\.ipynb"', r'href="\1.html"', made)


def highlighted(code: str) -> str:
    """Return Python as HTML, its words in spans."""
    from pygments.lexers import PythonLexer

    out = []
    for kind, text in PythonLexer().get_tokens(code.strip()):
        name = str(kind).removeprefix("Token.")
        style = next((c for prefix, c in _TOKENS.items() if name.startswith(prefix)), None)
        plain = html.escape(text, quote=False)
        out.append(f'<span class="{style}">{plain}</span>' if style else plain)
    return "".join(out).rstrip()


def page(title: str, body: str) -> str:
    """Return a whole page."""
    style = (Path(__file__).parent / "handouts.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def contents(lessons: Mapping[str, str]) -> str:
    """Return the page that leads to the others.

    Args:
        lessons: Name of a notebook → its first Markdown cell.
    """
    cards = []
    for name, text in lessons.items():
        title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
        lead = next(p for p in text.split("\n\n")[1:] if p.strip())
        time = re.search(r"\*\*Time:\*\* ([^;.]+)", text)
        line = f"<p>{time[1].strip().replace(chr(10), ' ').capitalize()}.</p>" if time else ""
        link = f'<a href="{name}.html">{html.escape(title)}</a>'
        cards.append(f"<li><h2>{link}</h2>{markdown(lead)}{line}</li>")
    body = (
        "<h1>Diffusion prompt tuning, step by step</h1>"
        "<p>Five lessons and a report, made from the notebooks in <code>notebooks/</code>. To run "
        "them, and to play with their panels: <code>make lab</code>.</p>"
        f'<ul class="cards">{"".join(cards)}</ul>'
    )
    return page("Diffusion prompt tuning, step by step", body)
