"""What every family of tasks must keep to: ``workbench check my_family.py`` holds one to it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.utils.env_checker import check_env

from workbench.tasks import Family
from workbench.tasks.as_gymnasium import TaskEnv
from workbench.upkeep.goal_leaks import told_by_observations, told_by_rewards
from workbench.upkeep.trial_episodes import HELD, Episode, run

SEEDS = 8
"""Episodes of each task that are looked at."""
_TASKS = 6  # of a family, evenly spread: what holds for these holds for the others


@dataclass(frozen=True)
class Checked:
    """What came of one rule.

    Attributes:
        rule: What was looked at.
        problem: Why it is not kept, and what to do; "" where it is.
        note: What else a user should know; "" for nothing.
    """

    rule: str
    problem: str = ""
    note: str = ""


class Broken(Exception):
    """A rule is not kept: its words say why, and what to do."""


def check_family(family: Family) -> Iterator[Checked]:
    """Hold a family to every rule, one after another; a rule that fails does not end it."""
    recorded: dict[int, list[Episode]] = {}

    def episodes() -> dict[int, list[Episode]]:
        if not recorded:
            for i in _spread(family):
                recorded[i] = [run(family, i, seed) for seed in range(SEEDS)]
        return recorded

    rules: list[tuple[str, Callable[[], str | None]]] = [
        ("names and splits", lambda: _names(family)),
        ("Gymnasium's check_env", lambda: _gymnasium(family)),
        ("the same seed gives the same episode", lambda: _same(family)),
        ("a goal can be given anew", lambda: _anew(family)),
        ("episodes begin at random", lambda: _random(episodes())),
        ("no observation is constant", lambda: _constant(family, episodes())),
        ("actions have an effect", lambda: _effect(family)),
        ("tasks differ", lambda: _differ(episodes())),
        ("no observation tells the goal", lambda: _observed(family, episodes())),
        ("no reward tells the goal", lambda: _rewarded(family, episodes())),
        ("rewards recompute", lambda: _recompute(family, episodes())),
        ("states are exact", lambda: _states(family)),
        ("it can be watched", lambda: _watched(family)),
        ("returns are near 1 when scaled", lambda: _scale(family, episodes())),
    ]
    for rule, kept in rules:
        try:
            yield Checked(rule, note=kept() or "")
        except Broken as broken:
            yield Checked(rule, str(broken))
        except Exception as error:  # whatever a user's environment raises
            yield Checked(rule, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _spread(family: Family) -> list[int]:
    n = len(family.goals)
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, _TASKS))})


def _equal(a: Episode, b: Episode) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


def _names(family: Family) -> None:
    if len(set(family.goals)) < len(family.goals):
        raise Broken("Two tasks have the same goal: leave one out.")
    if not family.train_indices or not family.test_indices:
        raise Broken("There must be tasks to learn from and tasks to adapt to.")
    known = range(len(family.goals))
    if not {*family.train_indices, *family.test_indices} <= set(known):
        raise Broken(f"`train_indices` and `test_indices` must lie in 0 to {len(known) - 1}.")
    for what, variables in (("observations", family.observations), ("actions", family.actions)):
        if len({v.name for v in variables}) < len(variables):
            raise Broken(f"`{what}` must have names that differ: the heat map shows them.")


def _gymnasium(family: Family) -> None:
    for index in (0, family.test_indices[0]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unbounded observations, which are allowed
            with contextlib.closing(TaskEnv(family.name, index)) as env:
                sizes = env.observation_space.shape, env.action_space.shape
                wanted = (len(family.observations),), (len(family.actions),)
                if sizes != wanted:
                    raise Broken(
                        f"`observations` and `actions` name {wanted} variables: the environment "
                        f"has {sizes}."
                    )
                check_env(env, skip_render_check=True)


def _same(family: Family) -> None:
    for index in _spread(family)[:2]:
        if not _equal(run(family, index, 3), run(family, index, 3)):
            raise Broken(
                f"Task {index}: two episodes of one seed and one row of actions differ. Draw all "
                "randomness from `self.np_random` (after `super().reset(seed=seed)`)."
            )
        with contextlib.closing(family.build(family.goals[index])) as env:
            first = run(family, index, 3, env)
            if not _equal(first, run(family, index, 3, env)):
                raise Broken(
                    f"Task {index}: an episode after `reset` differs from the first one of the "
                    "same seed. `reset` must set everything that `step` changes."
                )


def _anew(family: Family) -> None:
    a, b = _spread(family)[0], _spread(family)[-1]
    with contextlib.closing(family.build(family.goals[a])) as env:
        for index in (a, b, a):
            env.goal = family.goals[index]
            if not _equal(run(family, index, 3, env), run(family, index, 3)):
                raise Broken(
                    f"An environment that was given another goal is not one that was built with "
                    f"it (task {index}). `set_goal` must set values (`mass = goal`), and not "
                    "change them (`mass *= goal`); it is called before every reset."
                )


def _random(recorded: dict[int, list[Episode]]) -> None:
    for index, items in recorded.items():
        if len({e.first.tobytes() for e in items}) == 1:
            raise Broken(
                f"Task {index}: all episodes begin alike, whatever the seed. Evaluations are over "
                "seeds: let `reset` draw where the episode begins."
            )


def _constant(family: Family, recorded: dict[int, list[Episode]]) -> None:
    rows = np.concatenate([e.observations for items in recorded.values() for e in items])
    still = np.flatnonzero(np.ptp(rows, 0) == 0)
    still = [i for i in still if family.observations[i].unit != "always 0"]
    if still:
        names = ", ".join(f"{i} ({family.observations[i].name})" for i in still)
        raise Broken(
            f"Observation {names} is always the same, in every task: it says nothing, and cannot "
            "be normalised. Leave it out of what is observed."
        )


def _effect(family: Family) -> None:
    for i, action in enumerate(family.actions):
        ends = []
        for push in (-1.0, 1.0):
            with contextlib.closing(family.build(family.goals[0])) as env:
                env.reset(seed=0)
                row = np.zeros(len(family.actions), np.float32)
                row[i] = push
                for _ in range(min(HELD, family.horizon)):
                    observation, reward, ended, *_ = env.step(row)
                    if ended:
                        break
                ends.append([*observation, float(reward)])
        if np.array_equal(*ends):
            raise Broken(f"Action {i} ({action.name}) changes nothing, at -1 and at 1.")


def _differ(recorded: dict[int, list[Episode]]) -> None:
    first, *others = recorded.values()
    for items, index in zip(others, list(recorded)[1:], strict=True):
        if all(_equal(a, b) for a, b in zip(first, items, strict=True)):
            raise Broken(
                f"Task {index} is the same as task {next(iter(recorded))}: the same actions see "
                "and earn the same. The goal does not enter the environment: see `set_goal`."
            )


def _observed(family: Family, recorded: dict[int, list[Episode]]) -> None:
    every = range(len(family.goals)) if len(family.goals) <= 60 else _spread(family)
    if problem := told_by_observations(family, recorded, every, SEEDS):
        raise Broken(problem)


def _rewarded(family: Family, recorded: dict[int, list[Episode]]) -> None:
    if problem := told_by_rewards(family, recorded):
        raise Broken(problem)


def _recompute(family: Family, recorded: dict[int, list[Episode]]) -> str | None:
    if not family.formula:
        return "the environment's own reward: recordings are not judged under other goals"
    for index, items in recorded.items():
        for e in items:
            again = family.rewards(e.measured, e.actions.astype(np.float64), family.goals[index])
            if not np.allclose(again, e.rewards, rtol=1e-5, atol=1e-5):
                raise Broken(
                    f"Task {index}: `reward_terms` of what was measured sum up to "
                    f"{np.ravel(again)[0]:.6g}, the environment said {e.rewards[0]:.6g}."
                )
    return None


def _states(family: Family) -> str | None:
    if not family.formula:
        return "not asked of an environment of Gymnasium: the one-step error is off"
    with contextlib.closing(family.build(family.goals[0])) as env:
        env.reset(seed=5)
        action = np.full(len(family.actions), 0.3, np.float32)
        env.step(action)
        state = env.state()
        after = env.step(action)
        env.reset(seed=6)
        env.put(state)
        again = env.step(action)
        if not np.allclose(after[0], again[0], atol=1e-6) or abs(after[1] - again[1]) > 1e-6:
            raise Broken("`put(state())` does not bring back what follows: replays need that.")
    return None


def _watched(family: Family) -> str:
    with contextlib.closing(family.build(family.goals[0])) as env:
        env.reset(seed=0)
        if getattr(env, "model", None) is not None:
            return "by the poses of its MuJoCo model"
        picture = env.picture()
    if picture is None:
        return (
            "no: it has no MuJoCo model, and no pictures (`render_mode='rgb_array'`; Gymnasium's "
            "classic ones need `pip install pygame`). Runs work, replays show curves alone"
        )
    if picture.ndim != 3 or picture.shape[-1] != 3:
        raise Broken(f"A picture must be (H, W, 3): got {picture.shape}.")
    return "by its pictures"


def _scale(family: Family, recorded: dict[int, list[Episode]]) -> str:
    per_step = np.mean([e.rewards.mean() for items in recorded.values() for e in items])
    earned = float(per_step) * family.horizon
    note = f"random actions earn about {earned:.4g}, the target is {family.target_return:.4g}"
    scaled = max(abs(earned), abs(family.target_return)) / family.return_scale
    if not family.return_scale > 0 or not 0.02 <= scaled <= 50:
        raise Broken(
            f"{note}, and `return_scale` is {family.return_scale:.4g}: choose about the size of "
            "returns, so that they lie near 1."
        )
    return note


def problems(found: Sequence[Checked]) -> list[Checked]:
    """Return the rules that are not kept."""
    return [one for one in found if one.problem]
