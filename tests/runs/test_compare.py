"""One tuning beside the untuned prompt, paired episode by episode."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import TOY, record
from workbench.data.rollout import Evaluation
from workbench.data.trajectory import Segment, Trajectories
from workbench.methods import METHODS
from workbench.runs.compare import (
    Comparison,
    compare,
    paired,
    prompt_distance,
    watch,
    without_preview,
)
from workbench.runs.store import RunStore
from workbench.runs.tunings import tunings
from workbench.shipped import full_data
from workbench.tuning.loop import TuneStep, run
from workbench.tuning.spec import RunSpec

WITHOUT_A_CHAIN = {
    "mt-orl", "soft-prompt", "adapter", "hdt", "prompt-tuning-dt", "prompt-bandit",
    "prompt-dt-ft", "prompt-dt-ft-full", "prompt-vae", "prompt-gan",
}  # fmt: skip


@pytest.fixture
def spec(shipped):
    return RunSpec("toy", 5, settings={"batch_size": 4}, updates=3, eval_every=2, episodes=3)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def items(spec, store):
    return list(compare(spec, store))


def test_a_comparison_is_a_preview_then_the_untuned_prompt_then_the_tuning(items):
    assert [role for role, _ in items] == ["preview", "untuned", *["tuned"] * 4]
    assert [step.update for _, step in items] == [0, 0, 0, 1, 2, 3]


def test_both_runs_are_recorded(items, spec, store):
    assert set(store.ids()) == {spec.id, spec.untuned.id}


def test_both_runs_are_what_they_are_alone(items, spec):
    (untuned,) = run(spec.untuned)
    np.testing.assert_array_equal(items[1][1].evaluation.returns, untuned.evaluation.returns)
    for (_, step), want in zip(items[2:], run(spec), strict=True):
        assert (step.metrics, step.gradients) == (want.metrics, want.gradients)


def test_the_preview_is_the_chain_that_the_tuning_starts_from(items):
    preview, first = items[0][1], items[2][1]
    assert preview.evaluation is None
    assert torch.equal(preview.snapshot.trace.x, first.snapshot.trace.x)


def test_both_act_in_the_same_episodes(items):
    untuned, tuned = items[1][1].evaluation, items[-1][1].evaluation
    assert untuned.seeds == tuned.seeds
    for a, b in zip(untuned.trajectories, tuned.trajectories, strict=True):
        np.testing.assert_array_equal(a.states[0], b.states[0])


def test_a_recorded_untuned_run_is_read_back(items, spec, store):
    path = store.root / spec.untuned.id / "steps.jsonl"
    path.write_text(path.read_text().replace('"returns": [', '"returns": [123.0, '))
    again = list(compare(spec, store))
    assert again[1][1].evaluation.returns[0] == 123.0
    assert [role for role, _ in again] == [role for role, _ in items]


def test_stopping_in_the_middle_keeps_the_untuned_run_only(spec, store):
    stream = compare(spec, store)
    for _ in range(4):
        next(stream)
    stream.close()
    assert store.ids() == [spec.untuned.id]
    assert Comparison.stored(spec, store) is None


def test_a_comparison_folds_what_there_is_so_far(items, spec):
    nothing = Comparison.of(spec, [])
    assert (nothing.preview, nothing.untuned, nothing.steps) == (None, None, ())
    one = Comparison.of(spec, items[:1])
    assert one.preview is items[0][1]
    assert one.untuned is None
    some = Comparison.of(spec, items[:4])
    assert some.untuned is items[1][1]
    assert some.steps == tuple(step for _, step in items[2:4])
    assert [s.update for s in some.evaluated] == [0]
    whole = Comparison.of(spec, items)
    assert [s.update for s in whole.evaluated] == [0, 2, 3]


def test_a_stored_comparison_equals_the_live_one(items, spec, store):
    live, stored = Comparison.of(spec, items), Comparison.stored(spec, store)
    assert [s.metrics for s in stored.steps] == [s.metrics for s in live.steps]
    assert [s.gradients for s in stored.steps] == [s.gradients for s in live.steps]
    for a, b in zip(
        (live.untuned, *live.evaluated), (stored.untuned, *stored.evaluated), strict=True
    ):
        np.testing.assert_allclose(b.evaluation.returns, a.evaluation.returns, atol=1e-4)
    assert stored.difference(stored.steps[-1]) == pytest.approx(
        live.difference(live.steps[-1]), abs=1e-3
    )


@pytest.mark.parametrize("missing", ["spec", "untuned"])
def test_half_a_comparison_is_none(items, spec, store, missing):
    name = spec.id if missing == "spec" else spec.untuned.id
    (store.root / name / "result.json").unlink()
    assert Comparison.stored(spec, store) is None


def evaluated(task, returns):
    return TuneStep(0, {}, 0.0, None, Evaluation(task, (), np.array(returns), ()))


def test_the_difference_is_paired_over_episodes(toy):
    """By hand: differences 1, 2, 3, 6 have mean 3, sd sqrt(14/3); Student's t of 3 is 3.182446."""
    task = toy.task(5)
    untuned, tuned = [-50.0, -10.0, -30.0, -20.0], [-49.0, -8.0, -27.0, -14.0]
    comparison = Comparison(None, None, evaluated(task, untuned), ())
    mean, half = comparison.difference(evaluated(task, tuned))
    assert mean == pytest.approx(3)
    assert half == pytest.approx(3.182446 * (14 / 3) ** 0.5 / 2)


def test_one_episode_says_nothing_about_the_spread(toy):
    comparison = Comparison(None, None, evaluated(toy.task(5), [1.0]), ())
    mean, half = comparison.difference(evaluated(toy.task(5), [4.0]))
    assert mean == 3
    assert half == np.inf


@pytest.mark.parametrize("name", [n for n in METHODS if n != "prompt-dt"])
def test_any_method_is_compared(shipped, store, name, tmp_path, monkeypatch):
    monkeypatch.setattr(full_data, "FOLDER", tmp_path / "full")
    monkeypatch.setattr(full_data, "EPISODES", 20)
    settings = {"batch_size": 4} if hasattr(METHODS[name](), "batch_size") else {}
    spec = RunSpec("toy", 5, method=name, settings=settings, updates=2, eval_every=1, episodes=2)
    items = list(compare(spec, store))
    assert [role for role, _ in items] == ["preview", "untuned", *["tuned"] * 3]
    preview, first = items[0][1].snapshot, items[2][1].snapshot
    for field, value in vars(preview.policy.prompt).items():
        assert torch.equal(getattr(first.policy.prompt, field), value), field
    assert (preview.trace is None) == (name in WITHOUT_A_CHAIN)
    live, stored = Comparison.of(spec, items), Comparison.stored(spec, store)
    assert stored.difference(stored.steps[-1]) == pytest.approx(
        live.difference(live.steps[-1]), abs=1e-3
    )
    (row,) = tunings(store.index()).to_dict("records")
    assert (row["run"], row["method"]) == (spec.id, name)
    assert pd.isna(row["lam"]) is (not hasattr(METHODS[name](), "lam"))
    assert bool(pd.isna(row["conflict_share"])) == (items[-1][1].gradients is None)


def test_methods_share_their_untuned_run(shipped, store):
    fields = {"updates": 1, "eval_every": 0, "episodes": 2}
    for name in ("soft-prompt", "adapter"):
        list(compare(RunSpec("toy", 5, method=name, **fields), store))
    assert len(store.ids()) == 3
    assert set(tunings(store.index())["method"]) == {"soft-prompt", "adapter"}


def test_the_untuned_prompt_itself_is_not_compared(shipped, store):
    with pytest.raises(ValueError, match="nothing to compare"):
        next(compare(RunSpec("toy", 5, method="prompt-dt"), store))


def test_watching_begins_with_a_preview_and_records_the_run(spec, store):
    steps = list(watch(spec, store))
    assert [(s.update, s.evaluation is None) for s in steps] == [
        (0, True), (0, False), (1, True), (2, False), (3, False),
    ]  # fmt: skip
    assert store.ids() == [spec.id]
    assert torch.equal(steps[0].trace.x, steps[1].trace.x)
    assert [s.update for s in without_preview(steps)] == [0, 1, 2, 3]
    assert without_preview(steps[:1]) == (steps[0],)
    assert without_preview([]) == ()
    assert without_preview(steps[1:]) == tuple(steps[1:])


def test_a_run_that_is_there_can_be_watched_again_without_being_touched(spec, store):
    list(watch(spec, store))
    path = store.root / spec.id / "result.json"
    before = path.read_bytes()
    stream = watch(spec, store)
    assert [next(stream).update for _ in range(3)] == [0, 0, 1]
    stream.close()
    assert path.read_bytes() == before


def test_the_untuned_prompt_can_be_watched_too(spec, store):
    steps = list(watch(spec.untuned, store))
    assert [s.update for s in steps] == [0, 0]
    assert steps[1].evaluation is not None
    assert steps[0].trace is None


def test_only_the_same_episodes_are_paired(toy):
    task = toy.task(5)
    a = Evaluation(task, (1, 2, 3), np.array([1.0, 2.0, 3.0]), ())
    b = Evaluation(task, (1, 2, 3), np.array([2.0, 4.0, 6.0]), ())
    mean, half = paired(a, b)
    assert mean == 2
    assert half == pytest.approx(4.302653 / 3**0.5)  # sd 1, Student's t with 2 degrees of freedom
    for other in (
        Evaluation(task, (1, 2, 4), b.returns, ()),
        Evaluation(task, (), b.returns[:2], ()),
    ):
        with pytest.raises(ValueError, match="same episodes"):
            paired(a, other)


def test_the_distance_of_prompts_is_in_standard_deviations(model, draw):
    normalizer, (o, a) = model.normalizer, (3, 1)
    prompt = Trajectories(record(TOY.task(5), 2)).segments(np.array([0, 1]), np.array([0, 2]), 3)
    assert prompt_distance(prompt, prompt, normalizer) == 0
    moved = dataclasses.replace(
        prompt,
        observations=prompt.observations + 2 * normalizer.scale[:o],
        actions=prompt.actions + 2 * normalizer.scale[o : o + a],
        rewards=prompt.rewards + 7,  # which the transformer does not read
    )
    assert prompt_distance(prompt, moved, normalizer) == pytest.approx(2, rel=1e-5)
    only = dataclasses.replace(prompt, actions=prompt.actions + 2 * normalizer.scale[o : o + a])
    assert prompt_distance(prompt, only, normalizer) == pytest.approx(1, rel=1e-5)  # sqrt(4 / 4)
    assert prompt_distance(prompt, prompt[[0]], normalizer) is None
    empty = Segment.empty(TOY, 2)
    assert prompt_distance(empty, empty, normalizer) is None
