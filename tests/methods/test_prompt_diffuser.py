"""Algorithm 1: what one update is made of. Its equations: test_equations.py."""

import dataclasses

import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_INFORMED, build_other, record
from workbench.data.trajectory import Trajectories
from workbench.methods.other_generators import InformedDiffusion
from workbench.methods.projection import Projection
from workbench.methods.prompt_diffuser import GeneratorLearner, PromptDiffusion, guided_update
from workbench.networks.prompt_dt import action_loss

SMALL = {"batch_size": 8, "lr": 3e-3, "config": TOY_DIFFUSER, "lr_half": 100}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch(toy, model, draw):
    data = Trajectories(record(toy.task(5), 3))
    x0, y = model.normalizer.pack(data.sample(draw, 8, 3, whole=True))
    return x0, y, data.sample(draw, 8, 4, whole=False)


@pytest.mark.parametrize("lam", [0.0, 2.0])
def test_an_update_is_both_losses_of_one_prompt_combined(diffuser, model, batch, lam):
    x0, y, context = batch
    found = guided_update(
        diffuser, model, x0, y, context, seeded(), Projection("none", lam), temperature=0.7
    )
    rng, parameters = seeded(), diffuser.trainable()
    loss_dm = diffuser.own_loss(x0, y, rng)
    made = model.normalizer.unpack(diffuser.sample(y, rng, 0.7), y)
    loss_dt = action_loss(model, made, context)
    assert (found.loss_dm, found.loss_dt) == (loss_dm.item(), loss_dt.item())
    want = torch.autograd.grad(loss_dm + lam * loss_dt, parameters)
    for a, b in zip(found.gradient, want, strict=True):
        torch.testing.assert_close(a, b)
    assert found.measured.keys() == {"loss_dm", "loss_dt", "cosine", "conflict", "removed"}


@pytest.mark.parametrize(
    ("guidance", "name"), [("diffusion", "loss_dm"), ("downstream", "loss_dt")]
)
def test_one_loss_alone_may_guide(diffuser, model, batch, guidance, name):
    x0, y, context = batch
    both, one = (
        guided_update(
            diffuser, model, x0, y, context, seeded(), Projection("none"), temperature=0.0,
            guidance=g,
        )
        for g in ("both", guidance)
    )  # fmt: skip
    assert one.measured.keys() == {name}
    assert one.combined is None
    assert not all(torch.equal(a, b) for a, b in zip(one.gradient, both.gradient, strict=True))


class Watched:
    """A generator that remembers which prompts and conditions it was given."""

    def __init__(self, generator):
        self.generator, self.diffused, self.conditions, self.temperatures = generator, [], [], []

    def __getattr__(self, name):
        return getattr(self.generator, name)

    def own_loss(self, x0, y, rng):
        self.diffused.append(x0)
        self.conditions.append(y)
        return self.generator.own_loss(x0, y, rng)

    def sample(self, y, rng, temperature):
        self.conditions.append(y)
        self.temperatures.append(temperature)
        return self.generator.sample(y, rng, temperature)

    def trace(self, y, rng, temperature):
        self.temperatures.append(temperature)
        return self.generator.trace(y, rng, temperature)


def learner(model, demos, prompts, **settings):
    method = PromptDiffusion(**{**SMALL, **settings})
    made = GeneratorLearner(method, model, demos, seeded(1), prompts)
    made.generator = Watched(made.generator)
    return made


@pytest.mark.parametrize(("dm_data", "which"), [("initial", "prompts"), ("few-shot", "demos")])
def test_the_diffusion_loss_is_of_the_data_that_are_asked_for(toy, model, dm_data, which):
    """Eq. 6: D* is the initial prompt data set. Both losses have the same τ*."""
    sets = {"demos": record(toy.task(5), 3), "prompts": record(toy.task(2), 3, seed=7, skill=0.2)}
    tuned = learner(model, sets["demos"], sets["prompts"], dm_data=dm_data)
    tuned.update()
    (x0,), (of_dm, of_dt) = tuned.generator.diffused, tuned.generator.conditions
    assert torch.equal(of_dm, of_dt)
    rows = {}
    for name, items in sets.items():
        data = Trajectories(items)
        every = torch.cat([data.transitions(i, range(len(t))) for i, t in enumerate(items)])
        rows[name] = (every - model.normalizer.mean) / model.normalizer.scale
    distance = torch.cdist(x0.flatten(0, 1), rows[which]).min(1).values
    assert distance.max() < 5e-3
    (other,) = rows.keys() - {which}
    assert torch.cdist(x0.flatten(0, 1), rows[other]).min(1).values.max() > 0.05


def test_the_temperature_is_lowered_after_training(model, demos):
    tuned = learner(model, demos, demos, temperature=0.25, training_temperature=0.9)
    tuned.update()
    assert tuned.generator.temperatures == [0.9]
    tuned.snapshot()
    assert tuned.generator.temperatures == [0.9, 0.25]
    alike = learner(model, demos, demos, temperature=0.25)
    alike.update()
    assert alike.generator.temperatures == [0.25]


def test_what_acts_is_the_average_of_the_weights(model, demos, diffuser):
    """And taking a snapshot leaves the numbers that are tuned alone."""
    tuned = learner(model, demos, demos, diffuser=diffuser, average=0.98)
    iterates = [[p.detach().clone() for p in tuned.generator.trainable()]]
    for _ in range(5):
        tuned.update()
        iterates.append([p.detach().clone() for p in tuned.generator.trainable()])
    seen = []
    before = tuned.generator.generator.trace
    tuned.generator.trace = lambda *a: (
        seen.append([p.detach().clone() for p in tuned.generator.trainable()]) or before(*a)
    )
    tuned.snapshot()
    for index, mean in enumerate(seen[0]):
        torch.testing.assert_close(mean, torch.stack([i[index] for i in iterates]).mean(0))
    for now, last in zip(tuned.generator.trainable(), iterates[-1], strict=True):
        assert torch.equal(now, last)


def test_the_learning_rate_falls_whatever_the_budget(model, demos):
    tuned = learner(model, demos, demos, lr=1e-2, lr_half=2)
    rates = []
    for _ in range(4):
        rates.append(tuned.descent.optimizer.param_groups[0]["lr"])
        tuned.update()
    assert rates == pytest.approx([1e-2, 1e-2 / 1.5, 1e-2 / 2, 1e-2 / 2.5])


def test_an_informed_diffuser_reads_the_few_shot_data_whatever_the_prompts(toy, model):
    demos, prompts = record(toy.task(5), 3), record(toy.task(2), 3)
    method = InformedDiffusion(batch_size=8, diffuser=build_other("informed"), config=TOY_INFORMED)
    made = [
        GeneratorLearner(method, model, d, seeded(1), prompts).snapshot().policy.prompt.observations
        for d in (demos, demos, prompts)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2])
    assert dataclasses.is_dataclass(method)
