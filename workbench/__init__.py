"""Prompt Diffuser Workbench: see diffusion prompt tuning work, check it, compare it.

The public names, loaded on first use; `tune`, `rollout` and `compare` stay modules:
"""

from __future__ import annotations

import importlib

_PUBLIC = {
    "tasks": ("FAMILIES", "Family", "Task", "find", "make"),
    "trajectory": ("Normalizer", "Segment", "Trajectories", "Trajectory"),
    "rollout": ("Evaluation", "evaluate"),
    "model": ("ModelConfig", "PromptDT", "PromptedPolicy"),
    "diffusion": ("DenoisingTrace", "NoiseSchedule", "PromptDiffuser", "denoise"),
    "projection": ("Projection",),
    "methods": ("METHODS",),
    "tune": ("RunSpec", "TuneStep", "run"),
    "store": ("RunStore",),
    "compare": ("Comparison",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_MODULE_OF)
__doc__ += "\n".join(f"* ``{module}``: {', '.join(names)}" for module, names in _PUBLIC.items())


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'workbench' has no public name {name!r}")
    return getattr(importlib.import_module(f"workbench.{_MODULE_OF[name]}"), name)
