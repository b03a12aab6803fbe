"""The body masses and inertias of the simulator that the published data were recorded in.

Before MuJoCo 2.1.1 (December 2021: "computed capsule inertias are now exact") a capsule had the
mass and inertia of a cylinder longer by half a radius at each end. The published Prompt-DT
demonstrations predate it: with these inertias they replay to float32 precision, with the exact
ones HalfCheetah's torso is 1.7 % too light and rewards are off by 0.001 to 0.008 a step.
"""

from __future__ import annotations

import functools

import mujoco
import numpy as np


@functools.cache
def published_model(path: str) -> mujoco.MjModel:
    """Compile a model with the capsule inertias of MuJoCo before 2.1.1.

    Geometry, contacts and rendering are those of the file; only the inertias differ. Compiled
    once per file: environments share the model and only read it.

    Args:
        path: MJCF file of the model.
    """
    old = _with_cylinder_inertias(path)
    spec = _with_named_bodies(path)
    spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    for body in spec.bodies[1:]:
        i = old.body(body.name).id
        body.explicitinertial = True
        body.mass, body.inertia = old.body_mass[i], old.body_inertia[i]
        body.ipos, body.iquat = old.body_ipos[i], old.body_iquat[i]
    return spec.compile()


def _with_cylinder_inertias(path: str) -> mujoco.MjModel:
    """Compile with a cylinder beside each capsule that takes over its mass.

    The cylinder has the capsule's radius and axis and is longer by half a radius at each end; it
    touches nothing.
    """
    spec = _with_named_bodies(path)
    for body in spec.bodies:
        for capsule in list(body.geoms):
            if capsule.type != mujoco.mjtGeom.mjGEOM_CAPSULE:
                continue
            radius = capsule.size[0]
            cylinder = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, contype=0, conaffinity=0)
            if np.isnan(capsule.fromto[0]):
                cylinder.pos, cylinder.alt.axisangle = capsule.pos, capsule.alt.axisangle
                cylinder.size = [radius, capsule.size[1] + radius / 2, 0]
            else:
                begin, end = np.split(np.array(capsule.fromto), 2)
                extra = (end - begin) / np.linalg.norm(end - begin) * radius / 2
                cylinder.fromto = np.concatenate([begin - extra, end + extra])
                cylinder.size = [radius, 0, 0]
            capsule.mass = 0
    return spec.compile()


def _with_named_bodies(path: str) -> mujoco.MjSpec:
    """Read a model and give every body a name, by which the two compiled models are matched."""
    spec = mujoco.MjSpec.from_file(path)
    for i, body in enumerate(spec.bodies):
        body.name = body.name or f"body {i}"
    return spec
