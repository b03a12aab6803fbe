"""A method that is not sound is refused, each for its own reason."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workbench.methods import METHODS, PromptDiffusion, SoftPrompt
from workbench.methods.method import Snapshot, Update
from workbench.methods.soft_prompt import SoftPromptLearner
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.upkeep.family_rules import problems
from workbench.upkeep.method_rules import check_method


def broken(kind):
    return {one.rule: one.problem for one in problems(list(check_method("mine", kind)))}


def method_of(learner, frozen=True):
    """Return a soft prompt with another learner."""

    @dataclass(frozen=frozen)
    class Mine(SoftPrompt):
        batch_size: int = 8

        def start(self, model, demos, rng, *, prompts=None):
            return learner(self, model, demos, rng, prompts or demos)

    return Mine


class Thief(SoftPromptLearner):
    """Tunes the frozen model itself."""

    def update(self):
        done = super().update()
        with torch.no_grad():
            next(self.model.parameters()).mul_(1.001)
        return done


class Wild(SoftPromptLearner):
    """Draws from the global generator."""

    def update(self):
        self.change.data += 0.01 * torch.randn(self.change.shape)
        return super().update()


class Noisy(SoftPromptLearner):
    """Draws from nowhere that a seed reaches."""

    def update(self):
        self.change.data += 0.01 * float(np.random.default_rng().normal())
        return super().update()


class Alive(SoftPromptLearner):
    """Hands out the prompt that it goes on to change."""

    def snapshot(self):
        prompt = dataclasses.replace(self.numbers.initial, rewards=self.rewards)
        return Snapshot(PromptedPolicy(self.model, prompt))

    def __init__(self, *given):
        super().__init__(*given)
        self.rewards = self.numbers.initial.rewards.clone()

    def update(self):
        self.rewards += 1.0
        return super().update()


class Switching(SoftPromptLearner):
    """Leaves gradients off."""

    def update(self):
        done = super().update()
        torch.set_grad_enabled(False)
        return done


class Few(SoftPromptLearner):
    """Acts with two prompts."""

    def snapshot(self):
        policy = super().snapshot().policy
        return Snapshot(PromptedPolicy(self.model, policy.prompt[:2]))


class Upward(SoftPromptLearner):
    """Climbs where it should descend."""

    def __init__(self, *given):
        super().__init__(*given)
        step = self.adam.step
        self.adam.step = lambda _lr: step(-0.05)


class Nothing(SoftPromptLearner):
    """Diverges."""

    def update(self):
        super().update()
        return Update({"loss_dt": float("nan")})


@pytest.mark.parametrize("name", ["soft-prompt", "prompt-diffuser", "mt-orl", "adapter"])
def test_ours_keep_every_rule(name):
    assert broken(METHODS[name]) == {}


@pytest.mark.parametrize(
    ("learner", "rule", "said"),
    [
        (Thief, "the frozen model is never changed", "changed the frozen model"),
        (Wild, "all randomness comes from `rng`", "global generator"),
        (Noisy, "the same seed gives the same stream", "runs of one seed differ"),
        (Alive, "a snapshot never changes afterwards", "changed with later updates"),
        (Switching, "no mode is left behind", "left gradients switched"),
        (Few, "every policy has the agreed prompts", "must have 5 prompts"),
        (Upward, "the loss falls", "No loss falls"),
        (Nothing, "the loss falls", "diverged"),
    ],
)
def test_one_that_is_not_is_refused_for_its_fault(learner, rule, said):
    try:
        assert said in broken(method_of(learner))[rule]
    finally:
        torch.set_grad_enabled(True)


def test_what_is_no_frozen_value_is_refused_at_once():
    @dataclass
    class Open:
        lr: float = 0.1
        start = SoftPrompt.start
        needs = {}  # noqa: RUF012

    @dataclass(frozen=True)
    class Asking(SoftPrompt):
        lr: float = dataclasses.field(kw_only=True)

    (first,) = check_method("open", Open)
    assert "must be frozen" in first.problem
    (first,) = check_method("asking", Asking)
    assert "`lr` must have a default" in first.problem


def test_a_setting_that_is_a_flag_already_is_refused():
    @dataclass(frozen=True)
    class Seeded(SoftPrompt):
        seed: int = 3

    (first,) = check_method("seeded", Seeded)
    assert "`seed` is a flag of the commands already" in first.problem


def test_a_need_that_is_none_is_named():
    @dataclass(frozen=True)
    class Wanting(PromptDiffusion):
        needs = {"diffuser": "diffusser"}  # noqa: RUF012

    (first,) = check_method("wanting", Wanting)
    assert "no pretrained network of that name" in first.problem
