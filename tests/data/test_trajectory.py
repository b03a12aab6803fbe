"""Trajectories, segments of them, and where segments are cut. Equations: test_equations.py."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import record
from workbench.data.trajectory import Normalizer, Segment, Trajectories, Trajectory


@pytest.fixture
def fields(demos):
    return {f.name: getattr(demos[0], f.name) for f in dataclasses.fields(Trajectory)}


def counted(task, lengths):
    """Trajectories whose every number tells its trajectory and row."""
    items = []
    for i, n in enumerate(lengths):
        rows = 100 * (i + 1) + np.arange(n, dtype=np.float32)
        wide = np.stack([rows, -rows, rows / 2], 1)
        items.append(Trajectory(wide, rows[:, None] / 1000, rows, wide[:, :2], task))
    return items


def test_a_trajectory_counts_and_sums_its_rewards(demos):
    assert [len(t) for t in demos] == [12] * 3
    assert demos[0].episode_return == pytest.approx(sum(demos[0].rewards.tolist()), rel=1e-5)


@pytest.mark.parametrize("name", ["observations", "actions", "states"])
@pytest.mark.parametrize("rows", [slice(1, None), [*range(12), 0]])
def test_one_row_too_few_or_too_many_is_refused(fields, name, rows):
    with pytest.raises(ValueError, match=f"`{name}` must have .*one row per reward.*12 rewards"):
        Trajectory(**{**fields, name: fields[name][rows]})


@pytest.mark.parametrize("name", ["observations", "actions", "rewards"])
def test_a_wrong_number_of_dimensions_is_refused(fields, name):
    with pytest.raises(ValueError, match=f"`{name}` must have"):
        Trajectory(**{**fields, name: fields[name][..., None]})


def test_a_trajectory_of_no_rows_is_refused(fields):
    empty = {n: v[:0] for n, v in fields.items() if isinstance(v, np.ndarray)}
    with pytest.raises(ValueError, match="must have"):
        Trajectory(**empty, task=fields["task"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["observations", "actions", "rewards"])
def test_a_number_that_is_not_finite_is_refused_with_its_row(fields, name, bad):
    values = fields[name].copy()
    values[7] = values[9] = bad
    with pytest.raises(ValueError, match=rf"`{name}` .* row 7 is not \(2 such rows\)"):
        Trajectory(**{**fields, name: values})


def test_states_may_be_missing(fields):
    assert Trajectory(**{**fields, "states": None}).states is None


def test_no_trajectories_are_refused():
    with pytest.raises(ValueError, match="got none"):
        Trajectories([])


def test_segments_are_the_rows_asked_for_and_padding_is_masked(toy):
    data = Trajectories(counted(toy.task(5), [6, 4]))
    segment = data.segments(np.array([0, 1, 1]), np.array([2, 0, 2]), 4)
    assert len(segment) == 3
    assert segment.length == 4
    assert segment.mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]]
    want = [[102, 103, 104, 105], [200, 201, 202, 203], [202, 203, 0, 0]]
    assert segment.rewards[..., 0].tolist() == want
    assert segment.observations[..., 1].tolist() == (-np.array(want)).tolist()
    np.testing.assert_allclose(segment.actions[..., 0], np.array(want) / 1000)
    assert segment.timesteps[:2].tolist() == [[2, 3, 4, 5], [0, 1, 2, 3]]
    assert segment.timesteps[2, :2].tolist() == [2, 3]
    assert segment.timesteps.min() >= 0
    assert segment.timesteps.max() < toy.horizon, "padding must have a timestep the model knows"
    to_go = [[102 + 103 + 104 + 105, 103 + 104 + 105, 104 + 105, 105], [806, 606, 405, 203]]
    assert segment.returns_to_go[:2, :, 0].tolist() == to_go
    assert segment.returns_to_go[2, :, 0].tolist() == [405, 203, 0, 0]
    assert segment.timesteps.dtype == torch.int64
    assert segment.observations.dtype == torch.float32


def test_whole_segments_begin_everywhere_equally_often(toy, draw):
    data = Trajectories(counted(toy.task(5), [8, 5]))
    index = np.repeat([0, 1], 6000)
    starts = data.starts(draw, index, 3, whole=True)
    for i, possible in ((0, 6), (1, 3)):
        counts = np.bincount(starts[index == i], minlength=possible)
        assert len(counts) == possible
        np.testing.assert_allclose(counts, 6000 / possible, rtol=0.15)


def test_contexts_see_the_first_rows_as_often_as_the_others(toy, draw):
    data = Trajectories(counted(toy.task(5), [8]))
    starts = data.starts(draw, np.zeros(24_000, int), 4, whole=False)
    assert set(starts) == {0, 1, 2, 3, 4}
    np.testing.assert_allclose(
        np.bincount(starts) / 24_000, np.array([4, 1, 1, 1, 1]) / 8, atol=0.02
    )


def test_contexts_of_a_short_trajectory_are_padded(toy, draw):
    data = Trajectories(counted(toy.task(5), [2, 9]))
    starts = data.starts(draw, np.zeros(100, int), 4, whole=False)
    assert set(starts) == {0}
    assert data.segments(np.array([0]), np.array([0]), 4).mask.tolist() == [[1, 1, 0, 0]]


def test_samples_come_from_every_trajectory_and_repeat_with_the_seed(toy):
    data = Trajectories(counted(toy.task(5), [9, 9, 9]))
    first, again, other = (
        data.sample(np.random.default_rng(seed), 300, 3, whole=True) for seed in (1, 1, 2)
    )
    for name, value in vars(first).items():
        assert torch.equal(value, getattr(again, name))
    assert not torch.equal(first.rewards, other.rewards)
    trajectory, counts = np.unique(first.rewards[:, 0, 0] // 100, return_counts=True)
    assert trajectory.tolist() == [1, 2, 3]
    assert counts.min() > 60
    assert first.mask.eq(1).all()


def test_segments_select_join_detach_and_move(toy, draw):
    data = Trajectories(record(toy.task(5), 3))
    segment = data.sample(draw, 5, 3, whole=True)
    joined = Segment.cat([segment[:2], segment[torch.tensor([2, 3, 4])]])
    for name, value in vars(segment).items():
        assert torch.equal(getattr(joined, name), value), name
        assert getattr(segment.to("cpu"), name) is value
    live = dataclasses.replace(segment, observations=segment.observations.clone().requires_grad_())
    copy = live.detach()
    assert not copy.observations.requires_grad
    with torch.no_grad():
        live.observations.add_(1)
        segment.actions.add_(1)
    assert torch.equal(copy.observations, segment.observations)
    assert not torch.equal(copy.actions, segment.actions)


def test_an_empty_prompt_has_the_familys_columns(toy):
    empty = Segment.empty(toy, 4)
    assert (len(empty), empty.length) == (4, 0)
    assert empty.observations.shape == (4, 0, 3)
    assert empty.actions.shape == (4, 0, 1)
    assert empty.returns_to_go.shape == empty.rewards.shape == (4, 0, 1)


def test_the_normaliser_brings_its_data_to_mean_0_and_sd_1(toy):
    data = Trajectories(record(toy.task(4), 3))
    normalizer = Normalizer(3, 1, 10.0, 12).fit(data)
    raw = np.concatenate([t.observations for t in data.items])
    got = normalizer.observations(torch.from_numpy(raw)).numpy()
    np.testing.assert_allclose(got.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(got.std(0), 1, atol=1e-4)
    assert normalizer.returns(torch.tensor([25.0])).item() == 2.5
    assert not list(normalizer.parameters())
    assert {"mean", "scale", "return_scale"} <= normalizer.state_dict().keys()


def test_a_variable_that_never_varies_keeps_scale_1(toy):
    items = [
        dataclasses.replace(t, observations=t.observations * [1, 0, 1])
        for t in record(toy.task(4), 2)
    ]
    normalizer = Normalizer(3, 1, 10.0, 12).fit(Trajectories(items))
    assert normalizer.scale[1] == 1
    assert (normalizer.scale[[0, 2]] != 1).all()
