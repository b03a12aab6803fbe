"""The exercises of the lesson about a task of one's own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from workbench.tasks import Family
from workbench.teaching.answers import Untouched, Wrong, array, call


def sets_and_adds_nothing(answer: object) -> str:
    """6.1: ``set_goal(env, goal)`` for a mass; it is called before every reset."""
    env = SimpleNamespace(m=1.0, l=1.0)
    if not callable(answer):
        raise Wrong(f"A function is asked for, but this is a {type(answer).__name__}.")
    for mass in (0.5, 2.0, 0.5, 0.5):
        if answer(env, (mass,)) is ...:
            raise Untouched
        if env.l != 1.0:
            raise Wrong("The length is no business of this goal.")
        if not np.isclose(env.m, mass):
            raise Wrong(
                f"After goals of 0.5, 2, 0.5 on one environment its mass is {env.m:g}. A goal is "
                "set, whatever was there before: do not multiply or add."
            )
    return "The same environment may pursue any goal, in any order."


def hides_the_goal(answer: object) -> str:
    """6.2: cut the mass and the length off an observation."""
    whole = np.array([0.1, 0.2, 0.3, 1.7, 0.7])
    found = array(call(answer, whole))
    if found.shape == whole.shape and np.allclose(found[:3], whole[:3]):
        raise Wrong(
            "Five numbers are still observed, and `check` would call two of them constant. Leave "
            "them out."
        )
    if found.shape != (3,) or not np.allclose(found, whole[:3]):
        raise Wrong("Cosine, sine and angular velocity may be observed, in this order.")
    return "Now nothing but the prompt can tell the task."


def another_goal(answer: object) -> str:
    """6.3: a family of pendulums that differ in gravity alone."""
    if not isinstance(answer, Family):
        raise Wrong("A family is asked for: `Family.from_gymnasium(...)`.")
    seen = set()
    for goal in answer.goals:
        env = answer.build(goal)
        env.reset(seed=0)
        own = env._env.unwrapped  # type: ignore[attr-defined]
        if len(goal) != 1 or not np.isclose(own.g, goal[0]):
            raise Wrong("Its tasks should differ in the attribute `g`, one number each.")
        seen.add(float(own.g))
        env.close()
    if len(seen) < 3:
        raise Wrong("Take three goals at least: two to learn from, one to adapt to.")
    return "On the moon a pendulum is easy to swing up; the prompt must say where it is."
