"""Which renderer is asked for, kept from MuJoCo, which would load it where nothing is drawn.

``import mujoco`` loads the graphics library that ``MUJOCO_GL`` names and fails with it. Nothing is
drawn but in child processes, each told its renderer (``render``), so that everybody else does
without.
"""

from __future__ import annotations

import os

_KEPT = "WORKBENCH_RENDERER"
"""What ``MUJOCO_GL`` said before; inherited by processes that this one starts."""


def leave_drawing_to_children() -> None:
    """Keep MuJoCo in this process from loading a graphics library; before it is imported."""
    os.environ.setdefault(_KEPT, os.environ.get("MUJOCO_GL", ""))
    os.environ["MUJOCO_GL"] = "disable"


def wanted() -> str:
    """Return the renderer that the user named by ``MUJOCO_GL``; "" for none."""
    return os.environ.get(_KEPT, os.environ.get("MUJOCO_GL", "")).lower().strip()
