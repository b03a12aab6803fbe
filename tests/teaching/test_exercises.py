"""Exercises: an untouched one never passes, a wrong answer is told what is wrong with it."""

import dataclasses

import numpy as np
import pytest
import torch

from workbench.data.rollout import half_width
from workbench.data.trajectory import returns_to_go
from workbench.tasks import Family, find
from workbench.teaching import toy_diffusion
from workbench.teaching.exercises import EXERCISES, G_DM, G_DT, MYSTERY, check

every_exercise = pytest.mark.parametrize("name", EXERCISES)


def weights_of(x, alpha_bar, data):
    w = np.exp(-np.square(x - alpha_bar**0.5 * data).sum(1) / (2 * (1 - alpha_bar)))
    return w / w.sum()


def transplant(prompt, donor, column):
    observations = prompt.observations.clone()
    observations[..., column] = donor.observations[..., column]
    return dataclasses.replace(prompt, observations=observations)


def in_place(prompt, donor, column):
    prompt.observations[..., column] = donor.observations[..., column]
    return prompt


def all_columns(prompt, donor, column):
    return dataclasses.replace(prompt, observations=donor.observations)


def kept(g_dt, g_dm):
    return g_dt - min(0.0, g_dt @ g_dm) / (g_dm @ g_dm) * g_dm


def middle(values):
    return np.sort(values)[len(values) // 4 : len(values) - len(values) // 4].mean()


def commits():
    _, data, chain = toy_diffusion.example()
    return 20 - int((toy_diffusion.to_data(chain.x0_hat, data) < 0.2).nonzero()[0])


def heavier(env, goal):
    env.m *= goal[0]


def planets(attribute, goals=(1.6, 3.7, 9.8)):
    return Family.from_gymnasium(
        "Pendulum-v1", name="planets", goals=goals, set_goal=attribute, test=[1],
        target_return=-150.0, return_scale=500.0,
    )  # fmt: skip


RIGHT = {
    "6.1": lambda env, goal: setattr(env, "m", goal[0]),
    "6.2": lambda observation: observation[:3],
    "6.3": planets("g"),
    "1.1": lambda r: np.cumsum(r[::-1])[::-1],
    "1.2": find("cheetah-vel").task(MYSTERY).goal[0] + 0.02,
    "1.3": 135,
    "1.4": -120,
    "2.1": 1.7,
    "2.2": transplant,
    "2.3": lambda a, b: ((b - a).mean(), half_width(b - a)),
    "3.1": lambda x0, a, eps: a**0.5 * x0 + (1 - a) ** 0.5 * eps,
    "3.2": weights_of,
    "3.3": commits(),
    "3.4": "Mean",
    "4.1": kept,
    "4.2": -np.dot(G_DM, G_DM) / np.dot(G_DM, G_DT),
    "4.3": lambda a, b: a - a @ b @ b.T,
    "5.1": middle,
    "5.2": lambda low, high: "yes" if low > 0 else "no" if high < 0 else "undecided",
    "5.3": 5,
    "5.4": 1.2,
}
WRONG = [
    ("1.1", np.cumsum, "turn it round"),
    ("1.1", lambda r: returns_to_go(r) - r, "belongs to its return-to-go"),
    ("1.1", sum, "One number per step"),
    ("1.2", -0.18, "ask the rewards"),
    ("1.2", 2.5, "tip"),
    ("1.3", 27, "one row"),
    ("1.3", 130, "reward as well"),
    ("1.3", 145, "given, not diffused"),
    ("1.4", 120, "sign"),
    ("1.4", -0.6, "one step"),
    ("2.1", 0.6, "who tells the robot"),
    ("2.2", in_place, "copy"),
    ("2.2", all_columns, "One column only"),
    ("2.2", lambda p, d, c: p, "Nothing has changed"),
    ("2.3", lambda a, b: (b.mean() - a.mean(), np.hypot(half_width(a), half_width(b))), "Too wide"),
    ("2.3", lambda a, b: ((a - b).mean(), 1.0), "other way round"),
    ("3.1", lambda x0, a, eps: a * x0 + (1 - a) * eps, "square roots"),
    ("3.1", lambda x0, a, eps: (1 - a) ** 0.5 * x0 + a**0.5 * eps, "belongs to the signal"),
    ("3.2", lambda x, a, d: weights_of(x, a, d) * 2, "sum to 1"),
    ("3.2", lambda x, a, d: weights_of(x, a, d / a**0.5), "shrink the data"),
    ("3.3", 20 - commits(), "other way"),
    ("3.3", commits() + 1, "smaller k"),
    ("3.3", commits() - 1, "larger k"),
    ("3.4", "nearest", "squared"),
    ("4.1", lambda t, m: t - t @ m / (m @ m) * m, "Where the two agree"),
    ("4.1", lambda t, m: t if t @ m >= 0 else t @ m / (m @ m) * m, "should go"),
    ("4.1", lambda t, m: t if t @ m >= 0 else t - t @ m * m, "Divide by"),
    ("4.2", np.dot(G_DM, G_DM) / np.dot(G_DM, G_DT), "not negative"),
    ("4.3", lambda a, b: a @ b @ b.T, "in* the subspace"),
    ("5.1", np.mean, "mean of all"),
    ("5.1", np.median, "median"),
    ("5.2", lambda low, high: "yes" if low + high > 0 else "no", "neither yes nor no"),
    ("5.3", 6, "depends on n"),
    ("5.3", 12, "t falls as well"),
    ("5.3", 4, "depends on n"),
    ("5.4", 0, "by design"),
    ("6.1", heavier, "do not multiply"),
    ("6.1", lambda env, goal: setattr(env, "l", goal[0]), "length is no business"),
    ("6.2", lambda o: o, "Leave them out"),
    ("6.2", lambda o: o[2:], "in this order"),
    ("6.3", planets("m"), "attribute `g`"),
    ("6.3", planets("g", (1.6, 9.8)), "three goals at least"),
]


def test_every_exercise_is_tried_here():
    assert set(RIGHT) == set(EXERCISES) == {name for name, _, _ in WRONG}


@every_exercise
@pytest.mark.parametrize("answer", [..., lambda *values: ...], ids=["value", "function"])
def test_an_untouched_exercise_never_passes(name, answer):
    found = check(name, answer)
    assert not found.passed
    if answer is ... or callable(RIGHT[name]):
        assert "Not answered yet" in found.message


@every_exercise
@pytest.mark.parametrize("answer", [None, "?", 1e9, [], lambda *v: None, lambda *v: 1 / 0])
def test_nonsense_is_no_answer_and_no_crash(name, answer):
    found = check(name, answer)
    assert not found.passed
    assert found.message


@every_exercise
def test_a_right_answer_passes(name):
    found = check(name, RIGHT[name])
    assert found.passed, found.message
    assert found._repr_markdown_().startswith("✓ Right.")


@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, hint):
    found = check(name, answer)
    assert not found.passed
    assert hint in found.message


def test_tensors_are_answers_too():
    assert check("4.3", lambda a, b: (a - a @ b @ b.T).requires_grad_()).passed
    assert check("5.3", torch.tensor(5.0)).passed


def test_an_unknown_exercise_is_an_error():
    with pytest.raises(ValueError, match=r"no exercise '4.11'.*Did you mean"):
        check("4.11", 1)
