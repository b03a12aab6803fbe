"""The same model under right, poor, wrong and no prompts."""

import numpy as np
import pytest
import torch

from tests.conftest import record
from workbench.data.rollout import evaluate
from workbench.data.trajectory_files import save_trajectories
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.shipped import assets
from workbench.tuning.loop import EVALUATION_SEED
from workbench.tuning.prompt_kinds import PROMPTS, compare_prompts, draw


def rows_of(prompt, items):
    """Return which trajectory of ``items`` each prompt was cut from, at its timesteps."""
    found = []
    for i in range(len(prompt)):
        rows = prompt.timesteps[i].numpy()
        found += [
            n for n, t in enumerate(items)
            if np.array_equal(t.observations[rows], prompt.observations[i])
            and np.array_equal(t.actions[rows], prompt.actions[i])
        ]  # fmt: skip
    return found


@pytest.mark.parametrize("kind", ["expert", "medium", "random"])
def test_a_quality_is_cut_from_the_tasks_own_demonstrations(shipped, toy, kind):
    prompt = draw(toy, toy.task(5), kind, 7, 3, seed=0)
    assert (len(prompt), prompt.length) == (7, 3)
    assert rows_of(prompt, assets.demos(toy.task(5), kind)) == [0, 1, 2, 3, 4, 0, 1]


def test_the_wrong_prompt_is_an_experts_of_another_test_task(shipped, toy):
    prompt = draw(toy, toy.task(5), "wrong-task", 4, 3, seed=0)
    assert rows_of(prompt, assets.demos(toy.task(2), "expert")) == [0, 1, 2, 3]


def test_wrong_prompts_take_every_other_test_task_in_turn(shipped, toy, monkeypatch):
    import dataclasses

    from workbench.tasks import FAMILIES

    wider = dataclasses.replace(toy, test_indices=(1, 2, 5))
    monkeypatch.setitem(FAMILIES, "toy", wider)
    save_trajectories(assets.demos_path(wider.task(1), "expert"), record(wider.task(1), 5, seed=4))
    prompt = draw(wider, wider.task(2), "wrong-task", 6, 3, seed=0)
    for number, (index, rows) in enumerate([(1, [0, 2, 4]), (5, [1, 3, 5])]):
        own = rows_of(prompt[number::2], assets.demos(wider.task(index), "expert"))
        assert len(own) == 3, rows


def test_no_prompt_has_no_rows(shipped, toy):
    assert draw(toy, toy.task(5), "none", 4, 3, seed=0).length == 0


def test_the_seed_draws_the_positions(shipped, toy):
    first, again, other = (draw(toy, toy.task(5), "expert", 9, 3, s) for s in (0, 0, 1))
    assert torch.equal(first.observations, again.observations)
    assert not torch.equal(first.timesteps, other.timesteps)


@pytest.mark.parametrize("kind", ["experts", "wrong", ""])
def test_an_unknown_kind_is_a_clear_error(shipped, toy, kind):
    with pytest.raises(ValueError, match=r"wrong-task|few-shot"):
        draw(toy, toy.task(5), kind, 2, 3, seed=0)


def test_every_test_task_is_evaluated_under_every_kind(shipped, toy, model):
    rows = list(compare_prompts(toy, episodes=2, n_prompts=3, seed=0))
    cells = [(task, kind) for task in (2, 5) for kind in PROMPTS]
    assert [(r["task"], r["prompt"]) for r in rows] == cells
    assert {tuple(r["goal"]) for r in rows} == {(0.5,), (1.25,)}
    assert {r["episodes"] for r in rows} == {6}
    prompt = draw(toy, toy.task(5), "random", 3, 3, 0)
    seeds = range(EVALUATION_SEED, EVALUATION_SEED + 6)
    want = evaluate(PromptedPolicy(model, prompt), toy.task(5), seeds).summary()
    assert rows[cells.index((5, "random"))].items() >= want.items()
    assert len({r["return_mean"] for r in rows}) > 4, "the prompt makes a difference"
