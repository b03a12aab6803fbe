"""Plotly figures → pictures that need no script: a headless Chromium draws them, all at once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--virtual-time-budget=60000",
    "--dump-dom",
)
_TOO_LARGE = 60_000  # characters of SVG beyond which a bitmap is smaller
_SCRIPT = """
(async () => {
  const out = [];
  for (const figure of FIGURES) {
    const div = document.createElement("div");
    document.body.append(div);
    const size = { width: WIDTH, height: figure.layout.height || 400 };
    await Plotly.newPlot(div, figure.data, { ...figure.layout, ...size, autosize: false });
    let image = await Plotly.toImage(div, { format: "svg", ...size });
    if (image.length > LARGE) {
      image = await Plotly.toImage(div, { format: "webp", scale: 1.6, ...size });
    }
    out.push(image);
    Plotly.purge(div);
    div.remove();
  }
  document.getElementById("out").textContent = JSON.stringify(out);
})();
"""


def pictures(figures: Sequence[Mapping[str, Any]], width: int = 900) -> list[str]:
    """Return each figure as a data URL: SVG, or WebP where there are too many marks for SVG.

    Args:
        figures: Plotly's plain JSON, ``{"data": …, "layout": …}``.
        width: Pixels of all of them; heights are those of their layouts.

    Raises:
        ValueError: if there is no Chromium, or it does not draw.
    """
    if not figures:
        return []
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        raise ValueError(
            "Figures are drawn by a Chromium, and there is none on the path: install one, such as "
            "`apt install chromium`."
        )
    values = {"FIGURES": json.dumps(list(figures)), "WIDTH": str(width), "LARGE": str(_TOO_LARGE)}
    script = _SCRIPT
    for name, value in values.items():
        script = script.replace(name, value.replace("</", "<\\/"), 1)
    page = (
        "<!doctype html><meta charset=utf-8><body><pre id=out></pre>"
        f"<script>{get_plotlyjs()}</script><script>{script}</script>"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.html"
        path.write_text(page, encoding="utf-8")
        command = [browser, *_FLAGS, f"--user-data-dir={folder}/profile", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r'<pre id="out">(.+?)</pre>', done.stdout, re.DOTALL)
    if found is None:
        raise ValueError(f"{browser} drew no figure: {done.stderr.strip()[-300:]}")
    drawn = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return [str(url) for url in drawn]
