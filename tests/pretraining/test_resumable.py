"""A training on disk. That it goes on bit by bit: test_pretrain.py."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from workbench.pretraining import resumable
from workbench.pretraining.resumable import Checkpoint, TrainingState

MADE_FROM = {"family": "toy", "seed": 0, "settings": {"lr": 0.1, "names": ["a"]}}


def state(step):
    tensors = {
        "network.w": torch.full((2, 3), float(step)),
        "averaged.n_averaged": torch.tensor(step),
        "rng": torch.arange(5, dtype=torch.uint8),
    }
    plain = {"schedule": {"lr": 0.1 + 0.2}, "draw": {"state": 2**127 + step}}
    return TrainingState(step, MADE_FROM, tensors, plain)


def steps(n, asked):
    for i in range(1, n + 1):
        yield SimpleNamespace(
            step=i,
            loss=1 / i,
            measured={"loss_dt": float(i)} if i > 2 else {},
            state=lambda i=i: asked.append(i) or state(i),
        )


def test_a_state_comes_back_exactly(tmp_path):
    kept = Checkpoint(tmp_path, MADE_FROM)
    list(kept.keep(steps(3, []), 9, every=0))
    got, want = Checkpoint(tmp_path, MADE_FROM), state(3)
    assert got.losses == [1, 1 / 2, 1 / 3]
    assert (got.state.step, got.state.made_from) == (3, MADE_FROM)
    assert got.state.plain == want.plain, "floats and whole numbers of 128 bits"
    assert got.state.tensors.keys() == want.tensors.keys()
    for name, tensor in want.tensors.items():
        assert torch.equal(got.state.tensors[name], tensor)
        assert got.state.tensors[name].dtype == tensor.dtype


def test_what_was_measured_is_kept_and_averaged_in_bins(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "BIN", 4)
    list(Checkpoint(tmp_path, MADE_FROM).keep(steps(5, []), 99, every=0))
    resumed = Checkpoint(tmp_path, MADE_FROM)
    assert resumed.measured == {"loss_dt": [(3, 3.0), (4, 4.0), (5, 5.0)]}
    later = (step for step in steps(8, []) if step.step > 5)
    list(resumed.keep(later, 99, every=0))
    assert resumed.history() == {"loss_dt": [(4, 3.5), (8, 6.5)]}


def test_states_are_asked_for_now_and_then_only(tmp_path, monkeypatch):
    """Copying and writing every step would slow a training down."""
    clock = iter(range(1000))  # a second for each look at it
    monkeypatch.setattr(resumable.time, "perf_counter", lambda: float(next(clock)))
    asked = []
    passed = list(Checkpoint(tmp_path, MADE_FROM).keep(steps(20, asked), 20, every=5))
    assert [s.step for s in passed] == list(range(1, 21))
    assert asked == [5, 10, 15], "and not the last"


def test_the_last_step_is_not_kept(tmp_path):
    """Resumed from it, a training would yield nothing to save."""
    asked = []
    list(Checkpoint(tmp_path, MADE_FROM).keep(steps(4, asked), 4, every=0))
    assert asked == [1, 2, 3]
    assert Checkpoint(tmp_path, MADE_FROM).state.step == 3


def test_another_training_has_another_file(tmp_path):
    list(Checkpoint(tmp_path, MADE_FROM).keep(steps(2, []), 9, every=0))
    for change in ({"seed": 1}, {"settings": {"lr": 0.2, "names": ["a"]}}, {"family": "other"}):
        assert Checkpoint(tmp_path, {**MADE_FROM, **change}).state is None
    assert Checkpoint(tmp_path, dict(reversed(MADE_FROM.items()))).state.step == 2


def test_a_finished_training_leaves_nothing(tmp_path):
    kept = Checkpoint(tmp_path / "new", MADE_FROM)
    list(kept.keep(steps(2, []), 9, every=0))
    kept.remove()
    assert list((tmp_path / "new").iterdir()) == []
    kept.remove()


def test_a_kill_while_writing_leaves_the_file_before(tmp_path, monkeypatch):
    list(Checkpoint(tmp_path, MADE_FROM).keep(steps(2, []), 9, every=0))

    def half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(resumable, "save_file", half)
    again = Checkpoint(tmp_path, MADE_FROM)
    with pytest.raises(KeyboardInterrupt):
        list(again.keep(steps(3, []), 9, every=0))
    assert Checkpoint(tmp_path, MADE_FROM).state.step == 2


@pytest.mark.parametrize("damage", ["truncated", "emptied", "foreign"])
def test_a_damaged_file_says_what_to_do(tmp_path, damage):
    kept = Checkpoint(tmp_path, MADE_FROM)
    list(kept.keep(steps(2, []), 9, every=0))
    data = kept.path.read_bytes()
    if damage == "foreign":
        resumable.save_file({"x": torch.zeros(1)}, kept.path)
    else:
        kept.path.write_bytes(data[: len(data) // 2 if damage == "truncated" else 0])
    with pytest.raises(ValueError, match=r"no checkpoint of a training.*Delete it"):
        Checkpoint(tmp_path, MADE_FROM)


def test_a_state_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        state(1).step = 2
