"""Runs by name. The loop itself: test_all_methods.py."""

import dataclasses
import importlib
import json
import math
import re
import sys

import numpy as np
import pytest
import torch

from tests.conftest import TOY_DIFFUSER, record
from workbench.data.trajectory_files import save_trajectories
from workbench.methods import METHODS
from workbench.shipped import assets
from workbench.shipped.networks import load_diffuser, load_model
from workbench.tuning.loop import _explained, run, tune
from workbench.tuning.spec import RunSpec, acting_model

SPEC = {"updates": 3, "eval_every": 2, "episodes": 2, "settings": {"batch_size": 4}}


def test_a_run_tunes_what_its_spec_names(shipped, toy, model, diffuser):
    """The same numbers as when the values are passed in by hand."""
    steps = list(run(RunSpec("toy", 5, "random", seed=7, **SPEC)))
    method = METHODS["prompt-diffuser"](batch_size=4, diffuser=diffuser)
    model = model.computing("bf16")
    demos = record(toy.task(5), 5, seed=2, skill=0)
    by_hand = list(
        tune(method, model, demos, toy.task(5), updates=3, seed=7, eval_every=2, episodes=2)
    )
    assert [s.update for s in steps] == [0, 1, 2, 3]
    for a, b in zip(steps, by_hand, strict=True):
        assert (a.metrics, a.gradients) == (b.metrics, b.gradients)
        if a.evaluation:
            np.testing.assert_array_equal(a.evaluation.returns, b.evaluation.returns)


def test_every_spec_field_reaches_the_run(shipped):
    base = {"family": "toy", "task": 5, **SPEC}
    (*_, plain) = run(RunSpec(**base))
    for change in (
        {"task": 2},
        {"quality": "expert"},
        {"method": "prompt-dt", "settings": {}},
        {"settings": {"batch_size": 4, "lam": 9.0, "lr": 0.01}},
        {"settings": {"batch_size": 4, "temperature": 0.0}},
        {"updates": 2},
        {"seed": 8},
    ):
        (*_, other) = run(RunSpec(**{**base, **change}))
        prompts = [s.snapshot.policy.prompt.observations for s in (plain, other)]
        assert not torch.equal(*prompts), change
    assert len(list(run(RunSpec(**{**base, "episodes": 5})))[-1].evaluation.returns) == 5


def test_the_untuned_run_uses_the_same_episodes_and_demonstrations(shipped):
    spec = RunSpec("toy", 5, "random", seed=3, **SPEC)
    untuned = spec.untuned
    cut = {"prompt_positions": "published"}
    assert (untuned.method, untuned.updates, untuned.settings) == ("prompt-dt", 0, cut)
    for name in ("family", "task", "quality", "seed", "episodes"):
        assert getattr(untuned, name) == getattr(spec, name)
    (step,) = run(untuned)
    first = next(run(spec))
    assert step.evaluation.seeds == first.evaluation.seeds
    for a, b in zip(step.evaluation.trajectories, first.evaluation.trajectories, strict=True):
        np.testing.assert_array_equal(a.states[0], b.states[0])


def test_the_untuned_run_keeps_the_initial_prompt(shipped):
    spec = RunSpec("toy", 5, "random", prompts="expert", seed=3, **SPEC)
    untuned = spec.untuned
    assert (untuned.quality, untuned.prompts) == ("expert", "")
    assert untuned.id == dataclasses.replace(spec, quality="expert", prompts="").untuned.id
    for method in ("soft-prompt", "adapter", "prompt-tuning-dt", "prompt-dt-ft"):
        (step,) = run(untuned)
        first = next(run(dataclasses.replace(spec, method=method, settings=untuned.settings)))
        np.testing.assert_array_equal(first.evaluation.returns, step.evaluation.returns)
        for name, value in vars(step.snapshot.policy.prompt).items():
            assert torch.equal(getattr(first.snapshot.policy.prompt, name), value), name


def test_a_stored_policy_acts_with_the_network_of_its_method(shipped, toy):
    for name in METHODS:
        found = acting_model(RunSpec("toy", 5, method=name))
        assert found.config.prompt_length == (0 if name == "mt-orl" else 3)
        assert not any(p.requires_grad for p in found.parameters())
    assert acting_model(RunSpec("toy", 5)) is load_model("toy")
    assets.pretrained_path("toy", "mt-orl").unlink()
    with pytest.raises(ValueError, match=r"There is no checkpoint .*mt-orl"):
        acting_model(RunSpec("toy", 5, method="mt-orl"))


def test_a_task_without_demonstrations_is_a_clear_error(shipped):
    with pytest.raises(ValueError, match=r"No medium few-shot set ships for toy 0.*test tasks"):
        next(run(RunSpec("toy", 0, **SPEC)))


@pytest.mark.parametrize(("path", "verb"), [("model", "pretrain"), ("diffuser", "")])
def test_a_missing_checkpoint_is_a_clear_error(shipped, path, verb):
    file = {"model": assets.model_path, "diffuser": assets.diffuser_path}[path]("toy")
    file.unlink()
    with pytest.raises(ValueError, match=f"There is no checkpoint .*{file.name}.*{verb}"):
        next(run(RunSpec("toy", 5, **SPEC)))


def test_models_are_loaded_once_and_frozen(shipped):
    assert load_model("toy") is load_model("toy")
    assert load_diffuser("toy") is load_diffuser("toy")
    for module in (load_model("toy"), load_diffuser("toy")):
        assert not any(p.requires_grad for p in module.parameters())
    assert not load_model("toy").training


def test_the_canonical_form_is_plain_json_with_every_setting(shipped):
    spec = RunSpec("toy", 5, settings={"lam": 2.0})
    plain = spec.canonical
    assert json.loads(json.dumps(plain)) == plain
    named = {f.name for f in dataclasses.fields(METHODS["prompt-diffuser"])}
    since = {"prompt_positions", "trust", "dm_data", "lr_half", "average", "training_temperature"}
    since.add("eta")
    assert since - plain["settings"].keys() == {"trust", "eta"}, "at which runs were before"
    assert plain["settings"].keys() | since == named - {"diffuser", "config", "critic"}
    before = {"dm_data": "few-shot", "lr_half": 0, "average": 0.9, "training_temperature": -1.0}
    before["prompt_positions"] = "any"
    other = RunSpec("toy", 5, settings=before).canonical
    assert other["settings"].keys() & since == {"average"}, "named where runs did otherwise before"
    assert plain["settings"]["lam"] == 2.0
    assert plain["settings"]["energy"] == METHODS["prompt-diffuser"]().energy
    assert {n: len(h) for n, h in plain["assets"].items()} == {
        "model": 12, "diffuser": 12, "demos": 12,
    }  # fmt: skip
    assert spec.untuned.canonical["assets"].keys() == {"model", "demos"}


def test_an_id_can_be_a_folders_name_and_needs_no_assets(shipped, toy):
    assert len(RunSpec("toy", 5).id) == 16
    assert RunSpec("toy", 5).id.isalnum()
    before = RunSpec("toy", 0).id
    save_trajectories(assets.demos_path(toy.task(0), "medium"), record(toy.task(0), 1))
    assert RunSpec("toy", 0).id != before


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"quality": "expert", "seed": 3, "updates": 7, "eval_every": 3, "episodes": 4},
        {"settings": {"lam": 0.3, "projection": "vector", "lr": 1e-05, "temperature": 0.0}},
        {"settings": {"batch_size": 8}},
        {"settings": {"energy": 0.5, "memory": 3, "refresh": 2, "clip": 0.5}},
        {"settings": {"guidance": "downstream"}, "precision": "fp32"},
        {"quality": "random", "prompts": "expert"},
        *({"method": name, "updates": 7} for name in METHODS),
        {"method": "soft-prompt", "settings": {"lr": 0.5}, "prompts": "medium"},
        {"method": "adapter", "settings": {"bottleneck": 4}, "precision": "fp32"},
        {"method": "prompt-dt-ft", "settings": {"weight_decay": 0.0}},
        {"method": "prompt-tuning-dt", "settings": {"scorer": "online", "ranking_episodes": 3}},
        {"method": "prompt-tuning-dt", "settings": {"line_search": True, "n_candidates": 4}},
        {"method": "prompt-tuning-dt", "settings": {"line_search": False, "mu": 0.5}},
        {"family": "cheetah-vel", "task": 12, "split": "validation"},
    ],
    ids=str,
)
def test_the_command_reproduces_the_run(shipped, monkeypatch, spec):
    main = importlib.import_module("workbench.__main__")
    wanted, got = RunSpec(**{"family": "toy", "task": 5, **spec}), []

    class Caught(Exception):
        pass

    def catch(*args, **fields):
        got.append(RunSpec(*args, **fields))
        raise Caught

    monkeypatch.setattr("workbench.commands.evaluate.RunSpec", catch)
    words = wanted.command.split()
    assert words[:3] == ["python", "-m", "workbench"]
    monkeypatch.setattr(sys, "argv", ["workbench", *words[3:]])
    with pytest.raises(Caught):
        main.main()
    assert got[0].id == wanted.id


@pytest.mark.parametrize("name", ["updates", "eval_every", "episodes"])
def test_the_loop_refuses_numbers_that_make_no_sense(toy, model, demos, name):
    method = METHODS["prompt-diffuser"](config=TOY_DIFFUSER)
    numbers = {"updates": 2, "eval_every": 1, "episodes": 1, name: -1}
    with pytest.raises(ValueError, match=f"`{name}`"):
        list(tune(method, model, demos, toy.task(5), seed=0, **numbers))


def test_a_model_that_is_not_frozen_is_refused(toy, model, demos):
    """Dropout would draw from the global generator, and the weights would take gradients."""
    method = METHODS["prompt-diffuser"](config=TOY_DIFFUSER)
    model.train().requires_grad_(True)
    with pytest.raises(ValueError, match="frozen"):
        next(tune(method, model, demos, toy.task(5), updates=1, seed=0, eval_every=1, episodes=1))


@pytest.mark.parametrize("lr", [1000.0, 1e38, math.inf])
@pytest.mark.parametrize("method", ["prompt-diffuser", "soft-prompt", "adapter", "prompt-dt-ft"])
def test_a_tuning_that_diverges_says_where_and_what_to_do(shipped, method, lr):
    """Or ends with finite returns: what a step too large does is the method's."""
    spec = RunSpec(
        "toy", 5, method=method, settings={"lr": lr}, updates=4, eval_every=2, episodes=2
    )
    said = ""
    try:
        *_, last = run(spec)
        assert np.isfinite(last.evaluation.returns).all()
    except ValueError as error:
        said = str(error)
    assert said or lr < math.inf
    assert not said or re.match(r"The tuning diverged at update [1-4]: .*Lower `lr`, which", said)


def test_an_error_that_is_no_overflow_stays_what_it_is():
    with pytest.raises(RuntimeError, match="out of memory"), _explained(None, 3):
        raise RuntimeError("out of memory")
    with pytest.raises(ValueError, match="not finite"), _explained(None, 0):
        raise ValueError("the demonstrations are not finite")
