"""Exercises of the notebooks: each answer is checked against what the workbench itself computes.

``check("4.1", answer)`` says whether it is right; if not, what is wrong and what to try. An
exercise is one function: it returns what to say of a right answer and raises ``_Wrong`` with a hint
for each mistake that learners make. They stand in the order of the lessons; ``EXERCISES`` lists
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from workbench.data.rollout import half_width
from workbench.data.trajectory import Segment, returns_to_go
from workbench.methods.projection import Projection, row_space
from workbench.paper import scores
from workbench.paper.claims import verdict
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import did_you_mean, find
from workbench.teaching import toy_diffusion
from workbench.tuning.prompt_kinds import draw


@dataclass(frozen=True)
class Verdict:
    """What a check says.

    Attributes:
        passed: Whether the answer is right.
        message: One or two sentences.
    """

    passed: bool
    message: str

    def _repr_markdown_(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.message}"


def check(exercise: str, answer: object) -> Verdict:
    """Check an answer; an untouched one (``...``) never passes.

    Args:
        exercise: Such as ``"3.2"``.
        answer: A value, or a function that is tried on values of ours.

    Raises:
        ValueError: if there is no such exercise.
    """
    if exercise not in EXERCISES:
        raise ValueError(
            f"There is no exercise {exercise!r}.{did_you_mean(exercise, list(EXERCISES))}"
        )
    if answer is ...:
        return _UNTOUCHED
    try:
        return Verdict(True, f"Right. {EXERCISES[exercise](answer)}")
    except _Untouched:
        return _UNTOUCHED
    except _Wrong as wrong:
        return Verdict(False, f"Not yet. {wrong}")
    except Exception as error:  # of the answer, whatever it is
        return Verdict(
            False,
            f"Your answer ended with {type(error).__name__}: {error}. Try it by itself first.",
        )


_UNTOUCHED = Verdict(False, "Not answered yet: put your own in place of the three dots.")


class _Wrong(Exception):
    """An answer is wrong; the message says how."""


class _Untouched(Exception):
    """A function still returns ``...``."""


def _call(answer: object, *values: object) -> object:
    if not callable(answer):
        raise _Wrong(f"A function is asked for, but this is a {type(answer).__name__}.")
    found = answer(*values)
    if found is ...:
        raise _Untouched
    if found is None:
        raise _Wrong("Your function returns nothing: end it with `return`.")
    return found


def _number(answer: object) -> float:
    if isinstance(answer, bool) or not np.isscalar(np.asarray(answer).item()):
        raise _Wrong("One number is asked for.")
    return float(np.asarray(answer).item())


def _array(value: object) -> np.ndarray:
    return np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, float)


def _close(found: object, wanted: object) -> bool:
    found, wanted = _array(found), _array(wanted)
    return found.shape == wanted.shape and bool(np.allclose(found, wanted, atol=1e-4))


def _returns_to_go(answer: object) -> str:
    rewards = np.random.default_rng(1).normal(size=7)
    found, wanted = _call(answer, rewards), returns_to_go(rewards)
    if np.ndim(found) == 0:
        raise _Wrong("One number per step is asked for, not one for the episode.")
    if _close(found, np.cumsum(rewards)):
        raise _Wrong("You sum what was earned so far. Sum what is still to come: turn it round.")
    if _close(found, wanted - rewards):
        raise _Wrong("The reward of step t itself belongs to its return-to-go.")
    if not _close(found, wanted):
        raise _Wrong("For rewards 1, 2, 3 the answer is 6, 5, 3.")
    return "The first of them is the return of the whole episode."


def _mystery_speed(answer: object) -> str:
    goal, found = find("cheetah-vel").task(MYSTERY).goal[0], _number(answer)
    if abs(found - goal) <= 0.05:
        return f"The robot is asked for {goal} m/s, and data of a policy that never learned say so."
    velocity = np.concatenate([t.observations[:, 8] for t in mystery()])
    if abs(found - velocity.mean()) < 0.1:
        raise _Wrong("That is how fast the robot was, not how fast it should be: ask the rewards.")
    raise _Wrong(
        "Draw reward against velocity with `tent`: where is its tip? Add 0.05 Σ a² to the rewards "
        "first, and the two sides become straight lines."
    )


MYSTERY = 15
"""Index of the task that exercise 1.2 hides."""


def mystery():
    """Return demonstrations of a policy that never learned, in the task whose goal is hidden."""
    return assets.demos(find("cheetah-vel").task(MYSTERY), "random")


def _size_of_a_prompt(answer: object) -> str:
    family, found = find("cheetah-vel"), _number(answer)
    length = load_model(family.name).config.prompt_length
    o, a = len(family.observations), len(family.actions)
    if found in (o + a + 1, o + a):
        raise _Wrong(f"That is one row. A prompt has K* = {length} of them.")
    if found == length * (o + a):
        raise _Wrong("Each row has a reward as well (Eq. 4).")
    if found == length * (o + a + 3):
        raise _Wrong("Return-to-go and timestep are the condition y: they are given, not diffused.")
    if found != length * (o + a + 1):
        raise _Wrong("Count the columns of x for one row, [s; a; r], then the rows.")
    return "So few numbers decide what the robot does."


def _standing_still(answer: object) -> str:
    family, found = find("cheetah-vel"), _number(answer)
    wanted = -family.task(7).goal[0] * family.horizon
    if np.isclose(found, -wanted):
        raise _Wrong("The reward is a penalty: mind the sign.")
    if np.isclose(found, wanted / family.horizon):
        raise _Wrong("That is one step. An episode has T of them.")
    if abs(found - wanted) > 0.5:
        raise _Wrong("Put v = 0 and a = 0 into the reward, then sum over the episode.")
    return "Whatever earns less than this would do better to stand still."


def _which_speed(answer: object) -> str:
    family, found = find("cheetah-vel"), _number(answer)
    goal, shown = family.task(7).goal[0], family.task(23).goal[0]
    if abs(found - goal) < 0.3:
        raise _Wrong("That is what the task asks for. But who tells the robot?")
    if abs(found - shown) > 0.3:
        raise _Wrong("Look at the figure above: on which line do the points lie?")
    return "It does what it is shown; nothing else says what the task is."


def _transplant(answer: object) -> str:
    family = find("cheetah-vel")
    own, other = (draw(family, family.task(i), "expert", 2, 5, 0) for i in (2, 26))
    before = own.observations.clone()
    found = _call(answer, own, other, 3)
    if not torch.equal(own.observations, before):
        raise _Wrong("You changed the prompt that you were given: work on a copy (`clone()`).")
    if not isinstance(found, Segment):
        raise _Wrong("Return a whole prompt: `dataclasses.replace(prompt, observations=...)`.")
    wanted = before.clone()
    wanted[..., 3] = other.observations[..., 3]
    if torch.equal(found.observations, before):
        raise _Wrong("Nothing has changed in the observations.")
    if not torch.equal(found.observations, wanted):
        raise _Wrong("One column only, in all rows: `observations[..., column]`.")
    for name in ("actions", "returns_to_go", "timesteps"):
        if not torch.equal(getattr(found, name), getattr(own, name)):
            raise _Wrong(f"`{name}` has changed too.")
    return "Now you can ask of every column what it tells."


def _paired(answer: object) -> str:
    draws = np.random.default_rng(2)
    a = draws.normal(-50, 30, 12)
    b = a + draws.normal(4, 3, 12)
    found = _call(answer, a, b)
    if np.shape(found) != (2,):
        raise _Wrong("Return two numbers: the mean difference, and half the width of its interval.")
    mean, half = map(float, found)
    if np.isclose(mean, a.mean() - b.mean()):
        raise _Wrong("The other way round: second minus first.")
    if not np.isclose(mean, (b - a).mean()):
        raise _Wrong("The first number is the mean of second minus first, episode by episode.")
    if np.isclose(half, half_width(b - a), rtol=1e-3):
        return "Episodes of equal seed begin alike: in the difference, what they share is gone."
    if half > 2 * half_width(b - a):
        raise _Wrong("Too wide: take the differences first, then their spread.")
    raise _Wrong("Take `half_width` of the differences (or Student's t, `ddof=1`).")


def _noised(answer: object) -> str:
    draws = np.random.default_rng(3)
    x0, eps = draws.normal(size=(2, 5))
    found, wanted = _call(answer, x0, 0.3, eps), 0.3**0.5 * x0 + 0.7**0.5 * eps
    if _close(found, 0.3 * x0 + 0.7 * eps):
        raise _Wrong("ᾱ is a share of the variance, so both factors are square roots.")
    if _close(found, 0.7**0.5 * x0 + 0.3**0.5 * eps):
        raise _Wrong("ᾱ belongs to the signal, 1 - ᾱ to the noise.")
    if not _close(found, wanted):
        raise _Wrong("√ᾱ x0 + √(1 - ᾱ) ε.")
    return "Data of variance 1 keep variance 1 at every k."


def _weights(answer: object) -> str:
    data, x, alpha_bar = np.random.default_rng(4).normal(size=(6, 2)), np.array([0.4, -0.2]), 0.6
    found = _array(_call(answer, x, alpha_bar, data))
    if found.shape != (6,):
        raise _Wrong(f"One weight per data point is asked for: got the shape {found.shape}.")
    if not np.isclose(found.sum(), 1):
        raise _Wrong("The weights must sum to 1: divide by their sum.")

    def share(centre, variance):
        w = np.exp(-np.square(x - centre).sum(1) / (2 * variance))
        return w / w.sum()

    if _close(found, share(data, 1 - alpha_bar)):
        raise _Wrong("x_k lies around √ᾱ x_i, not around x_i: shrink the data first.")
    if _close(found, share(alpha_bar**0.5 * data, (1 - alpha_bar) / 2)):
        raise _Wrong("The distance is divided by *twice* the variance.")
    if not _close(found, share(alpha_bar**0.5 * data, 1 - alpha_bar)):
        raise _Wrong("w_i ∝ exp(-‖x - √ᾱ x_i‖² / (2 (1 - ᾱ))).")
    return "The best guess x̂0 is the mean of the data with these weights, at every k."


def _when_it_commits(answer: object) -> str:
    schedule, data, chain = toy_diffusion.example()
    near, n = toy_diffusion.to_data(chain.x0_hat, data), schedule.n_diffusion_steps
    wanted, found = n - int((near < 0.2).nonzero()[0]), _number(answer)
    if found == n - wanted:
        raise _Wrong("You counted steps that are done; k runs the other way, from N down.")
    if found != wanted:
        way = "smaller" if found > wanted else "larger"
        raise _Wrong(f"`chain.x0_hat[0]` belongs to k = {n}, the next to {n - 1}. Try a {way} k.")
    return "Above it, most guesses lie between the arcs, where no data are."


def _cheapest_guess(answer: object) -> str:
    found = str(answer).strip().lower()
    if found not in ("mean", "nearest", "random"):
        raise _Wrong('Answer with one of "mean", "nearest", "random".')
    if found != "mean":
        raise _Wrong("L_DM is a *squared* error: which single guess makes its expectation least?")
    return "So from pure noise the guess is the average of all data, though nothing looks like it."


def _project(answer: object) -> str:
    rule = Projection("vector")
    for g_dt, g_dm in (  # one pair that agrees, two that conflict
        ((1.0, 1.0), (1.0, 0.0)),
        ((-1.0, 1.0), (2.0, 0.0)),
        ((-1.0, 3.0), (1.0, 0.2)),
    ):
        dt, dm = np.array(g_dt), np.array(g_dm)
        found = _array(_call(answer, dt, dm))
        total = rule.combine([torch.tensor(g_dm)], [torch.tensor(g_dt)]).gradient[0].numpy()
        along = dt @ dm / (dm @ dm) * dm
        if _close(found, total - dm):
            continue
        if dt @ dm >= 0 and _close(found, dt - along):
            raise _Wrong("Where the two agree, nothing is removed (Eq. 9): ask for the sign first.")
        if _close(found, along):
            raise _Wrong("That is the part that should go. What stays is the rest.")
        if _close(found, dt - dt @ dm * dm):
            raise _Wrong("Divide by ‖g_DM‖²: g_DM has not length 1.")
        raise _Wrong(f"For g_DT = {g_dt} and g_DM = {g_dm} it should be {total - dm}.")
    return "What is left is orthogonal to g_DM: it can no longer undo it, to first order."


G_DM, G_DT = (1.0, 0.5), (-1.5, 1.0)
"""The two gradients of exercise 4.2."""


def _where_it_turns(answer: object) -> str:
    dm, dt, found = np.array(G_DM), np.array(G_DT), _number(answer)
    wanted = -(dm @ dm) / (dm @ dt)
    if np.isclose(found, -wanted):
        raise _Wrong("λ is not negative. Which sign has g_DM · g_DT?")
    if np.isclose(found, 1 / wanted):
        raise _Wrong("Upside down.")
    if not np.isclose(found, wanted, rtol=0.02):
        raise _Wrong("Solve g_DM · (g_DM + λ g_DT) = 0 for λ.")
    return "Above it the plain sum climbs on L_DM. With the projection no λ does that."


def _without_rows(answer: object) -> str:
    draws = torch.Generator().manual_seed(5)
    a, recent = torch.randn(4, 6, generator=draws), torch.randn(2, 6, generator=draws)
    basis = row_space([recent], 1.0)
    found = _call(answer, a.clone(), basis)
    if _close(found, (a @ basis) @ basis.T):
        raise _Wrong("A B Bᵀ is the part *in* the subspace. Proj keeps what is outside.")
    if not _close(found, a - (a @ basis) @ basis.T):
        raise _Wrong("A - A B Bᵀ: the columns of B are the basis.")
    return "No row of the result has a part left along any of the remembered gradients."


def _middle_mean(answer: object) -> str:
    from rliable import metrics

    values = np.random.default_rng(6).normal(-60, 30, 16) - np.eye(16)[0] * 400
    found, wanted = _number(_call(answer, values)), float(metrics.aggregate_iqm(values[:, None]))
    if np.isclose(found, values.mean()):
        raise _Wrong("That is the mean of all. One failed run moves it a lot.")
    if np.isclose(found, np.median(values)):
        raise _Wrong("That is the median: it looks at two values of sixteen.")
    if not np.isclose(found, wanted):
        raise _Wrong("Sort, drop a quarter at each end, take the mean of what is left.")
    return "One failed run hardly moves it."


def _judge(answer: object) -> str:
    for low, high in ((1.0, 3.0), (-4.0, -1.0), (-1.0, 2.0)):
        wanted = verdict("better", scores.Estimate((low + high) / 2, low, high))
        found = str(_call(answer, low, high)).strip().lower()
        if found not in ("yes", "no", "undecided"):
            raise _Wrong('Return one of "yes", "no", "undecided".')
        if found != wanted and wanted == "undecided":
            raise _Wrong("An interval with 0 inside says neither yes nor no.")
        if found != wanted:
            raise _Wrong(f"From {low:g} to {high:g} it is {wanted!r}.")
    return "The interval judges, not the eye."


def _times_the_seeds(answer: object) -> str:
    found = _number(answer)
    if found == 2:
        raise _Wrong("The width falls with the *square root* of the number of seeds.")
    if found != 4:
        raise _Wrong("Width ∝ 1/√n. By which factor must n grow to halve it?")
    return "Precision is expensive."


def _false_alarms(answer: object) -> str:
    found = _number(answer)
    if found == 0:
        raise _Wrong("A 95 % interval misses the truth in one of twenty cases, by design.")
    if not np.isclose(found, 1.2):
        raise _Wrong("How many comparisons are there, and how often does each mislead by chance?")
    return "So a single star among many bars is no finding."


EXERCISES: dict[str, Callable[[object], str]] = {
    "1.1": _returns_to_go,
    "1.2": _mystery_speed,
    "1.3": _size_of_a_prompt,
    "1.4": _standing_still,
    "2.1": _which_speed,
    "2.2": _transplant,
    "2.3": _paired,
    "3.1": _noised,
    "3.2": _weights,
    "3.3": _when_it_commits,
    "3.4": _cheapest_guess,
    "4.1": _project,
    "4.2": _where_it_turns,
    "4.3": _without_rows,
    "5.1": _middle_mean,
    "5.2": _judge,
    "5.3": _times_the_seeds,
    "5.4": _false_alarms,
}
"""Exercise → function that returns what to say of a right answer, and raises for a wrong one."""
