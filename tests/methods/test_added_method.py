"""The documentation's worked example of a new method, held to the rules of every method."""

import re
import sys
import types
from pathlib import Path

import pytest

from tests import test_all_methods as rules
from tests.test_all_methods import stream  # noqa: F401
from workbench.methods import METHODS

GUIDE = Path(__file__).parents[2] / "docs" / "adding_a_method.md"
NAME = "picked-prompt"


@pytest.fixture(scope="module")
def example():
    (text,) = re.findall(r"```python\n(\"\"\"Picked Prompt.*?)```", GUIDE.read_text(), re.DOTALL)
    module = types.ModuleType("picked_prompt")
    sys.modules["picked_prompt"] = module
    exec(compile(text, "picked_prompt.py", "exec"), vars(module))
    yield module.PickedPrompt
    del sys.modules["picked_prompt"]


@pytest.fixture(autouse=True)
def known(example, monkeypatch):
    monkeypatch.setitem(METHODS, NAME, example)
    monkeypatch.setitem(rules.SMALL, NAME, {"batch_size": 8})


@pytest.mark.parametrize(
    "rule",
    [
        rules.test_the_same_seed_gives_the_same_stream,
        rules.test_updates_and_evaluations_come_when_asked,
        rules.test_evaluations_are_paired_by_their_seeds,
        rules.test_other_use_of_the_global_generators_changes_nothing,
        rules.test_the_global_generators_are_left_alone,
        rules.test_no_mode_is_left_behind_at_a_yield,
        rules.test_the_consumers_grad_mode_does_not_matter,
        rules.test_a_snapshot_never_changes_afterwards,
        rules.test_taking_a_snapshot_changes_nothing,
        rules.test_the_frozen_model_is_never_changed,
        rules.test_a_policy_has_the_agreed_number_of_prompts,
    ],
)
def test_the_example_keeps_the_rules(rule, request):
    wanted = rule.__code__.co_varnames[: rule.__code__.co_argcount]
    given = {name: request.getfixturevalue(name) for name in wanted if name != "name"}
    rule(**given, name=NAME)


def test_the_example_is_a_frozen_value():
    rules.test_a_method_is_a_frozen_value_with_the_papers_name(NAME)


def test_it_picks_better_prompts(toy, model, demos):
    import torch

    learner = METHODS[NAME]().start(model, demos, torch.Generator().manual_seed(0))
    losses = [learner.update().metrics["loss_dt"] for _ in range(12)]
    assert sum(losses[-4:]) < sum(losses[:4])
