"""Rewards that are not the task's own: refused, with what they look like."""

import pickle
import re

import numpy as np
import pytest

from tests.exchange.test_prompt_dt_release import record
from workbench.exchange.pickle_reader import RefusedFile
from workbench.exchange.received import examine, receive
from workbench.exchange.reward_look import LIMIT, looks_like, misfit
from workbench.tasks import find

VEL, OTHERS = find("cheetah-vel").task(2), find("cheetah-vel").task(4)


@pytest.fixture(scope="module")
def good():
    """Careful actions, so that rewards vary little and a fixed tolerance would see nothing."""
    episodes = record(VEL, n_episodes=3, n_steps=40)
    assert max(e["rewards"].std() for e in episodes) < 1
    return episodes


def write(folder, episodes, rewards, which=(0, 1, 2), name="mine.pkl"):
    path = folder / name
    changed = [
        {**e, "rewards": rewards(e["rewards"])} if i in which else e for i, e in enumerate(episodes)
    ]
    path.write_bytes(pickle.dumps(changed, 4))
    return path


def shifted(rewards, by):
    return np.roll(rewards, by, axis=0)


WRONG = {
    "zeros": (lambda r: np.zeros(len(r), int), "as if none had been recorded: all are 0"),
    "thousandth": (lambda r: r / 1000, "cheetah-vel 2 × 0.001"),
    "tenth more": (lambda r: r * 1.1, "cheetah-vel 2 × 1.1"),
    "two per cent more": (lambda r: r * 1.02, "cheetah-vel 2 × 1.02"),
    "lower by one": (lambda r: r - 1, "cheetah-vel 2 - 1"),
    "standardised": (lambda r: (r + 0.5) / 0.3, r"cheetah-vel 2 × 3.333 \+ 1.667"),
    "whole numbers": (np.rint, "rounded to whole numbers"),
    "to go": (lambda r: np.cumsum(r[::-1])[::-1], "returns-to-go of cheetah-vel 2"),
    "row before": (lambda r: shifted(r, 1), "cheetah-vel 2, shifted by one row.*before"),
    "row after": (lambda r: shifted(r, -1), "cheetah-vel 2, shifted by one row.*after"),
}


@pytest.mark.parametrize("name", ["mine.pkl", "cheetah_vel-2-prompt-expert.pkl"])
@pytest.mark.parametrize("kind", WRONG)
def test_rewards_that_are_not_ours_are_refused_and_named(tmp_path, good, kind, name):
    change, words = WRONG[kind]
    # what a roll brings round is no shift: the simulator's last reward goes
    path = write(tmp_path, good, change, name=name)
    if kind.startswith("row"):
        cut = slice(1, None) if kind == "row before" else slice(None, -1)
        episodes = [{k: x[cut] for k, x in e.items()} for e in pickle.loads(path.read_bytes())]
        path.write_bytes(pickle.dumps(episodes, 4))
    report = examine(path)
    assert not report.accepted
    message = " ".join(report.errors)
    assert re.search(words, message), message
    assert f"{LIMIT:g} is the limit" in message
    with pytest.raises(RefusedFile):
        receive(path)


def test_the_rewards_of_another_task_are_named(tmp_path, good):
    other = record(OTHERS, n_episodes=3, n_steps=40)
    path = tmp_path / "cheetah_vel-2-prompt-expert.pkl"
    path.write_bytes(pickle.dumps(other, 4))
    (error,) = examine(path).errors
    assert "its name says cheetah-vel 2" in error
    assert "cheetah-vel 4 (0.0000)" in error


def test_one_episode_among_good_ones_is_found(tmp_path, good):
    path = write(tmp_path, good, lambda r: r / 1000, which=(1,))
    (error,) = examine(path).errors
    assert "Those of episode 1 look like those of cheetah-vel 2 × 0.001" in error
    assert examine(write(tmp_path, good, lambda r: r)).accepted


def test_a_named_task_is_taken_with_a_warning_that_says_the_same(tmp_path, good):
    report = examine(write(tmp_path, good, lambda r: r / 1000), "cheetah-vel", 2)
    assert report.accepted
    (warning,) = [w for w in report.warnings if "not those of cheetah-vel 2" in w]
    assert "× 0.001" in warning


def test_the_precision_of_a_file_is_no_misfit(tmp_path, good):
    for noise in (1e-6, 1e-4):
        draw = np.random.default_rng(0)
        path = write(tmp_path, good, lambda r, n=noise, d=draw: r + d.normal(0, n, r.shape))
        assert examine(path).accepted
    assert not examine(write(tmp_path, good, lambda r: r + draw.normal(0, 0.1, r.shape))).accepted


def test_the_limit_is_of_the_spread_and_of_a_thousandth_where_there_is_none():
    draw = np.random.default_rng(1)
    r = draw.normal(0, 2, 1000)
    assert misfit(r, r + 0.04 * r.std()) < LIMIT < misfit(r, r + 0.06 * r.std())
    flat = np.full(1000, -1.0)
    assert misfit(flat, flat + 0.0009) < LIMIT < misfit(flat, flat + 0.0011)


def test_what_looks_like_nothing_is_not_named():
    draw = np.random.default_rng(2)
    assert looks_like([draw.normal(size=50)], {"a": [draw.normal(size=50)]}) == ""
    assert looks_like([np.ones(50)], {"a": [np.ones(50)]}) == ""
    smooth = np.sin(np.linspace(0, 1, 200))  # a shift by a row is within 5 % of its spread
    assert misfit(smooth[1:], smooth[:-1]) < LIMIT
    assert "row before" in looks_like([smooth[:-1]], {"a": [smooth[1:]]})
