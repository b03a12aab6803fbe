"""What the player is given: the chain and the episodes that it led to."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import TOY_DIFFUSER, TOY_SIZES, build_model

from workbench import figures, player, render, replay
from workbench.behaviour import UniformPolicy
from workbench.compare import Comparison
from workbench.methods import NoTuning, PromptDiffusion
from workbench.rollout import evaluate
from workbench.tasks import FAMILIES, find
from workbench.trajectory import Trajectories
from workbench.tune import RunSpec, TuneStep, tune

SPEC = RunSpec("cheetah-vel", 15, updates=1, eval_every=1, episodes=1)


@pytest.fixture(scope="module")
def cheetah():
    """A tiny model of the real family, and one comparison with it: two episodes of 200 steps."""
    family = find("cheetah-vel")
    task, model = family.task(15), build_model(family, TOY_SIZES)
    demos = evaluate(UniformPolicy(6), task, [1]).trajectories
    model.normalizer.fit(Trajectories(demos))
    options = {"seed": 0, "eval_every": 1, "episodes": 1}
    (untuned,) = tune(NoTuning(), model, demos, task, updates=0, **options)
    method = PromptDiffusion(config=TOY_DIFFUSER, batch_size=4)
    steps = tuple(tune(method, model, demos, task, updates=1, **options))
    preview = TuneStep(0, {}, 0.0, steps[0].snapshot)
    return model, Comparison(SPEC, preview, untuned, steps)


def test_the_chain_is_that_of_the_prompt_which_the_shown_episode_follows(cheetah):
    model, comparison = cheetah
    step = comparison.steps[-1]
    chain = replay.chain_of(step, model)
    np.testing.assert_array_equal(chain.x, step.snapshot.trace.x[:, 0])
    raw = chain.mean + chain.scale * chain.x[-1]
    prompt = step.snapshot.policy.prompt[:1]
    np.testing.assert_allclose(raw[:, :20], prompt.observations[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(raw[:, 20:26].clip(-1, 1), prompt.actions[0], atol=1e-4)
    np.testing.assert_allclose(raw[:, 26:], prompt.rewards[0], rtol=1e-4, atol=1e-4)
    again = evaluate(
        type(step.snapshot.policy)(model, prompt), step.evaluation.task, step.evaluation.seeds[:1]
    )
    np.testing.assert_allclose(again.returns[0], step.evaluation.returns[0], rtol=1e-3)


def test_every_column_of_the_chain_is_named(cheetah):
    model, comparison = cheetah
    chain = replay.chain_of(comparison.steps[-1], model)
    assert len(chain.names) == len(chain.units) == len(chain.groups) == chain.x.shape[-1] == 27
    assert (chain.names[8], chain.units[8]) == ("forward velocity", "m/s")
    assert [chain.groups.count(g) for g in ("observation", "action", "reward")] == [20, 6, 1]
    assert chain.names[20] == "back thigh torque"


def test_a_step_without_a_chain_has_none(cheetah):
    model, comparison = cheetah
    assert replay.chain_of(comparison.untuned, model) is None
    assert replay.chain_of(TuneStep(3, {}, 0.0), model) is None


def test_the_payload_grows_with_what_is_known(cheetah):
    """The preview alone, then the untuned run, then the tuned one; each has an id of its own."""
    model, whole = cheetah
    begun = Comparison(SPEC, whole.preview, None, ())
    half = Comparison(SPEC, whole.preview, whole.untuned, ())
    payloads = [
        replay.payload_of(begun, None, model),
        replay.payload_of(half, None, model),
        replay.payload_of(whole, whole.steps[0], model),
        replay.payload_of(whole, whole.steps[1], model, autoplay=True),
    ]
    assert [len(p["runs"]) for p in payloads] == [0, 1, 2, 2]
    assert len({p["id"] for p in payloads}) == 4
    assert [p["autoplay"] for p in payloads] == [False, False, False, True]
    for payload in payloads:
        json.dumps(payload, allow_nan=False)
        assert payload["chart"]["target_label"] == "target 1.2 m/s"
    colours = [run["colour"] for run in payloads[-1]["runs"]]
    assert colours == [figures.UNTUNED, figures.TUNED]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_replayed(name):
    """Two random episodes, one of them cut short, make a payload of a bearable size."""
    family = find(name)
    task = family.tasks("test")[0]
    policy = UniformPolicy(len(family.actions))
    (episode,) = evaluate(policy, task, [1]).trajectories
    short = dataclasses.replace(
        episode,
        **{c: getattr(episode, c)[:7] for c in ("observations", "actions", "rewards", "states")},
    )
    runs = [replay.run_of("a", figures.UNTUNED, short), replay.run_of("b", figures.TUNED, episode)]
    assert "after 7 steps" in runs[0].ending
    assert bool(runs[1].ending) == (len(episode) < family.horizon)
    payload = player.payload(
        id=name, scene=render.scene(task), runs=runs, chart=replay.chart_of(task)
    )
    assert [run["steps"] for run in payload["runs"]] == [7, len(episode)]
    assert len(json.dumps(payload, allow_nan=False)) < 400_000
    assert payload["chart"]["title"][0].isupper()
    assert all(np.isfinite(run.measured).all() for run in runs)
    assert (runs[0].path is None) == (payload["scene"]["trail"] == "")


def test_a_replayed_episode_is_the_first_one(cheetah):
    _, comparison = cheetah
    episode = comparison.steps[-1].evaluation.trajectories[0]
    run = replay.run_of("a", figures.TUNED, episode)
    np.testing.assert_array_equal(run.rewards, episode.rewards)
    assert run.poses.shape[0] == len(episode) == 200
    moved = run.poses[:, :, 0].max(0) - run.poses[:, :, 0].min(0)
    assert moved.max() > 0.01
    assert torch.isfinite(torch.from_numpy(np.ascontiguousarray(run.poses))).all()
