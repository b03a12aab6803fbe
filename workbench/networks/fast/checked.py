"""Doubles: optimised ways to compute what a plain way computes, tried before they are used.

A plain way and its fast double take the same arguments::

    SUMS = Double("sums", plain_sums, fast_sums, trial, TOLERANCE["fp32"])
    way = SUMS.choose(sizes, network)  # plain or fast; the first call for ``sizes`` tries both
    result = way(network, x)

The double is taken where it was seen to give the plain numbers in less time. Where it differs,
raises (as it does where torch lacks an operator) or is no faster, the plain way is taken, and
``python -m workbench doctor`` says so. It is tried once on a machine: ``remembered``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from workbench.networks.fast import remembered

Way = TypeVar("Way", bound=Callable[..., Any])

TOLERANCE = {"fp32": 1e-5, "bf16": 0.1, "bf16 gradient": 0.25}
"""Largest difference of a double, as a share of the largest plain number.

float32 resolves 1e-7 and our networks are shallow: sums in another order differ by 1e-6. bfloat16
resolves 0.8 %: on the networks that ship, right ways differ by up to 0.03 in actions and by 0.11 in
the gradient of a prompt, which plain bfloat16 misses by as much. Without a mask, a bias or a norm's
shift they would differ by at least 0.14 and 0.35.
"""

_ROUNDS = 5
_SHORT = 3e-3  # seconds of CPU time; what takes less on both ways is not worth timing
_CLEARLY = 1.1  # so many times as fast is more than noise: no further round is needed


@dataclass(frozen=True)
class Verdict:
    """What the trial of a double has shown.

    Attributes:
        double: Its name.
        case: What it was tried for; the verdict holds for nothing else.
        used: Whether the double is used; the plain way is if not.
        why: The reason, in words.
    """

    double: str
    case: Hashable
    used: bool
    why: str


@dataclass(frozen=True, eq=False)
class Double(Generic[Way]):
    """A plain way of computing something, and a fast one that must give the same.

    Results may depend, within ``tolerance``, on which of the two runs. So that this does not hang
    on the noise of a clock, the first verdict on a machine holds; and offer a double only what it
    computes clearly faster, and leave the rest, such as small batches, to the plain way by a rule.

    Attributes:
        name: As the doctor calls it.
        plain: The plain way.
        fast: The fast way: same arguments, same results.
        trial: ``trial(way, rng, *given)`` prepares one of the two on a random batch of the real
            shapes, drawn from the generator ``rng`` and from nowhere else, and returns a function
            of no arguments. That is timed, and returns all numbers that are to agree, gradients
            too. It should take some 10 ms.
        tolerance: The largest difference allowed; see ``TOLERANCE``.
    """

    name: str
    plain: Way
    fast: Way
    trial: Callable[..., Callable[[], Sequence[Tensor]]]
    tolerance: float

    def choose(self, case: Hashable, *given: object) -> Way:
        """Return the way to use; the first call for a ``case`` on this machine tries both.

        Args:
            case: All that the verdict may depend on: sizes and modes, not weights.
            given: What ``trial`` needs besides: a network of these sizes, say.
        """
        if _plain_only.on:
            return self.plain
        verdict = _verdicts.get((self.name, case))
        if verdict is None:
            with _lock:  # trials at the same time would disturb each other's clocks
                verdict = _verdicts.get((self.name, case)) or self._verdict(case, given)
                _verdicts[self.name, case] = verdict
        return self.fast if verdict.used else self.plain

    def _verdict(self, case: Hashable, given: Sequence[object]) -> Verdict:
        if (kept := remembered.recalled(self.name, case)) is not None:
            return Verdict(self.name, case, *kept)
        try:
            with plain_only(), _fresh_modes():
                plain, fast = (run() for run in self._prepared(given))
                difference = _difference(plain, fast)
                if not difference <= self.tolerance:  # NaN is not either
                    why = f"its numbers differ by {difference:.1g}, {self.tolerance:.0g} is allowed"
                    return Verdict(self.name, case, False, why)
                speed = self._speed(given)
        except Exception as error:  # whatever is wrong with a double, the plain way can run
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            return Verdict(self.name, case, False, why)
        times = f"{speed:.1f} times as fast as the plain way"
        if speed == torch.inf:
            times = f"both ways take less than {1e3 * _SHORT:.0f} ms"
        why = f"{times}, numbers differ by {difference:.0g}"
        return Verdict(self.name, case, *remembered.first(self.name, case, speed > 1, why))

    def _prepared(self, given: Sequence[object]) -> list[Callable[[], Sequence[Tensor]]]:
        """Return trials of the plain and the fast way, on the same batch."""
        ways = self.plain, self.fast
        return [self.trial(way, torch.Generator().manual_seed(0), *given) for way in ways]

    def _speed(self, given: Sequence[object]) -> float:
        """Return how many times as fast as the plain way the double is, in the best of rounds.

        Infinite where both take no time to speak of: for tiny networks a clock would throw dice.
        """
        best = torch.full((2, 2), torch.inf)  # of the plain and the fast way: CPU and wall time
        for _ in range(_ROUNDS):
            for i, run in enumerate(self._prepared(given)):
                best[i] = best[i].minimum(torch.tensor(_seconds(run)))
            cpu, wall = (best[0] / best[1]).tolist()
            if best[:, 0].max() < _SHORT:
                cpu = torch.inf
            # Other programs disturb the wall clock; it counts where a double waits, not computes.
            speed = cpu if 2 * wall > 1 else wall
            if speed > _CLEARLY:
                break
        return speed


def verdicts() -> tuple[Verdict, ...]:
    """Return what this process knows of trials so far, its own and remembered ones."""
    return tuple(_verdicts.values())


@contextlib.contextmanager
def plain_only() -> Iterator[None]:
    """Let every ``choose`` of this thread return the plain way, untried."""
    before, _plain_only.on = _plain_only.on, True
    try:
        yield
    finally:
        _plain_only.on = before


class _PlainOnly(threading.local):
    on = False


_plain_only, _lock = _PlainOnly(), threading.Lock()
_verdicts: dict[tuple[str, Hashable], Verdict] = {}


@contextlib.contextmanager
def _fresh_modes() -> Iterator[None]:
    """Undo what the caller may be in the middle of: a trial takes gradients of its own."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        yield


def _difference(plain: Sequence[Tensor], fast: Sequence[Tensor]) -> float:
    """Return the largest difference of any two tensors, as a share of the largest plain number."""
    shares = [0.0]
    for p, f in zip(plain, fast, strict=True):
        if p.shape != f.shape:
            raise ValueError(f"its shape is {tuple(f.shape)}, the plain one {tuple(p.shape)}")
        largest = p.double().abs().max()
        shares.append(float((f.double() - p.double()).abs().max() / largest.clamp(min=1e-30)))
    return float(torch.tensor(shares).max())  # NaN, where any is


def _seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this thread and the wall time that a call takes."""
    wall, cpu = time.perf_counter(), time.thread_time()
    run()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
    # several threads compute, or the clock ticks too slowly (Windows): the wall clock alone
    coarse = time.get_clock_info("thread_time").resolution > 1e-4
    return (wall, wall) if coarse or torch.get_num_threads() > 1 else (cpu, wall)
