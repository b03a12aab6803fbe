"""Prompt Diffuser Workbench: see diffusion prompt tuning work, check it, compare it.

The public names, loaded on first use:
"""

from __future__ import annotations

import importlib

_PUBLIC = {
    "tasks": ("FAMILIES", "Family", "Task", "find", "make"),
    "data.trajectory": ("Normalizer", "Segment", "Trajectories", "Trajectory"),
    "data.rollout": ("Evaluation", "evaluate"),
    "networks.prompt_dt": ("ModelConfig", "PromptDT", "PromptedPolicy"),
    "networks.diffusion": ("DenoisingTrace", "NoiseSchedule", "PromptDiffuser", "denoise"),
    "methods.projection": ("Projection",),
    "methods": ("METHODS",),
    "tuning.spec": ("RunSpec",),
    "tuning.loop": ("TuneStep", "run"),
    "runs.store": ("RunStore",),
    "runs.compare": ("Comparison",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_MODULE_OF)
__doc__ = (__doc__ or "") + "\n".join(  # python -OO leaves docstrings out
    f"* ``{module}``: {', '.join(names)}" for module, names in _PUBLIC.items()
)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'workbench' has no public name {name!r}")
    return getattr(importlib.import_module(f"workbench.{_MODULE_OF[name]}"), name)
