"""Every model that can be prompted, by the name of its file and of ``RunSpec.model``."""

from __future__ import annotations

from workbench.networks.gato import Gato
from workbench.networks.harmo_dt import HarmoDT
from workbench.networks.multi_game_dt import MultiGameDT
from workbench.networks.prompt_dt import PromptDT
from workbench.tasks import did_you_mean

PROMPT_DT = "prompt-dt"
"""The paper's; what a run takes that names none."""
MODELS: dict[str, type[PromptDT]] = {
    PROMPT_DT: PromptDT,
    "multi-game-dt": MultiGameDT,
    "harmodt": HarmoDT,
    "gato": Gato,
}
PAPERS = {
    PROMPT_DT: "2206.13499",
    "multi-game-dt": "2205.15241",
    "harmodt": "2405.18080",
    "gato": "2205.06175",
}
"""Where each is published, on arXiv."""


def model_named(name: str) -> type[PromptDT]:
    """Return the class of a model.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}.{did_you_mean(name, list(MODELS))}")
    return MODELS[name]
