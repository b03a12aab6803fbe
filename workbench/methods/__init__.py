"""Every way of adapting a frozen Prompt-DT; the hyper-parameters are the object."""

from __future__ import annotations

from workbench.methods.method import N_PROMPTS, Learner, Method, Snapshot, evaluation_prompts
from workbench.methods.mt_orl import NoPrompt
from workbench.methods.prompt_diffuser import PromptDiffusion
from workbench.methods.prompt_dt import NoTuning

METHODS: dict[str, type] = {
    "prompt-dt": NoTuning,
    "prompt-diffuser": PromptDiffusion,
}
"""Every way of adapting, by name, in the order of the paper's tables."""

__all__ = [
    "METHODS",
    "N_PROMPTS",
    "Learner",
    "Method",
    "NoPrompt",
    "NoTuning",
    "PromptDiffusion",
    "Snapshot",
    "evaluation_prompts",
]
