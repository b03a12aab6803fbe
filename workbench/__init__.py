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


def register_tasks() -> None:
    """Let Gymnasium make every task; it calls this when it is imported (an entry point).

    ``gymnasium.make("workbench/Cheetah-vel-v0", task=2)`` is one of a family that ships, and
    ``gymnasium.make("workbench/Task-v0", family="mine", task=2)`` one of any family. Nothing of
    ours is imported before one is made.
    """
    from gymnasium.envs.registration import register, registry

    place = "workbench.tasks.as_gymnasium:TaskEnv"
    ids = {f"{name.capitalize()}-v0": {"family": name} for name in _FAMILIES}
    for name, arguments in {**ids, "Task-v0": {}}.items():
        if (full := f"workbench/{name}") not in registry:
            register(full, entry_point=place, kwargs=arguments)


_FAMILIES = ("cheetah-vel", "cheetah-dir", "ant-dir", "reach")
"""The names of ``workbench.tasks.SHIPPED``, which takes a second to import."""


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'workbench' has no public name {name!r}")
    return getattr(importlib.import_module(f"workbench.{_MODULE_OF[name]}"), name)
