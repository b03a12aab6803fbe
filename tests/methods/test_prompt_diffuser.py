"""Tuning by Algorithm 1: what an update reads, and what acts."""

import dataclasses

import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_INFORMED, build_other, record
from tests.test_all_methods import digest
from workbench.data.trajectory import Trajectories
from workbench.methods.guided_update import BY_VALUE, GUIDANCES
from workbench.methods.other_generators import InformedDiffusion
from workbench.methods.prompt_diffuser import GeneratorLearner, PromptDiffusion

SMALL = {"batch_size": 8, "lr": 3e-3, "config": TOY_DIFFUSER, "lr_half": 100}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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
    alike = learner(model, demos, demos, temperature=0.25, training_temperature=-1.0)
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
        rates.append(tuned.descent.lr)
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


def test_data_are_trusted_as_far_as_their_rewards_reach_what_prompts_promise(toy, model):
    """Trajectories at or above the generator's mean reward count fully, the others by exp(-x)."""
    demos = (*record(toy.task(5), 2), *record(toy.task(5), 1, skill=0.0))
    tuned = learner(model, demos, demos, trust=0.5)
    earned = torch.tensor([float(t.rewards.mean()) for t in demos])
    sd = float(model.normalizer.scale[-1])
    log = tuned.trust.log()
    counts = log < 0
    assert counts.any()
    expected = (earned - log * 0.5 * sd)[counts]
    torch.testing.assert_close(expected, expected[:1].expand_as(expected))
    assert (earned[~counts] >= expected[0]).all()
    assert tuned.trust[2] < tuned.trust[:2].min()
    assert learner(model, demos, demos).trust is None


def test_data_without_trust_leave_the_prompts_where_they_are(toy, model, diffuser):
    """Nothing of L_DT reaches an update when no trajectory is trusted."""
    poor = record(toy.task(5), 3, skill=0.0)
    found = {}
    for trust in (0.0, 1e-4):
        tuned = learner(model, poor, poor, trust=trust, guidance="downstream", diffuser=diffuser)
        if trust:
            tuned.trust = torch.zeros_like(tuned.trust)
        before = [p.detach().clone() for p in tuned.generator.trainable()]
        loss = tuned.update().metrics["loss_dt"]
        found[trust] = (
            loss,
            all(
                (a - b).abs().max() < 1e-4
                for a, b in zip(before, tuned.generator.trainable(), strict=True)
            ),
        )
    assert found[0.0][0] > 0
    assert not found[0.0][1]
    assert found[1e-4] == (0.0, True)


# ---- guidance by value ----


@pytest.fixture
def critic(model):
    critic = build_other("critic").reading(build_other("informed"), model.normalizer)
    return critic.eval().requires_grad_(False)


@pytest.mark.parametrize("guidance", GUIDANCES)
@pytest.mark.parametrize("kind", [PromptDiffusion, InformedDiffusion])
def test_every_guidance_tunes_and_leaves_the_critic_alone(model, demos, critic, kind, guidance):
    config = TOY_DIFFUSER if kind is PromptDiffusion else TOY_INFORMED
    method = kind(**{**SMALL, "config": config}, guidance=guidance, critic=critic)
    before, tuned = digest(critic), method.start(model, demos, seeded(1))
    first = tuned.snapshot().policy.prompt
    for _ in range(2):
        metrics = tuned.update().metrics
        assert all(torch.isfinite(torch.tensor(value)) for value in metrics.values())
        assert ("value" in metrics) is (guidance in BY_VALUE)
    assert not torch.equal(tuned.snapshot().policy.prompt.actions, first.actions)
    assert digest(critic) == before


def test_a_critic_at_hand_changes_no_draw(model, demos, critic):
    """So that runs differ in their guidance alone: with η = 0 they do not differ at all."""
    ends = []
    for guidance in ("both", "q-regularised"):
        tuned = learner(model, demos, demos, guidance=guidance, critic=critic, eta=0.0)
        for _ in range(3):
            tuned.update()
        ends.append(tuned.snapshot().policy.prompt.observations)
    assert torch.equal(*ends)


@pytest.mark.parametrize("guidance", BY_VALUE)
def test_values_are_of_the_task_that_the_few_shot_data_tell(toy, model, critic, guidance):
    """Whatever the initial prompts are."""
    demos, prompts = record(toy.task(5), 3), record(toy.task(2), 3)
    code = learner(model, demos, prompts, guidance=guidance, critic=critic).value.code
    rows = torch.cat([Trajectories(demos).transitions(i, range(12)) for i in range(3)])
    told = (rows - model.normalizer.mean) / model.normalizer.scale
    torch.testing.assert_close(code, critic.code(told[None]))
    assert not code.requires_grad


@pytest.mark.parametrize("guidance", BY_VALUE)
def test_value_cannot_guide_without_a_critic(model, demos, guidance):
    with pytest.raises(ValueError, match="needs a `critic`"):
        learner(model, demos, demos, guidance=guidance)
