"""What recorded rewards look like beside those that a task gives for the same steps.

The misfit of an episode is ``rms(recorded - replayed) / max(sd(recorded), 0.02)``: above 0.05 they
are not the task's own. So the limit is 5 % of the rewards' standard deviation, or 0.001 where they
hardly vary. Rewards that another rule gives exactly are named by it: a factor, a shift by a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

LIMIT, HARDLY = 0.05, 0.02
_EXACT = 0.005
"""Up to this misfit rewards are told by a rule; ours are at 1e-5 at most."""
_SMALLEST = 1e-6
_BETTER = 10.0
"""Another rule is believed only if its misfit is that much smaller."""


def misfit(recorded: np.ndarray, replayed: np.ndarray) -> float:
    """Return how far rewards (T,) of an episode are from replayed ones, see above."""
    return _rms(recorded - replayed) / max(float(recorded.std()), HARDLY)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def looks_like(recorded: Sequence[np.ndarray], tasks: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Say in one sentence what the rewards look like; "" if like the first task's, or like nothing.

    Args:
        recorded: Of each episode, (T,).
        tasks: A task's name → its rewards for the same steps; the supposed task first.
    """
    first = next(iter(tasks))
    plain = [misfit(r, p) for r, p in zip(recorded, tasks[first], strict=True)]
    odd = [i for i, m in enumerate(plain) if m > _EXACT]
    if not odd:
        return ""
    ours = [recorded[i] for i in odd]
    where = "They look" if len(odd) == len(plain) else f"Those of episode {_listed(odd)} look"
    if not any(np.any(r) for r in ours):
        return f"{where} as if none had been recorded: all are 0."
    spread = max(float(np.concatenate(ours).std()), _SMALLEST)
    limit = min(_EXACT, max(plain) / _BETTER)
    found = [
        (_rms(np.concatenate(r) - np.concatenate(p)) / spread, rank, words.format(task=name))
        for name, replayed in tasks.items()
        for rank, (words, r, p) in enumerate(_rules(ours, [replayed[i] for i in odd]))
        if all(len(x) for x in r)
    ]
    fitting = [(rank, error, words) for error, rank, words in found if error <= limit]
    return f"{where} like {min(fitting)[2]}." if fitting else ""


def _listed(odd: Sequence[int]) -> str:
    return ", ".join(map(str, odd[:5])) + (", …" if len(odd) > 5 else "")


_Parts = list[np.ndarray]


def _rules(recorded: _Parts, replayed: _Parts) -> Iterator[tuple[str, _Parts, _Parts]]:
    """Yield what others make of rewards, simplest first: in words, recorded, what that gives."""
    r, p = np.concatenate(recorded), np.concatenate(replayed)
    yield "those of {task}", recorded, replayed
    yield (
        "those of {task}, shifted by one row: each row has the reward of the row before",
        [x[1:] for x in recorded],
        [x[:-1] for x in replayed],
    )
    yield (
        "those of {task}, shifted by one row: each row has the reward of the row after",
        [x[:-1] for x in recorded],
        [x[1:] for x in replayed],
    )
    yield "those of {task}, rounded to whole numbers", recorded, [np.rint(x) for x in replayed]
    yield "the returns-to-go of {task}", recorded, [np.cumsum(x[::-1])[::-1] for x in replayed]
    factor = float(r @ p / (p @ p)) if np.any(p) else 0.0
    yield f"those of {{task}} × {factor:.4g}", recorded, [factor * x for x in replayed]
    offset = float(np.mean(r - p))
    sign = "-" if offset < 0 else "+"
    words = f"those of {{task}} {sign} {abs(offset):.4g}"
    yield words, recorded, [x + offset for x in replayed]
    spread = float(np.var(p))
    slope = float(np.mean((r - r.mean()) * (p - p.mean())) / spread) if spread else 0.0
    rest = float(r.mean() - slope * p.mean())
    sign = "-" if rest < 0 else "+"
    words = f"those of {{task}} × {slope:.4g} {sign} {abs(rest):.4g}"
    yield words, recorded, [slope * x + rest for x in replayed]
