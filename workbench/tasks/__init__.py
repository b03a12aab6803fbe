"""The benchmark tasks: a task is plain data, a family says what its tasks share.

Here are the families with their simulators, the published rewards, and which tasks are held back.
Who acts in them, and what was recorded, is in the room ``workbench.data``.
Begin with ``family`` and ``environment``, then ``rewards`` and ``cheetah``; ``ant``, ``reach`` and
its ``sawyer`` are further ones, ``gymnasium_robot`` and ``inertia`` what the robots share,
``splits`` other test tasks. ``plugins`` finds families from outside, ``gymnasium_task`` makes a
task of any environment, ``as_gymnasium`` an environment of any task.
"""

from __future__ import annotations

from workbench.tasks import plugins
from workbench.tasks.ant import ANT_DIR
from workbench.tasks.cheetah import CHEETAH_DIR, CHEETAH_VEL
from workbench.tasks.family import Environment, Family, Script, Split, Task, Variable, did_you_mean
from workbench.tasks.plugins import Registry
from workbench.tasks.reach import REACH

_SHIPPED = {family.name: family for family in (CHEETAH_VEL, CHEETAH_DIR, ANT_DIR, REACH)}
SHIPPED = tuple(_SHIPPED)
"""The names of the families that ship: those of the paper."""
FAMILIES: Registry[Family] = Registry("family", _SHIPPED, plugins.families)
"""Every family of tasks, by name: those that ship, then those of plug-ins."""


def find(name: str) -> Family:
    """Return the family called ``name``.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        why = " ".join([did_you_mean(name, list(FAMILIES)), *plugins.failures()])
        raise ValueError(f"There is no task family {name!r}.{why}") from None


def make(task: Task) -> Environment:
    """Build the environment of a task."""
    return find(task.family).build(task.goal)


__all__ = [
    "FAMILIES",
    "SHIPPED",
    "Environment",
    "Family",
    "Script",
    "Split",
    "Task",
    "Variable",
    "find",
    "make",
]
