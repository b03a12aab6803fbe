"""Every way of adapting a frozen Prompt-DT; the hyper-parameters are the object.

The loop that runs them is in ``workbench.tuning``. Begin with ``method``, the contract, then the
paper's own: ``guided_update`` (Algorithm 1), ``projection`` (Eq. 8, 9), ``prompt_diffuser`` (the
tuning by it) and ``descent``.
The baselines: ``untuned``, ``soft_prompt``, ``prompt_tuning``, ``prompt_bandit``, and what trains
weights, ``adapter``, ``hdt`` and ``fine_tuning``, all on ``tuned_weights``. ``other_generators``
puts a VAE, a GAN or an informed diffuser in the diffuser's place.
"""

from __future__ import annotations

from workbench.methods.adapter import AdapterTuning
from workbench.methods.fine_tuning import FineTuning, FullFineTuning
from workbench.methods.hdt import HyperDT
from workbench.methods.method import (
    N_PROMPTS,
    GradientReport,
    Learner,
    Method,
    Snapshot,
    Update,
    evaluation_prompts,
)
from workbench.methods.other_generators import InformedDiffusion, PromptGANTuning, PromptVAETuning
from workbench.methods.prompt_bandit import PromptBandit
from workbench.methods.prompt_diffuser import PromptDiffusion
from workbench.methods.prompt_tuning import PromptTuning
from workbench.methods.soft_prompt import SoftPrompt
from workbench.methods.untuned import NoPrompt, NoTuning
from workbench.tasks import plugins
from workbench.tasks.plugins import Registry

_SHIPPED: dict[str, type[Method]] = {
    "prompt-dt": NoTuning,
    "mt-orl": NoPrompt,
    "soft-prompt": SoftPrompt,
    "adapter": AdapterTuning,
    "hdt": HyperDT,
    "prompt-tuning-dt": PromptTuning,
    "prompt-bandit": PromptBandit,
    "prompt-dt-ft": FineTuning,
    "prompt-dt-ft-full": FullFineTuning,
    "prompt-diffuser": PromptDiffusion,
    "informed-diffuser": InformedDiffusion,
    "prompt-vae": PromptVAETuning,
    "prompt-gan": PromptGANTuning,
}
METHODS: Registry[type[Method]] = Registry("method", _SHIPPED, plugins.methods)
"""Every way of adapting, by name: in the order of the paper's tables, then those of plug-ins."""

__all__ = [
    "METHODS",
    "N_PROMPTS",
    "AdapterTuning",
    "FineTuning",
    "FullFineTuning",
    "GradientReport",
    "HyperDT",
    "InformedDiffusion",
    "Learner",
    "Method",
    "NoPrompt",
    "NoTuning",
    "PromptBandit",
    "PromptDiffusion",
    "PromptGANTuning",
    "PromptTuning",
    "PromptVAETuning",
    "Snapshot",
    "SoftPrompt",
    "Update",
    "evaluation_prompts",
]
