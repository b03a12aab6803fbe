"""Exercises of the notebooks: each answer is checked against what the workbench itself computes.

``check("4.1", answer)`` says whether it is right; if not, what is wrong and what to try. An
exercise is one function: it returns what to say of a right answer and raises ``Wrong`` with a hint
for each mistake that learners make. They stand in the order of the lessons; ``EXERCISES`` lists
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special

from workbench.data.rollout import half_width
from workbench.data.trajectory import Segment, returns_to_go
from workbench.methods.projection import Projection, row_space
from workbench.paper import scores
from workbench.paper.claims import verdict
from workbench.shipped import assets
from workbench.shipped.networks import load_model
from workbench.tasks import did_you_mean, find
from workbench.teaching import answers_own_task, toy_diffusion
from workbench.teaching.answers import Untouched, Wrong, array, call, close, number
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
    except Untouched:
        return _UNTOUCHED
    except Wrong as wrong:
        return Verdict(False, f"Not yet. {wrong}")
    except Exception as error:  # of the answer, whatever it is
        return Verdict(
            False,
            f"Your answer ended with {type(error).__name__}: {error}. Try it by itself first.",
        )


_UNTOUCHED = Verdict(False, "Not answered yet: put your own in place of the three dots.")


def _returns_to_go(answer: object) -> str:
    rewards = np.random.default_rng(1).normal(size=7)
    found, wanted = call(answer, rewards), returns_to_go(rewards)
    if np.ndim(found) == 0:
        raise Wrong("One number per step is asked for, not one for the episode.")
    if close(found, np.cumsum(rewards)):
        raise Wrong("You sum what was earned so far. Sum what is still to come: turn it round.")
    if close(found, wanted - rewards):
        raise Wrong("The reward of step t itself belongs to its return-to-go.")
    if not close(found, wanted):
        raise Wrong("For rewards 1, 2, 3 the answer is 6, 5, 3.")
    return "The first of them is the return of the whole episode."


def _mystery_speed(answer: object) -> str:
    goal, found = find("cheetah-vel").task(MYSTERY).goal[0], number(answer)
    if abs(found - goal) <= 0.05:
        return f"The robot is asked for {goal} m/s, and data of a policy that never learned say so."
    velocity = np.concatenate([t.observations[:, 8] for t in mystery()])
    if abs(found - velocity.mean()) < 0.1:
        raise Wrong("That is how fast the robot was, not how fast it should be: ask the rewards.")
    raise Wrong(
        "Draw reward against velocity with `tent`: where is its tip? Add 0.05 Σ a² to the rewards "
        "first, and the two sides become straight lines."
    )


MYSTERY = 15
"""Index of the task that exercise 1.2 hides."""


def mystery():
    """Return demonstrations of a policy that never learned, in the task whose goal is hidden."""
    return assets.demos(find("cheetah-vel").task(MYSTERY), "random")


def _size_of_a_prompt(answer: object) -> str:
    family, found = find("cheetah-vel"), number(answer)
    length = load_model(family.name).config.prompt_length
    o, a = len(family.observations), len(family.actions)
    if found in (o + a + 1, o + a):
        raise Wrong(f"That is one row. A prompt has K* = {length} of them.")
    if found == length * (o + a):
        raise Wrong("Each row has a reward as well (Eq. 4).")
    if found == length * (o + a + 3):
        raise Wrong("Return-to-go and timestep are the condition y: they are given, not diffused.")
    if found != length * (o + a + 1):
        raise Wrong("Count the columns of x for one row, [s; a; r], then the rows.")
    return "So few numbers decide what the robot does."


def _standing_still(answer: object) -> str:
    family, found = find("cheetah-vel"), number(answer)
    wanted = -family.task(7).goal[0] * family.horizon
    if np.isclose(found, -wanted):
        raise Wrong("The reward is a penalty: mind the sign.")
    if np.isclose(found, wanted / family.horizon):
        raise Wrong("That is one step. An episode has T of them.")
    if abs(found - wanted) > 0.5:
        raise Wrong("Put v = 0 and a = 0 into the reward, then sum over the episode.")
    return "Whatever earns less than this would do better to stand still."


def _which_speed(answer: object) -> str:
    family, found = find("cheetah-vel"), number(answer)
    goal, shown = family.task(7).goal[0], family.task(23).goal[0]
    if abs(found - goal) < 0.3:
        raise Wrong("That is what the task asks for. But who tells the robot?")
    if abs(found - shown) > 0.3:
        raise Wrong("Look at the figure above: on which line do the points lie?")
    return "It does what it is shown; nothing else says what the task is."


def _transplant(answer: object) -> str:
    family = find("cheetah-vel")
    own, other = (draw(family, family.task(i), "expert", 2, 5, 0) for i in (2, 26))
    before = own.observations.clone()
    found = call(answer, own, other, 3)
    if not torch.equal(own.observations, before):
        raise Wrong("You changed the prompt that you were given: work on a copy (`clone()`).")
    if not isinstance(found, Segment):
        raise Wrong("Return a whole prompt: `dataclasses.replace(prompt, observations=...)`.")
    wanted = before.clone()
    wanted[..., 3] = other.observations[..., 3]
    if torch.equal(found.observations, before):
        raise Wrong("Nothing has changed in the observations.")
    if not torch.equal(found.observations, wanted):
        raise Wrong("One column only, in all rows: `observations[..., column]`.")
    for name in ("actions", "returns_to_go", "timesteps"):
        if not torch.equal(getattr(found, name), getattr(own, name)):
            raise Wrong(f"`{name}` has changed too.")
    return "Now you can ask of every column what it tells."


def _paired(answer: object) -> str:
    draws = np.random.default_rng(2)
    a = draws.normal(-50, 30, 12)
    b = a + draws.normal(4, 3, 12)
    found = call(answer, a, b)
    if np.shape(found) != (2,):
        raise Wrong("Return two numbers: the mean difference, and half the width of its interval.")
    mean, half = map(float, found)
    if np.isclose(mean, a.mean() - b.mean()):
        raise Wrong("The other way round: second minus first.")
    if not np.isclose(mean, (b - a).mean()):
        raise Wrong("The first number is the mean of second minus first, episode by episode.")
    if np.isclose(half, half_width(b - a), rtol=1e-3):
        return "Episodes of equal seed begin alike: in the difference, what they share is gone."
    if half > 2 * half_width(b - a):
        raise Wrong("Too wide: take the differences first, then their spread.")
    raise Wrong("Take `half_width` of the differences (or Student's t, `ddof=1`).")


def _noised(answer: object) -> str:
    draws = np.random.default_rng(3)
    x0, eps = draws.normal(size=(2, 5))
    found, wanted = call(answer, x0, 0.3, eps), 0.3**0.5 * x0 + 0.7**0.5 * eps
    if close(found, 0.3 * x0 + 0.7 * eps):
        raise Wrong("ᾱ is a share of the variance, so both factors are square roots.")
    if close(found, 0.7**0.5 * x0 + 0.3**0.5 * eps):
        raise Wrong("ᾱ belongs to the signal, 1 - ᾱ to the noise.")
    if not close(found, wanted):
        raise Wrong("√ᾱ x0 + √(1 - ᾱ) ε.")
    return "Data of variance 1 keep variance 1 at every k."


def _weights(answer: object) -> str:
    data, x, alpha_bar = np.random.default_rng(4).normal(size=(6, 2)), np.array([0.4, -0.2]), 0.6
    found = array(call(answer, x, alpha_bar, data))
    if found.shape != (6,):
        raise Wrong(f"One weight per data point is asked for: got the shape {found.shape}.")
    if not np.isclose(found.sum(), 1):
        raise Wrong("The weights must sum to 1: divide by their sum.")

    def share(centre, variance):
        w = np.exp(-np.square(x - centre).sum(1) / (2 * variance))
        return w / w.sum()

    if close(found, share(data, 1 - alpha_bar)):
        raise Wrong("x_k lies around √ᾱ x_i, not around x_i: shrink the data first.")
    if close(found, share(alpha_bar**0.5 * data, (1 - alpha_bar) / 2)):
        raise Wrong("The distance is divided by *twice* the variance.")
    if not close(found, share(alpha_bar**0.5 * data, 1 - alpha_bar)):
        raise Wrong("w_i ∝ exp(-‖x - √ᾱ x_i‖² / (2 (1 - ᾱ))).")
    return "The best guess x̂0 is the mean of the data with these weights, at every k."


def _when_it_commits(answer: object) -> str:
    schedule, data, chain = toy_diffusion.example()
    near, n = toy_diffusion.to_data(chain.x0_hat, data), schedule.n_diffusion_steps
    wanted, found = n - int((near < 0.2).nonzero()[0]), number(answer)
    if found == n - wanted:
        raise Wrong("You counted steps that are done; k runs the other way, from N down.")
    if found != wanted:
        way = "smaller" if found > wanted else "larger"
        raise Wrong(f"`chain.x0_hat[0]` belongs to k = {n}, the next to {n - 1}. Try a {way} k.")
    return "Above it, most guesses lie between the arcs, where no data are."


def _cheapest_guess(answer: object) -> str:
    found = str(answer).strip().lower()
    if found not in ("mean", "nearest", "random"):
        raise Wrong('Answer with one of "mean", "nearest", "random".')
    if found != "mean":
        raise Wrong("L_DM is a *squared* error: which single guess makes its expectation least?")
    return "So from pure noise the guess is the average of all data, though nothing looks like it."


def _project(answer: object) -> str:
    rule = Projection("vector")
    for g_dt, g_dm in (  # one pair that agrees, two that conflict
        ((1.0, 1.0), (1.0, 0.0)),
        ((-1.0, 1.0), (2.0, 0.0)),
        ((-1.0, 3.0), (1.0, 0.2)),
    ):
        dt, dm = np.array(g_dt), np.array(g_dm)
        found = array(call(answer, dt, dm))
        total = rule.combine([torch.tensor(g_dm)], [torch.tensor(g_dt)]).gradient[0].numpy()
        along = dt @ dm / (dm @ dm) * dm
        if close(found, total - dm):
            continue
        if dt @ dm >= 0 and close(found, dt - along):
            raise Wrong("Where the two agree, nothing is removed (Eq. 9): ask for the sign first.")
        if close(found, along):
            raise Wrong("That is the part that should go. What stays is the rest.")
        if close(found, dt - dt @ dm * dm):
            raise Wrong("Divide by ‖g_DM‖²: g_DM has not length 1.")
        raise Wrong(f"For g_DT = {g_dt} and g_DM = {g_dm} it should be {total - dm}.")
    return "What is left is orthogonal to g_DM: it can no longer undo it, to first order."


G_DM, G_DT = (1.0, 0.5), (-1.5, 1.0)
"""The two gradients of exercise 4.2."""


def _where_it_turns(answer: object) -> str:
    dm, dt, found = np.array(G_DM), np.array(G_DT), number(answer)
    wanted = -(dm @ dm) / (dm @ dt)
    if np.isclose(found, -wanted):
        raise Wrong("λ is not negative. Which sign has g_DM · g_DT?")
    if np.isclose(found, 1 / wanted):
        raise Wrong("Upside down.")
    if not np.isclose(found, wanted, rtol=0.02):
        raise Wrong("Solve g_DM · (g_DM + λ g_DT) = 0 for λ.")
    return "Above it the plain sum climbs on L_DM. With the projection no λ does that."


def _without_rows(answer: object) -> str:
    draws = torch.Generator().manual_seed(5)
    a, recent = torch.randn(4, 6, generator=draws), torch.randn(2, 6, generator=draws)
    basis = row_space([recent], 1.0)
    found = call(answer, a.clone(), basis)
    if close(found, (a @ basis) @ basis.T):
        raise Wrong("A B Bᵀ is the part *in* the subspace. Proj keeps what is outside.")
    if not close(found, a - (a @ basis) @ basis.T):
        raise Wrong("A - A B Bᵀ: the columns of B are the basis.")
    return "No row of the result has a part left along any of the remembered gradients."


def _middle_mean(answer: object) -> str:
    from rliable import metrics

    values = np.random.default_rng(6).normal(-60, 30, 16) - np.eye(16)[0] * 400
    found, wanted = number(call(answer, values)), float(metrics.aggregate_iqm(values[:, None]))
    if np.isclose(found, values.mean()):
        raise Wrong("That is the mean of all. One failed run moves it a lot.")
    if np.isclose(found, np.median(values)):
        raise Wrong("That is the median: it looks at two values of sixteen.")
    if not np.isclose(found, wanted):
        raise Wrong("Sort, drop a quarter at each end, take the mean of what is left.")
    return "One failed run hardly moves it."


def _judge(answer: object) -> str:
    for low, high in ((1.0, 3.0), (-4.0, -1.0), (-1.0, 2.0)):
        wanted = verdict("better", scores.Estimate((low + high) / 2, low, high))
        found = str(call(answer, low, high)).strip().lower()
        if found not in ("yes", "no", "undecided"):
            raise Wrong('Return one of "yes", "no", "undecided".')
        if found != wanted and wanted == "undecided":
            raise Wrong("An interval with 0 inside says neither yes nor no.")
        if found != wanted:
            raise Wrong(f"From {low:g} to {high:g} it is {wanted!r}.")
    return "The interval judges, not the eye."


def _how_many_seeds(answer: object) -> str:
    found = number(answer)
    half = {n: special.stdtrit(n - 1, 0.975) / n**0.5 for n in range(2, 50)}
    if found == 12:
        raise Wrong("The *square root* alone would ask for that many. But t falls as well.")
    if found != min(n for n in half if half[n] <= half[3] / 2):
        raise Wrong("Width ∝ t/√n, and t depends on n. At which n is it half of that at 3?")
    return (
        "The first seeds are the cheapest; from many on, half the width costs four times as many."
    )


def _false_alarms(answer: object) -> str:
    found = number(answer)
    if found == 0:
        raise Wrong("A 95 % interval misses the truth in one of twenty cases, by design.")
    if not np.isclose(found, 1.2):
        raise Wrong("How many comparisons are there, and how often does each mislead by chance?")
    return "So a single star among many bars is no finding; Findings corrects for it."


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
    "5.3": _how_many_seeds,
    "5.4": _false_alarms,
    "6.1": answers_own_task.sets_and_adds_nothing,
    "6.2": answers_own_task.hides_the_goal,
    "6.3": answers_own_task.another_goal,
}
"""Exercise → function that returns what to say of a right answer, and raises for a wrong one."""
