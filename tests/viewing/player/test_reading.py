"""What the transformer reads of its prompt: against finite differences of the actions it took."""

import dataclasses

import numpy as np

from tests.conftest import TOY_SIZES, build_model, record
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectories
from workbench.networks.prompt_dt import PromptedPolicy
from workbench.viewing.player.reading import moments_of, reading_of


def acted(toy):
    task = toy.task(5)
    model, demos = build_model(toy, TOY_SIZES), record(task, 2)
    model.normalizer.fit(Trajectories(demos))
    prompt = Trajectories(demos).segments(np.array([0]), np.array([1]), model.config.prompt_length)
    (episode,) = evaluate(PromptedPolicy(model, prompt), task, [3]).trajectories
    return model, prompt, episode


def test_it_is_the_size_of_the_actions_derivative(toy):
    model, prompt, episode = acted(toy)
    found = reading_of(model, prompt, episode, [0])[0]
    x, y = model.normalizer.pack(prompt)
    assert found.shape == x.shape[1:]

    def first_action(changed):
        policy = PromptedPolicy(model, model.normalizer.unpack(changed, y))
        acting = policy.start([3])
        return acting.act(np.asarray(episode.observations[:1]))[0].astype(float).copy()

    step = 1e-3
    for row, column in ((0, 0), (x.shape[1] - 1, 1)):
        more, less = x.clone(), x.clone()
        more[0, row, column] += step
        less[0, row, column] -= step
        slope = (first_action(more) - first_action(less)) / (2 * step)
        np.testing.assert_allclose(found[row, column], np.linalg.norm(slope), rtol=0.05, atol=1e-5)
    assert found[:, :-1].max() > 1e-4
    np.testing.assert_array_equal(found[:, -1], 0.0, "no reward is read")


def test_a_glance_holds_one_moment_at_a_time(toy, monkeypatch):
    model, prompt, episode = acted(toy)
    sizes = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[1].mask)))
    moments = moments_of(episode, 5)
    found = reading_of(model, prompt, episode, moments)
    assert sizes == [episode.actions.shape[1]] * 5
    np.testing.assert_allclose(
        found[2], reading_of(model, prompt, episode, [moments_of(episode, 5)[2]])[0]
    )


def test_later_moments_see_the_rows_that_the_policy_saw(toy):
    """The contexts are right if the model repeats in them the actions that it took."""
    model, prompt, episode = acted(toy)
    moments = moments_of(episode, 5)
    assert (moments[0], moments[-1]) == (0, len(episode) - 1)
    early = reading_of(model, prompt, episode, moments[:3])
    cut = dataclasses.replace(
        episode,
        **{
            name: getattr(episode, name)[: moments[2] + 1]
            for name in ("observations", "actions", "rewards", "states")
        },
    )
    np.testing.assert_allclose(reading_of(model, prompt, cut, moments[:3]), early, rtol=1e-4)
