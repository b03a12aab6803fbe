"""What the player is given: the chain and the episodes that it led to."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import TOY_DIFFUSER, TOY_SIZES, build_model, record

from workbench import figures, replay
from workbench.behaviour import UniformPolicy
from workbench.compare import Comparison
from workbench.methods import NoTuning, PromptDiffusion
from workbench.rollout import evaluate
from workbench.tasks import find
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


def test_forward_speed_is_the_distance_of_a_step_over_its_time(demos):
    for demo in demos:
        speed = replay.forward_speed(demo)
        x = demo.states[:, 0].astype(float)
        want = [(x[t + 1] - x[t]) / 0.5 for t in range(11)]
        np.testing.assert_allclose(speed[:11], want)
        assert speed[11] == speed[10]


def test_forward_speed_explains_the_rewards(toy):
    (demo,) = record(toy.task(5), 1)
    want = -np.abs(replay.forward_speed(demo) - 1.25) - 0.05 * demo.actions[:, 0] ** 2
    np.testing.assert_allclose(demo.rewards[:-1], want[:-1], atol=1e-4)


def test_one_step_has_a_speed_of_zero(toy):
    (demo,) = record(toy.task(5), 1)
    columns = ("observations", "actions", "rewards", "states")
    assert replay.forward_speed(
        dataclasses.replace(demo, **{c: getattr(demo, c)[:1] for c in columns})
    ) == [0]


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
    colours = [run["colour"] for run in payloads[-1]["runs"]]
    assert colours == [figures.UNTUNED, figures.TUNED]


def test_a_replayed_episode_is_the_first_one(cheetah):
    _, comparison = cheetah
    episode = comparison.steps[-1].evaluation.trajectories[0]
    run = replay.run_of("a", figures.TUNED, episode)
    np.testing.assert_array_equal(run.rewards, episode.rewards)
    assert run.poses.shape[0] == len(episode) == 200
    moved = run.poses[:, :, 0].max(0) - run.poses[:, :, 0].min(0)
    assert moved.max() > 0.01
    assert torch.isfinite(torch.from_numpy(np.ascontiguousarray(run.poses))).all()
