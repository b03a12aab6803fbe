"""Runs on disk: complete only when the result is there, and read back as they were."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from workbench.data.rollout import evaluate
from workbench.methods import METHODS
from workbench.networks.fast.processor import has_bf16
from workbench.runs.run_folder import FORMAT, WITH_LINES, nested, summary
from workbench.runs.store import RunStore
from workbench.shipped import full_data
from workbench.shipped.assets import ROOT
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec, acting_model

SETTINGS = {"batch_size": 4}
HALVES = {"atol": 5e-3, "rtol": 1e-3}
"""Of what is drawn, not computed with."""


@pytest.fixture
def spec(shipped):
    return RunSpec("toy", 5, settings=SETTINGS, updates=3, eval_every=2, episodes=3)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def recorded(store, spec):
    """A recorded run and its steps."""
    return list(store.record(spec, run(spec)))


def test_recording_passes_every_step_on(store, spec):
    plain = list(run(spec))
    for step, want in zip(store.record(spec, run(spec)), plain, strict=True):
        assert (step.update, step.metrics) == (want.update, want.metrics)


def test_the_result_is_written_last(store, spec):
    folder = store.root / spec.id
    for step in store.record(spec, run(spec)):
        assert spec.id not in store
        assert store.ids() == []
        assert not (folder / "result.json").exists()
        lines = (folder / "steps.jsonl").read_text().splitlines()
        assert len(lines) == step.update + 1, "a line per update, as they come"
        assert json.loads((folder / "spec.json").read_text())["family"] == "toy"
    assert spec.id in store
    assert store.ids() == [spec.id]


def test_a_run_is_read_back_with_equal_numbers(store, spec, recorded, model):
    again = store.load(spec.id, model)
    assert store.spec(spec.id).id == spec.id
    assert store.spec(spec.id).canonical == spec.canonical
    assert [s.update for s in again] == [0, 1, 2, 3]
    for a, b in zip(recorded, again, strict=True):
        assert (b.metrics, b.gradients) == (a.metrics, a.gradients)
        assert b.seconds == pytest.approx(a.seconds, abs=1e-4)
        assert (b.evaluation is None) == (a.evaluation is None)
        if a.evaluation is None:
            assert b.snapshot is None
            continue
        np.testing.assert_allclose(b.evaluation.returns, a.evaluation.returns, atol=1e-4)
        assert b.evaluation.seeds == a.evaluation.seeds
        assert b.evaluation.task == a.evaluation.task
        assert b.evaluation.summary() == pytest.approx(a.evaluation.summary(), abs=2e-3)
        first, other = a.evaluation.trajectories[0], b.evaluation.trajectories[0]
        for name in ("observations", "actions", "rewards", "states"):
            np.testing.assert_array_equal(getattr(other, name), getattr(first, name))
        for name, value in vars(a.snapshot.trace).items():
            first = value[:1] if name == "y" else value[:, :1]
            torch.testing.assert_close(getattr(b.snapshot.trace, name), first, **HALVES)


def test_the_first_chain_of_every_tenth_update_is_kept(shipped, store, model):
    spec = RunSpec("toy", 5, settings=SETTINGS, updates=25, eval_every=25, episodes=2)
    written = list(store.record(spec, run(spec)))
    again = store.load(spec.id, model)
    assert [s.update for s in written if s.trace is not None] == [0, 10, 20, 25]
    for a, b in zip(written, again, strict=True):
        assert (a.trace is None) == (b.trace is None)
        if a.trace is not None and a.evaluation is None:
            assert a.trace.x.shape[1] == b.trace.x.shape[1] == 1
            for name, value in vars(a.trace).items():
                torch.testing.assert_close(getattr(b.trace, name), value, **HALVES)
        elif a.trace is not None:
            torch.testing.assert_close(b.trace.x, a.trace.x[:, :1], **HALVES)
            assert a.trace is a.snapshot.trace


def test_a_run_that_is_evaluated_at_its_end_alone_keeps_no_other_chain(shipped, store):
    spec = RunSpec("toy", 5, settings=SETTINGS, updates=12, eval_every=0, episodes=2)
    assert [s.update for s in store.record(spec, run(spec)) if s.trace is not None] == [12]
    assert not (store.root / spec.id / "traces").exists()


def test_a_policy_read_back_acts_as_it_did(store, spec, recorded, model, toy):
    for step in store.load(spec.id, model):
        if step.evaluation is not None:
            assert step.snapshot.policy.model is model
            got = evaluate(step.snapshot.policy, toy.task(5), step.evaluation.seeds)
            np.testing.assert_allclose(got.returns, step.evaluation.returns, atol=1e-4)


def test_what_is_told_of_gradients_is_one_value_in_the_file(store, spec, recorded):
    lines = [json.loads(s) for s in (store.root / spec.id / "steps.jsonl").read_text().splitlines()]
    assert lines[1].keys() == {"update", "seconds", "loss_dm", "loss_dt", "gradients"}
    told, value = lines[1]["gradients"], recorded[1].gradients
    assert told.keys() == {"cosine", "conflict", "removed", "plane", "tensors"}
    assert told["conflict"] is value.conflict
    assert told["plane"] == vars(value.plane)
    assert told["tensors"] == {n: vars(a) for n, a in value.tensors.items()}


def test_the_flat_form_of_old_runs_is_read_as_the_same_values(store, spec, recorded, model):
    """Up to format 2 each number of the gradients had a name of its own."""
    path, flat = store.root / spec.id / "steps.jsonl", []
    for line in map(json.loads, path.read_text().splitlines()):
        if told := line.pop("gradients", None):
            tensors, plane = told.pop("tensors"), told.pop("plane")
            line |= {**told, "conflict": float(told["conflict"]), **plane}
            line |= {f"{n}/{of}": v for of, agreed in tensors.items() for n, v in agreed.items()}
        flat.append(json.dumps(line) + "\n")
    path.write_text("".join(flat))
    for a, b in zip(recorded, store.load(spec.id, model), strict=True):
        assert (b.metrics, b.gradients) == (a.metrics, a.gradients)


def test_the_oldest_runs_have_neither_plane_nor_tensors():
    line = {"update": 1, "loss_dm": 0.5, "cosine": 0.1, "conflict": 0.0, "removed": 0.0}
    told = {"cosine": 0.1, "conflict": False, "removed": 0.0, "plane": None, "tensors": {}}
    assert nested(line) == {"update": 1, "loss_dm": 0.5, "gradients": told}
    assert line["cosine"] == 0.1, "what is read is not changed"
    assert nested(nested(line)) == nested(line)


def test_shipped_runs_are_read_whatever_their_form():
    store = RunStore(ROOT / "runs")
    for run_id in store.ids():
        spec = store.spec(run_id)
        lines = (store.folder(run_id) / "steps.jsonl").read_text().splitlines()
        for step, line in zip(store.load(run_id, acting_model(spec)), lines, strict=True):
            assert step.metrics.keys() <= {"loss_dm", "loss_dt", "return_mean", "env_steps"}
            numbers = json.loads(line)
            if step.gradients is None:
                assert "cosine" not in line
            elif "gradients" not in numbers:
                assert step.gradients.cosine == numbers["cosine"]
                assert step.gradients.plane.kept_outside == numbers["kept_outside"]
                for name, agreement in step.gradients.tensors.items():
                    assert agreement.norm_dt == numbers[f"norm_dt/{name}"]


@pytest.mark.parametrize("name", METHODS)
def test_a_run_of_any_method_acts_as_it_did_when_it_is_read_back(
    store, shipped, toy, name, tmp_path, monkeypatch
):
    monkeypatch.setattr(full_data, "FOLDER", tmp_path / "full")
    monkeypatch.setattr(full_data, "EPISODES", 20)
    settings = SETTINGS if hasattr(METHODS[name](), "batch_size") else {}
    spec = RunSpec("toy", 5, method=name, settings=settings, updates=2, eval_every=1, episodes=3)
    written = list(store.record(spec, run(spec)))
    again = store.load(spec.id, acting_model(spec))
    for a, b in zip(written, again, strict=True):
        assert (a.metrics, a.gradients) == (b.metrics, b.gradients)
        assert a.snapshot.weights.keys() == b.snapshot.weights.keys()
        for step in (a, b):
            assert not any(p.requires_grad for p in step.snapshot.policy.model.parameters())
        first, second = (evaluate(s.snapshot.policy, toy.task(5), [1, 2, 3]) for s in (a, b))
        for x, y in zip(first.trajectories, second.trajectories, strict=True):
            np.testing.assert_array_equal(x.actions, y.actions)


def test_the_untuned_run_is_read_back_without_a_trace(store, spec, model):
    (written,) = store.record(spec.untuned, run(spec.untuned))
    (again,) = store.load(spec.untuned.id, model)
    assert again.snapshot.trace is None
    for name, value in vars(written.snapshot.policy.prompt).items():
        assert torch.equal(getattr(again.snapshot.policy.prompt, name), value)


def test_the_result_sums_up_every_evaluation(store, spec, recorded):
    result = json.loads((store.root / spec.id / "result.json").read_text())
    want = [{"update": s.update, **s.evaluation.summary()} for s in recorded if s.evaluation]
    assert result.pop("update_seconds") > 0
    assert result.pop("n_trainable") == recorded[-1].n_trainable > 0
    assert result.pop("computed_in") == ("bf16" if has_bf16() else "fp32")
    assert result == {"format": WITH_LINES, "id": spec.id, "evaluations": want}


def test_a_store_of_numbers_alone_says_the_same_in_less_room(store, spec, recorded, model):
    few = RunStore(store.root.parent / "few", numbers_alone=True)
    for step, want in zip(few.record(spec, iter(recorded)), recorded, strict=True):
        assert step is want
    folder = few.root / spec.id
    kept = {p.relative_to(folder).as_posix(): p.stat().st_size for p in folder.rglob("*.*")}
    assert kept.keys() == {
        "spec.json", "steps.jsonl", "steps.json.xz", "result.json", "evaluated/3.safetensors"
    }  # fmt: skip
    assert kept["steps.jsonl"] == 0
    whole = sum(p.stat().st_size for p in (store.root / spec.id).rglob("*.*"))
    assert sum(kept.values()) < whole / 2
    now, was = summary(folder), summary(store.root / spec.id)
    assert now.keys() == was.keys()
    for name, value in was.items():
        same = pytest.approx(value, rel=1e-3, nan_ok=True) if isinstance(value, float) else value
        assert now[name] == same, name
    for got, want in zip(few.returns(spec.id), store.returns(spec.id), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert few.result(spec.id) == store.result(spec.id) | {"format": FORMAT, "kept": "numbers"}
    prompt = load_file(folder / "evaluated" / "3.safetensors")
    torch.testing.assert_close(
        prompt["prompt.actions"], recorded[-1].snapshot.policy.prompt.actions
    )
    assert (store.whole(spec.id), few.whole(spec.id), few.whole("nothing")) == (True, False, False)
    for step, want in zip(few.numbers(spec.id), recorded, strict=True):
        assert (step.update, step.snapshot, step.trace) == (want.update, None, None)
        assert step.metrics == pytest.approx(want.metrics)
        assert (step.evaluation is None) == (want.evaluation is None)
        assert (step.gradients is None) == (want.gradients is None)
    with pytest.raises(ValueError, match=r"numbers alone.*python -m workbench tune toy"):
        few.load(spec.id, model)


def test_either_kind_of_record_replaces_the_other(store, spec, recorded, model):
    few = RunStore(store.root, numbers_alone=True)
    for other in (few, store, few, store):
        list(other.record(spec, iter(recorded)))
        assert store.whole(spec.id) == (other is store)
        assert [line["update"] for line in store.lines(spec.id)] == [0, 1, 2, 3]
        assert (store.root / spec.id / "steps.json.xz").exists() == (other is few)
    assert len(store.load(spec.id, model)) == 4


@pytest.mark.parametrize("keep", [1, 2, 3, 4])
def test_a_stream_closed_early_leaves_no_complete_run(store, spec, keep, model):
    stream = store.record(spec, run(spec))
    for _ in range(keep):
        next(stream)
    stream.close()
    assert spec.id not in store
    assert store.ids() == []
    recorded = list(store.record(spec, run(spec)))
    assert spec.id in store
    assert len(store.load(spec.id, model)) == len(recorded) == 4


def test_a_stream_that_raises_leaves_no_complete_run(store, spec, model):
    def failing():
        for step in run(spec):
            yield step
            if step.update == 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        list(store.record(spec, failing()))
    assert spec.id not in store
    assert len(list(store.record(spec, run(spec)))) == 4
    assert len(store.load(spec.id, model)) == 4


def test_recording_again_makes_the_run_incomplete_until_it_ends(store, spec, recorded):
    stream = store.record(spec, run(spec))
    next(stream)
    assert spec.id not in store
    stream.close()


def test_ids_come_newest_first(store, spec, recorded):
    list(store.record(spec.untuned, run(spec.untuned)))
    for age, name in enumerate((spec.untuned.id, spec.id)):
        os.utime(store.root / name / "result.json", (1e9 - age, 1e9 - age))
    assert store.ids() == [spec.untuned.id, spec.id]
    os.utime(store.root / spec.id / "result.json", (2e9, 2e9))
    assert store.ids() == [spec.id, spec.untuned.id]


def test_nothing_but_the_runs_files_is_left(store, spec, recorded):
    names = {str(p.relative_to(store.root / spec.id)) for p in (store.root / spec.id).rglob("*.*")}
    evaluated = {f"evaluated/{update}.safetensors" for update in (0, 2, 3)}
    assert names == {"spec.json", "steps.jsonl", "result.json", *evaluated}


def test_an_empty_store_has_no_runs(store):
    assert store.ids() == []
    assert "anything" not in store
    with pytest.raises(ValueError, match="no readable run 'anything'"):
        store.spec("anything")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("spec.json", b""),
        ("spec.json", b"{"),
        ("spec.json", b"[1, 2]"),
        ("spec.json", b"7"),
        ("spec.json", b'{"family": "toy"}'),
        ("spec.json", b'{"family": "toy", "task": 5, "colour": "red"}'),
        ("spec.json", b'{"family": "toi", "task": 5}'),
        ("spec.json", None),
        ("steps.jsonl", b'{"update": 0, "seconds": 0.1}\n{"upda'),
        ("steps.jsonl", b'{"seconds": 0.1}\n'),
        ("steps.jsonl", b"[]\n"),
        ("steps.jsonl", b"\xff\xfe\n"),
        ("steps.jsonl", None),
        ("evaluated/2.safetensors", b"garbage"),
        ("evaluated/2.safetensors", b""),
        ("evaluated/2.safetensors", None),
    ],
    ids=str,
)
def test_a_damaged_run_is_a_clear_error(store, spec, recorded, model, file, content):
    path = store.root / spec.id / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"toi|" + spec.id):
        store.load(spec.id, model)


def test_evaluated_files_are_read_without_executing_anything(store, spec, recorded, model):
    """A pickle in a run's place is refused, not run."""

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("executed",))

    (store.root / spec.id / "evaluated" / "2.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=spec.id):
        store.load(spec.id, model)
