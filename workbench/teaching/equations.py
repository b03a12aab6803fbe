"""TeX equations → SVG, so that a page shows them without a script or a font from elsewhere."""

from __future__ import annotations

import functools
import html
import re

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath, text_to_path

_SIZE = 16.0
_LARGER = 1.18  # than the text's own size: STIX has small letters
_DRAWN = {1: "M", 2: "L", 3: "Q", 4: "C"}
_POINTS = {1: 1, 2: 1, 3: 2, 4: 3}
_BARE = re.compile(r"\\(bar|hat|tilde)\s*(\\[a-zA-Z]+|[a-zA-Z])")


@functools.lru_cache(maxsize=256)
def svg(tex: str, *, display: bool = False) -> str:
    """Return an equation as inline SVG that takes the colour and the size of the text around it.

    Args:
        tex: What stands between the dollar signs: the part of TeX that Matplotlib knows.
        display: Whether it stands on a line of its own.

    Raises:
        ValueError: if Matplotlib cannot read it.
    """
    plain = " ".join(tex.split())
    drawn = _BARE.sub(r"\\\1{\2}", plain).replace(r"\|", r"\Vert ")
    font = FontProperties(family="STIXGeneral", size=_SIZE, math_fontfamily="stix")
    try:
        path = TextPath((0, 0), f"${drawn}$", prop=font)
        width, height, descent = text_to_path.get_text_width_height_descent(
            f"${drawn}$", font, ismath=True
        )
    except ValueError as error:
        raise ValueError(f"This equation cannot be drawn: {plain}. {error}") from error
    width, height = width + 1, height + 1
    em = _LARGER / _SIZE
    style = f"width:{width * em:.3f}em;height:{height * em:.3f}em;"
    style += "" if display else f"vertical-align:{-descent * em:.3f}em"
    return (
        f'<svg class="equation" role="img" aria-label="{html.escape(plain)}" style="{style}" '
        f'viewBox="-0.5 {descent - height + 0.5:.2f} {width:.2f} {height:.2f}">'
        f'<path d="{_commands(path)}" fill="currentColor"/></svg>'
    )


def _commands(path: TextPath) -> str:
    """Return a path in SVG's words; SVG counts y downwards."""
    words, points, i = [], path.vertices, 0
    codes = path.codes.tolist() if path.codes is not None else []
    while i < len(codes):
        if codes[i] not in _DRAWN:
            words.append("Z")
            i += 1
            continue
        n = _POINTS[codes[i]]
        numbers = " ".join(f"{x:.2f} {-y:.2f}" for x, y in points[i : i + n])
        words.append(_DRAWN[codes[i]] + numbers)
        i += n
    return "".join(words)
