"""Recorded episodes as plain arrays, whatever file they came from, and what all must satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.data.trajectory import Trajectory
from workbench.exchange.pickle_reader import MAX_ARRAY_BYTES, refuse
from workbench.tasks import Task, find

MAX_TRANSITIONS = 500_000
MAX_OBSERVATION = 1e4
ACTION_TOLERANCE = 1e-3

Episode = Mapping[str, np.ndarray]
"""``observations`` (T, O), ``actions`` (T, A), ``rewards`` (T,); perhaps ``next_observations``
(T, O), ``terminals`` (T,) bool and ``states`` (T, S). Raw units."""

# name: (dimensions, whether an episode must have it)
FIELDS = {
    "observations": (2, True),
    "next_observations": (2, False),
    "actions": (2, True),
    "rewards": (1, True),
    "terminals": (1, False),
    "states": (2, False),
}


def validated(raw: Sequence[Episode]) -> tuple[tuple[Episode, ...], tuple[str, ...]]:
    """Bring episodes to float32 and say which of their values cannot be used.

    Args:
        raw: Episodes as they were read; rewards and terminals may be (T, 1).

    Returns:
        The episodes, actions within the tolerance limited to [-1, 1]; and one sentence per
        array with values that are not finite or out of range, none if all can be used.

    Raises:
        RefusedFile: if arrays are missing, too many, or do not fit together.
    """
    names = [name for name, (_, must) in FIELDS.items() if must or name in raw[0]]
    n_rows = n_cells = 0
    episodes, wrong = [], {}
    for i, given in enumerate(raw):
        if sorted(names) != sorted(given.keys() & FIELDS.keys()):
            got = ", ".join(repr(key[:40]) for key in sorted(given)[:12])
            refuse(f"episode {i} must have the arrays {', '.join(names)}: got {got or 'none'}.")
        arrays = {}
        for name in names:
            n_cells += given[name].size
            n_rows += len(given[name]) if given[name].ndim and name == "actions" else 0
            if n_rows > MAX_TRANSITIONS or n_cells * 4 > MAX_ARRAY_BYTES:
                refuse(
                    f"it has more than {MAX_TRANSITIONS} transitions, or too wide ones. Split it."
                )
            arrays[name] = _shaped(name, given[name], f"`{name}` of episode {i}")
            rows = _wrong_rows(name, arrays[name])
            if len(rows):
                wrong.setdefault(name, []).append((i, rows, arrays[name][rows[0]]))
        first = episodes[0] if episodes else arrays
        for name, x in arrays.items():
            like = arrays["observations"] if name == "next_observations" else first[name]
            if len(x) != len(arrays["rewards"]) or x.shape[1:] != like.shape[1:]:
                refuse(
                    f"`{name}` of episode {i} must have one row per reward and the same columns "
                    f"throughout: got {x.shape} with {len(arrays['rewards'])} rewards."
                )
        episodes.append(arrays)
    problems = tuple(_sentence(name, found) for name, found in wrong.items())
    if "actions" not in wrong:
        episodes = [e | {"actions": e["actions"].clip(-1, 1)} for e in episodes]
    return tuple(episodes), problems


def empty(episode: Episode) -> bool:
    """Return whether an episode has no rows in any array, as a recorder leaves that was stopped."""
    arrays = [episode[name] for name in FIELDS if name in episode]
    return bool(arrays) and all(x.ndim and not len(x) for x in arrays)


def _shaped(name: str, x: np.ndarray, label: str) -> np.ndarray:
    ndim = FIELDS[name][0]
    flat = x.reshape(-1) if ndim == 1 and x.ndim == 2 and x.shape[1] == 1 else x
    if flat.ndim != ndim or not len(flat):
        refuse(
            f"{label} must have {ndim} dimension(s), (T,) or (T, 1) if 1, and 1 or more rows: got "
            f"{x.shape}."
        )
    if name == "terminals":
        return flat != 0
    with np.errstate(over="ignore"):
        return flat.astype(np.float32)


def _bound(name: str) -> float:
    return 1 + ACTION_TOLERANCE if name == "actions" else MAX_OBSERVATION


def _wrong_rows(name: str, x: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~(np.abs(x) <= _bound(name)).reshape(len(x), -1).all(1))


def _sentence(name: str, found: list[tuple[int, np.ndarray, np.ndarray]]) -> str:
    episode, rows, values = found[0]
    values = np.atleast_1d(values)
    value = values[~(np.abs(values) <= _bound(name))][0]
    n_rows = sum(len(rows) for _, rows, _ in found)
    advice = "Drop or repair these rows."
    if name == "actions" and all(np.isfinite(x).all() for *_, x in found):
        advice = (
            "Actions are in [-1, 1] here. What a policy asked for before the simulator limited it "
            "is to be clipped, `np.clip(actions, -1, 1)`; only if all are in another unit, scale "
            "them."
        )
    return (
        f"`{name}` of episode {episode} must be finite and within ±{_bound(name):g}: row {rows[0]} "
        f"is not ({value:g}; {n_rows} such rows in {len(found)} episode(s)). {advice}"
    )


def to_trajectories(episodes: Sequence[Episode], task: Task) -> tuple[Trajectory, ...]:
    """Return validated episodes as trajectories of ``task``.

    States are the recorded ones, else those that the observations determine, else None.
    """
    state_of = find(task.family).state_of
    return tuple(
        Trajectory(
            observations=e["observations"],
            actions=e["actions"],
            rewards=e["rewards"],
            states=e.get("states", state_of(e["observations"]) if state_of else None),
            task=task,
        )
        for e in episodes
    )
