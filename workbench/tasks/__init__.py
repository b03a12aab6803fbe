"""The benchmark tasks: a task is plain data, a family says what its tasks share.

Here are the families with their simulators, the published rewards, and which tasks are held back.
Who acts in them, and what was recorded, is in the room ``workbench.data``.
Begin with ``family``, then ``rewards`` and ``cheetah``: a family of your own is a file like that
one. ``ant``, ``reach`` and its simulator ``sawyer`` are further ones, ``gymnasium_robot`` what
both robots share, ``inertia`` the bodies of the published simulator, ``splits`` other test tasks.
"""

from __future__ import annotations

from workbench.tasks.ant import ANT_DIR
from workbench.tasks.cheetah import CHEETAH_DIR, CHEETAH_VEL
from workbench.tasks.family import Environment, Family, Script, Split, Task, Variable, did_you_mean
from workbench.tasks.reach import REACH

FAMILIES: dict[str, Family] = {
    family.name: family for family in (CHEETAH_VEL, CHEETAH_DIR, ANT_DIR, REACH)
}
"""Every family of tasks, by name: a new one is added here."""


def find(name: str) -> Family:
    """Return the family called ``name``.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    if name not in FAMILIES:
        raise ValueError(f"There is no task family {name!r}.{did_you_mean(name, list(FAMILIES))}")
    return FAMILIES[name]


def make(task: Task) -> Environment:
    """Build the environment of a task."""
    return find(task.family).build(task.goal)


__all__ = [
    "FAMILIES",
    "Environment",
    "Family",
    "Script",
    "Split",
    "Task",
    "Variable",
    "find",
    "make",
]
