"""A diffuser that is told the task by a few transitions, and the choice among its prompts."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY_INFORMED, build_other, record
from workbench.data.trajectory import Trajectories
from workbench.methods import METHODS
from workbench.networks.informed_diffusion import InformedConfig, InformedDiffuser, all_transitions
from workbench.networks.prompt_dt import action_loss
from workbench.pretraining.generators import INFORMED, draw_informed, pretrain_generator
from workbench.pretraining.prompt_dt import Pool

N = 64


@pytest.fixture
def pool(toy):
    """Four training tasks, three qualities; every trajectory knows who made it by its seed."""
    groups = []
    for number, quality in enumerate(("expert", "medium", "random")):
        for task in toy.tasks("train"):
            items = record(task, 3, seed=10 * task.index + number, skill=1 - number / 2)
            groups.append((quality, items))
    return Pool(groups)


@pytest.fixture
def informed():
    return build_other("informed")


def row_of(pool):
    """Return packed transition → (task, quality) of every row in the pool."""
    known = {}
    for (task, quality), t in zip(pool._labels, pool.trajectories.items, strict=True):
        for row in np.concatenate([t.observations, t.actions, t.rewards[:, None]], 1):
            known[np.float32(row).tobytes()] = (task, quality)
    return known


class Same:
    """A normaliser that changes nothing."""

    mean, scale = torch.zeros(5), torch.ones(5)

    def pack(self, segment):
        x = torch.cat([segment.observations, segment.actions, segment.rewards], -1)
        y = torch.cat([segment.returns_to_go, segment.timesteps[..., None].float()], -1)
        return x, y


def test_what_is_drawn_is_of_one_task(pool):
    """The prompt is an expert's; transitions is all of one quality, and every quality comes."""
    draw, tasks = np.random.default_rng(0), np.arange(N) % 4
    x0, y, transitions = draw_informed(pool, Same(), INFORMED, TOY_INFORMED, draw, tasks)
    assert x0.shape == (N, 3, 5)
    assert y.shape == (N, 3, 2)
    assert transitions.shape == (N, 4, 5)
    known, seen = row_of(pool), set()
    for i, place in enumerate(tasks):
        task = pool.tasks[place]
        assert {known[row.numpy().tobytes()] for row in x0[i]} == {(task, "expert")}
        (told,) = {known[row.numpy().tobytes()] for row in transitions[i]}
        assert told[0] == task
        seen.add(told[1])
        np.testing.assert_array_equal(np.diff(y[i, :, 1]), 1)
    assert seen == {"expert", "medium", "random"}


def test_transitions_have_no_order_and_may_be_shared(informed):
    y, transitions = torch.randn(6, 3, 2), torch.randn(1, 9, 5)
    conditioned = informed.with_task(y, transitions)
    assert conditioned.shape == (6, 3, 2 + TOY_INFORMED.code)
    assert torch.equal(conditioned[..., :2], y)
    again = informed.with_task(y, transitions[:, torch.randperm(9)].expand(6, -1, -1))
    torch.testing.assert_close(again, conditioned)
    assert not torch.allclose(informed.with_task(y, transitions[:, :4]), conditioned)


def test_all_transitions_are_every_row_once(toy, model):
    data = Trajectories(record(toy.task(5), 3))
    rows = all_transitions(data, model.normalizer, np.random.default_rng(0))
    want, _ = model.normalizer.pack(data.segments(np.arange(3), np.zeros(3, int), 12))
    assert torch.equal(rows, want.reshape(1, 36, 5))


def test_of_a_large_set_a_sample_is_read(toy, model, monkeypatch):
    monkeypatch.setattr("workbench.networks.informed_diffusion._MOST", 10)
    data = Trajectories(record(toy.task(5), 3))
    rows = all_transitions(data, model.normalizer, np.random.default_rng(0))
    assert rows.shape == (1, 10, 5)
    assert len({row.numpy().tobytes() for row in rows[0]}) == 10


def test_it_infers_the_task_from_random_data(pool, model):
    """Told random transitions of the slowest or the fastest task, it denoises other prompts."""
    config = dataclasses.replace(INFORMED, steps=400, guided_share=0, batch_size=64, average=0.9)
    sizes = InformedConfig(
        prompt_length=3, n_diffusion_steps=8, width=48, n_layers=2, n_transitions=12, code=4
    )
    for step in pretrain_generator("informed", pool, model, config, sizes, 0):
        network = step.generator
    speeds = []
    for task, quality in ((0, "random"), (4, "random")):
        own = [
            t
            for (index, q), t in zip(pool._labels, pool.trajectories.items, strict=True)
            if (index, q) == (task, quality)
        ]
        data, rng = Trajectories(own), torch.Generator().manual_seed(0)
        transitions = all_transitions(data, model.normalizer, np.random.default_rng(0))
        cut = data.segments(np.zeros(64, int), np.full(64, 8), 3)
        y = model.normalizer.pack(cut)[1]
        with torch.no_grad():
            x0 = network.sample(network.with_task(y, transitions), rng, 0.25)
        speeds.append(model.normalizer.unpack(x0, y).observations[..., 0].mean().item())
    assert speeds[1] - speeds[0] > 0.5, "the goals are 0 and 1 m/s"


@pytest.mark.parametrize("name", ["n_transitions", "code", "width"])
def test_a_size_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        InformedConfig(**{name: 0})


def test_a_checkpoint_comes_back(informed, toy, tmp_path):
    informed.save(tmp_path / "informed.safetensors")
    again = InformedDiffuser.load(tmp_path / "informed.safetensors")
    assert again.config == informed.config
    for name, value in informed.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize("name", ["prompt-diffuser", "informed-diffuser", "prompt-vae"])
def test_of_several_candidates_the_one_with_the_least_action_loss_is_kept(model, demos, name):
    """Compared with every candidate generated and scored by hand."""
    kind = {"prompt-diffuser": "diffuser", "informed-diffuser": "informed", "prompt-vae": "vae"}
    network = build_other(kind[name]) if kind[name] != "diffuser" else None
    settings = {"batch_size": 8, "n_candidates": 6}
    if network is None:
        from tests.conftest import TOY_DIFFUSER

        settings["config"] = TOY_DIFFUSER
    else:
        settings[next(iter(METHODS[name].needs))] = network
    learner = METHODS[name](**settings).start(model, demos, torch.Generator().manual_seed(3))
    snapshot = learner.snapshot()
    many = learner.condition.repeat_interleave(6, 0)
    with torch.no_grad():
        rng = torch.Generator().manual_seed(learner.sampling_seed)
        y = learner.with_task(many)
        trace = learner.generator.trace(y, rng, 0.5)
        x0 = learner.generator.sample(y, rng, 0.5) if trace is None else trace.x[-1]
        draw = np.random.default_rng(learner.sampling_seed)
        context = learner.data.sample(draw, 8, model.config.context_length, whole=False)
        prompts = model.normalizer.unpack(x0, y)
        losses = [
            action_loss(model, prompts[torch.full((8,), i)], context).item()
            for i in range(len(many))
        ]
    best = [6 * i + int(np.argmin(losses[6 * i : 6 * i + 6])) for i in range(5)]
    assert best != [0, 6, 12, 18, 24]
    kept = snapshot.policy.prompt
    assert torch.equal(kept.observations, prompts.observations[best])
    if trace is not None:
        assert torch.equal(snapshot.trace.x, trace.x[:, best])
        assert snapshot.trace.y.shape[0] == 5
