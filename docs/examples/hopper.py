"""Hopper whose body and ground differ from task to task: the dynamics change, not the reward."""

import gymnasium
import numpy as np

from workbench import Family

_NOMINAL = gymnasium.make("Hopper-v5").unwrapped.model
MASSES, FRICTION = _NOMINAL.body_mass.copy(), _NOMINAL.geom_friction.copy()


def set_goal(env, goal):
    """Set mass and friction to so many times the nominal ones; called before every reset."""
    mass, friction = goal
    env.model.body_mass[:] = mass * MASSES
    env.model.geom_friction[:] = friction * FRICTION


_DRAW = np.random.default_rng(0)
HOPPER = Family.from_gymnasium(
    "Hopper-v5",
    name="hopper-random",
    label="Hopper, random body",
    goals=[tuple(_DRAW.uniform((0.5, 0.5), (2.0, 2.0)).round(2)) for _ in range(12)],
    set_goal=set_goal,
    test=(8, 9),  # a heavy body and one of usual weight
    horizon=200,
    target_return=700.0,
    return_scale=500.0,
    goal_label="mass and friction",
    goal_unit="times nominal",
    training={
        "behaviour": "--env-steps 2000000 --snapshots 40",
        "pretrain": "--steps 8000 --batch-size 32",
    },
    hint="A frozen transformer makes a robot hop whose weight and ground it is not told.",
)
