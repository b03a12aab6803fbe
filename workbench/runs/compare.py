"""One tuning beside what it is compared with: the untuned prompt, in the same episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workbench.data.rollout import Evaluation, half_width
from workbench.data.trajectory import Normalizer, Segment
from workbench.runs.store import RunStore
from workbench.tuning.loop import TuneStep, run, run_resolved
from workbench.tuning.spec import Resolved, RunSpec, acting_model

Role = Literal["preview", "untuned", "tuned"]


def compare(spec: RunSpec, store: RunStore) -> Iterator[tuple[Role, TuneStep]]:
    """Run the untuned prompt, then the tuning, and record both.

    The very first item is a preview: the prompts before any update, and the denoising chain that
    made them if there is one, without an evaluation: so a page has something to draw at once.

    Args:
        spec: A run of any method that is not the untuned prompt.
        store: Where both runs are kept. The untuned run is read back if it is there.

    Raises:
        ValueError: if ``spec`` tunes nothing.
    """
    if spec.is_untuned:
        raise ValueError("There is nothing to compare: this run is the untuned prompt itself.")
    found = spec.resolved()
    yield "preview", preview(found)
    untuned = spec.untuned
    if store.whole(untuned.id):
        (first,) = store.load(untuned.id, acting_model(untuned))
    else:
        (first,) = store.record(untuned, run(untuned))
    yield "untuned", first
    for step in store.record(spec, run_resolved(found)):
        yield "tuned", step


def preview(found: Resolved) -> TuneStep:
    """Return update 0 of a run without its evaluation: prompts, and the chain that made them."""
    learner = found.start()
    snapshot = learner.snapshot()
    return TuneStep(0, {}, 0.0, snapshot, n_trainable=learner.n_trainable, trace=snapshot.trace)


def watch(spec: RunSpec, store: RunStore, *, anew: bool = False) -> Iterator[TuneStep]:
    """Yield a preview, so that there is something to draw at once, then the steps of a run.

    Args:
        spec: Any run, also of the untuned prompt.
        store: Where it is recorded.
        anew: Whether it is recorded also where the store has it. Else a run that is there, by
            whomever, stays when it is run again to be looked at, even if that is stopped.
    """
    found = spec.resolved()
    yield preview(found)
    steps = run_resolved(found)
    yield from steps if spec.id in store and not anew else store.record(spec, steps)


def without_preview(steps: Iterable[TuneStep]) -> tuple[TuneStep, ...]:
    """Return the steps of ``watch`` without the preview once update 0 itself is there."""
    steps = tuple(steps)
    return steps[1:] if len(steps) > 1 and steps[0].evaluation is None else steps


def paired(a: Evaluation, b: Evaluation) -> tuple[float, float]:
    """Return b's return minus a's, paired over episodes: mean and 95 % half-width.

    The interval is over initial states; the seed and its prompts are held fixed.

    Raises:
        ValueError: if the two are not of the same episodes.
    """
    if a.seeds != b.seeds or len(a.returns) != len(b.returns):
        raise ValueError(
            f"Only the same episodes can be paired: got {len(a.returns)} and {len(b.returns)}, "
            f"seeds {a.seeds} and {b.seeds}. Evaluate both with the same seeds."
        )
    pairs = b.returns - a.returns
    return float(pairs.mean()), half_width(pairs)


def prompt_distance(a: Segment, b: Segment, normalizer: Normalizer) -> float | None:
    """Return how far two sets of prompts are apart, in standard deviations of the training data.

    It is the root mean square over prompts, rows, observations and actions; prompt i of one is
    compared with prompt i of the other.

    Returns:
        None if they do not match in number and length, as where there is no prompt at all.
    """
    n = normalizer.n_observations + normalizer.n_actions
    x, y = (normalizer.pack(prompt)[0][..., :n] for prompt in (a, b))
    if x.shape != y.shape or not x.numel():
        return None
    return float(np.sqrt((x - y).square().mean().item()))


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is known of a comparison so far.

    Attributes:
        spec: The tuned run.
        preview: The prompts and the chain before any update, or None.
        untuned: The evaluated untuned prompt, or None while it is not there yet.
        steps: Steps of the tuning so far.
    """

    spec: RunSpec
    preview: TuneStep | None
    untuned: TuneStep | None
    steps: tuple[TuneStep, ...]

    @classmethod
    def of(cls, spec: RunSpec, items: Iterable[tuple[Role, TuneStep]]) -> Comparison:
        """Fold what ``compare`` has yielded so far."""
        by_role: dict[str, list[TuneStep]] = {"preview": [], "untuned": [], "tuned": []}
        for role, step in items:
            by_role[role].append(step)
        last = {role: steps[-1] if steps else None for role, steps in by_role.items()}
        return cls(spec, last["preview"], last["untuned"], tuple(by_role["tuned"]))

    @classmethod
    def stored(cls, spec: RunSpec, store: RunStore) -> Comparison | None:
        """Read a comparison back from a store; None if it lacks either, or its films."""
        if not (store.whole(spec.id) and store.whole(spec.untuned.id)):
            return None
        (untuned,) = store.load(spec.untuned.id, acting_model(spec.untuned))
        return cls(spec, None, untuned, tuple(store.load(spec.id, acting_model(spec))))

    @property
    def evaluated(self) -> tuple[TuneStep, ...]:
        """The evaluated steps of the tuning."""
        return tuple(step for step in self.steps if step.evaluation is not None)

    def difference(self, step: TuneStep) -> tuple[float, float]:
        """Return tuned minus untuned return, paired over episodes: mean and 95 % half-width."""
        assert self.untuned is not None  # a tuning is evaluated after it
        assert self.untuned.evaluation is not None
        assert step.evaluation is not None
        return paired(self.untuned.evaluation, step.evaluation)
