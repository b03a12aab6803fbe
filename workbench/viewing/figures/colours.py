"""One look for each thing that figures compare: the same colour, symbol and dash everywhere.

Hues are Okabe and Ito's, which colour-blind readers tell apart, and legible on white and on black.
Relatives share a hue and differ in symbol and dash, so that nobody needs the colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

INK = "#808080"
"""Of published values, axes and notes: as dark on white as it is light on black."""
PALE = "#b0b0b0"
"""Of what was not run."""
_BLUE, _SKY, _GREEN, _ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
_VERMILION, _PURPLE, _VIOLET, _BROWN = "#D55E00", "#CC79A7", "#785EF0", "#A6761D"


@dataclass(frozen=True)
class Look:
    """How something is drawn.

    Attributes:
        colour: ``"#rrggbb"``.
        symbol: Plotly's name of the mark.
        dash: Plotly's name of the line.
    """

    colour: str
    symbol: str = "circle"
    dash: str = "solid"

    @property
    def band(self) -> str:
        """The colour as thin as an interval is drawn around a line."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},0.18)"


_METHODS = {
    "Prompt Diffuser": Look(_BLUE),
    "Prompt Diffuser, told the task (ours)": Look(_SKY, "star", "dashdot"),
    "Prompt-Tuning DT": Look(_VERMILION),
    "Prompt-Tuning DT, late rows": Look(_VERMILION, "star", "dot"),
    "Prompt-Tuning DT, online": Look(_VERMILION, "diamond", "dash"),
    "Prompt bandit": Look(_VERMILION, "square", "dashdot"),
    "Soft Prompt": Look(_GREEN),
    "Soft Prompt, late rows": Look(_GREEN, "star", "dot"),
    "Prompt-DT-FT": Look(_ORANGE),
    "Prompt-DT-FT-Full": Look(_ORANGE, "diamond", "dash"),
    "Adaptor": Look(_PURPLE),
    "HDT": Look(_PURPLE, "diamond", "dash"),
    "Prompt VAE": Look(_VIOLET),
    "Prompt GAN": Look(_VIOLET, "diamond", "dash"),
    "MT-ORL": Look(_BROWN, "square"),
    "Prompt-DT": Look(INK),
    "Prompt-DT, late rows": Look(INK, "star", "dot"),
    "Prompt-DT, expert prompt": Look(INK),
    "Prompt-DT, expert prompt, late rows": Look(INK, "star", "dot"),
    "Prompt-DT, random prompt": Look(INK, "x", "dot"),
    "Untuned prompt": Look(INK),
}
_PROJECTIONS = {
    "none": Look(INK, "circle", "dash"),
    "vector": Look(_ORANGE, "square"),
    "tensor": Look(_GREEN, "diamond"),
    "subspace": Look(_BLUE),
    "published": Look(_BLUE, "star", "dash"),
}
_GUIDANCE = {
    "diffusion loss alone": Look(_VERMILION, "x", "dot"),
    "downstream loss alone": Look(_PURPLE, "star", "dot"),
    "plain sum": _PROJECTIONS["none"],
    **{f"projection, {name}": look for name, look in _PROJECTIONS.items() if name != "none"},
    "plain sum, λ = 10": Look(INK, "diamond", "dot"),
    "projection, published, λ = 10": Look(_BLUE, "diamond", "dot"),
    "projection and value": Look(_BROWN, "square", "dashdot"),
}
_QUALITIES = {
    "expert": Look(_GREEN),
    "medium": Look(_SKY, "square"),
    "random": Look(_ORANGE, "diamond"),
}
_MODELS = {
    "Prompt-DT": ("circle", "solid"),
    "multi-game DT": ("square", "dash"),
    "HarmoDT": ("diamond", "dot"),
    "Gato": ("triangle-up", "dashdot"),
}
_WITH_A_MODEL = {"expert prompt": INK, "random prompt": _BROWN, "no prompt": _ORANGE}
YOURS = Look(_PURPLE, "star")
"""Of the reader's own data."""
YOUR_FILE = "your file"
"""What figures call a file that was handed over and is not kept yet."""
_EVERY = {**_METHODS, **_PROJECTIONS, **_GUIDANCE, **_QUALITIES}


def look(name: str) -> Look:
    """Return how a method, a row of a table, a projection or a quality of data is drawn.

    A row such as ``"medium data, random prompt"`` has the hue of its data and the symbol of its
    prompt; ``"HarmoDT: Soft Prompt"`` the hue of the method and the symbol of the model. What has
    no look of its own is drawn in ``INK``.
    """
    if name in _EVERY:
        return _EVERY[name]
    data, _, prompt = (part.split(" ")[0] for part in name.partition(", "))
    if data in _QUALITIES and prompt in _QUALITIES:
        return Look(_QUALITIES[data].colour, _QUALITIES[prompt].symbol)
    model, _, how = name.partition(": ")
    if model in _MODELS and how:
        return Look(_WITH_A_MODEL.get(how) or look(how).colour, *_MODELS[model])
    if name.startswith("own:") or name == YOUR_FILE:
        return YOURS
    return Look(INK)
