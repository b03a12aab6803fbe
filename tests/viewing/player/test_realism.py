"""How far a prompt is from what was recorded, against plain loops and a simulator of one line."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.conftest import TOY, Point, record
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.tasks import find
from workbench.viewing.player import realism
from workbench.viewing.player.realism import DemoStatistics, PrincipalPlane

LENGTH = 3


@pytest.fixture
def recorded(demos, model):
    return DemoStatistics.of(demos, model.normalizer, LENGTH)


def test_windows_are_every_piece_of_the_demonstrations(demos, recorded, model):
    pieces = []
    for demo in demos:
        for start in range(len(demo) - LENGTH + 1):
            row = slice(start, start + LENGTH)
            columns = demo.observations[row], demo.actions[row], demo.rewards[row, None]
            pieces.append(np.concatenate(columns, 1))
    mean, scale = model.normalizer.mean.numpy(), model.normalizer.scale.numpy()
    np.testing.assert_allclose(recorded.windows, (np.array(pieces) - mean) / scale, atol=1e-5)
    np.testing.assert_allclose(recorded.band[1], np.median(recorded.windows, 0))
    inside = (recorded.windows >= recorded.band[0]) & (recorded.windows <= recorded.band[2])
    assert 0.85 < inside.mean() < 0.97
    assert recorded.rows.shape == (36, 5)


def test_the_nearest_row_is_that_of_a_loop(recorded, draw):
    prompts = draw.normal(size=(4, LENGTH, 5))
    by_hand = [
        np.mean([min(np.sqrt(np.mean((row - real) ** 2)) for real in recorded.rows) for row in p])
        for p in prompts
    ]
    np.testing.assert_allclose(recorded.distances(prompts), by_hand, rtol=1e-9)
    np.testing.assert_allclose(recorded.distances(recorded.windows), 0, atol=1e-12)


def test_recorded_rows_are_compared_with_those_of_other_demonstrations(demos, recorded, model):
    twice = [demos[0], dataclasses.replace(demos[0])]
    assert DemoStatistics.of(twice, model.normalizer, LENGTH).spacing[2] == pytest.approx(
        0, abs=1e-9
    )
    low, middle, high = recorded.spacing
    assert 0 < low < middle < high
    assert np.isnan(DemoStatistics.of(demos[:1], model.normalizer, LENGTH).spacing).all()


def test_a_recorded_piece_is_what_the_simulator_does(recorded):
    errors = recorded.one_step_errors(recorded.windows)
    assert errors.shape == (len(recorded.windows),)
    assert errors.max() < 1e-5, "float32 is how they were recorded"
    assert recorded.recorded_error < 1e-5


def test_the_one_step_error_is_that_of_one_step_by_hand(recorded, draw):
    prompt = draw.normal(size=(LENGTH, 5))
    raw = recorded.mean + recorded.scale * prompt
    errors = []
    for row, wanted in itertools.pairwise(raw):
        env = Point(TOY.goals[0])
        env.put([row[1], row[0]])
        observed, *_ = env.step(row[3:4])
        errors.append(np.sqrt(np.mean(((observed - wanted[:3]) / recorded.scale[:3]) ** 2)))
    found = recorded.one_step_errors(prompt[None])
    assert found == pytest.approx(np.mean(errors), rel=1e-9)
    assert found > 0.1, "noise is not what the simulator does"


def test_where_the_state_is_not_observed_there_is_no_one_step_error(recorded, demos, model):
    blind = dataclasses.replace(TOY, state_of=None)
    windows = recorded.windows
    assert realism.one_step_errors(blind, recorded.mean, recorded.scale, windows) is None
    assert recorded.one_step_errors(windows[:, :1]) is None, "one row has no next one"


def test_a_step_that_ends_in_no_number_does_not_count(recorded, draw):
    prompts = np.repeat(draw.normal(size=(1, LENGTH, 5)), 2, 0)
    prompts[1, 1, 1] = np.nan  # the position between the two steps
    whole, part = recorded.one_step_errors(prompts)
    assert np.isfinite(whole)
    assert np.isnan(part)


@pytest.mark.parametrize("name", ["cheetah-vel", "ant-dir"])
def test_real_robots_do_what_was_recorded(name):
    """Every family whose observations say where it is; their noise is far from possible."""
    family = find(name)
    task = family.tasks("test")[0]
    (episode,) = evaluate(UniformPolicy(len(family.actions)), task, [1]).trajectories
    parts = episode.observations, episode.actions, episode.rewards[:, None]
    rows = np.concatenate(parts, 1).astype(np.float64)[:30]
    mean, scale = rows.mean(0), np.maximum(rows.std(0), 1e-3)
    pieces = ((rows - mean) / scale).reshape(6, 5, -1)
    errors = realism.one_step_errors(family, mean, scale, pieces)
    assert np.median(errors) < 0.02
    noise = np.random.default_rng(0).normal(size=pieces.shape)
    assert realism.one_step_errors(family, mean, scale, noise).min() > 0.3


def test_the_map_is_the_plane_of_most_variance(recorded, draw):
    plane = PrincipalPlane.of(recorded.windows)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    seen = plane.project(recorded.windows)
    flat = recorded.windows.reshape(len(seen), -1)
    total = flat.var(0).sum()
    np.testing.assert_allclose(seen.var(0) / total, plane.share, rtol=1e-9)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-9)
    for _ in range(20):  # no other direction holds more than the first
        other = draw.normal(size=flat.shape[1])
        assert (flat @ other / np.linalg.norm(other)).var() <= seen[:, 0].var() + 1e-9
    again = PrincipalPlane.of(recorded.windows[::-1])
    np.testing.assert_allclose(again.axes, plane.axes, atol=1e-9)


def test_what_spans_no_plane_has_no_map(recorded):
    assert PrincipalPlane.of(recorded.windows[:1]) is None
    assert PrincipalPlane.of(np.repeat(recorded.windows[:1], 5, 0)) is None


def test_too_short_demonstrations_are_refused(demos, model):
    with pytest.raises(ValueError, match=r"at least 13 rows.*longest has 12"):
        DemoStatistics.of(demos, model.normalizer, 13)


def test_the_terms_of_the_reward_sum_to_the_recorded_reward(toy):
    (episode,) = record(toy.task(5), 1)
    terms = realism.reward_terms(episode)
    assert list(terms) == ["speed", "control"]
    np.testing.assert_allclose(sum(terms.values()), episode.rewards, atol=1e-5)
    np.testing.assert_allclose(terms["control"], -0.05 * episode.actions[:, 0] ** 2, atol=1e-6)
    with pytest.raises(ValueError, match="has none"):
        realism.reward_terms(dataclasses.replace(episode, states=None))


@pytest.mark.parametrize("name", ["cheetah-dir", "ant-dir", "reach"])
def test_every_robot_has_its_terms(name):
    family = find(name)
    task = family.tasks("test")[0]
    (episode,) = evaluate(UniformPolicy(len(family.actions)), task, [1]).trajectories
    terms = realism.reward_terms(episode)
    np.testing.assert_allclose(sum(terms.values()), episode.rewards, atol=2e-3)
    assert all(values.shape == episode.rewards.shape for values in terms.values())
