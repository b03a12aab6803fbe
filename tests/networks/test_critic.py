"""The critic of guidance by value: its losses, and that it finds values that are known."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY, TOY_CRITIC, build_other, record
from workbench.data.trajectory import Normalizer, Segment, Trajectories, Trajectory
from workbench.networks.critic import (
    Critic,
    CriticConfig,
    critic_loss,
    n_step_targets,
    value_loss,
)
from workbench.networks.informed_diffusion import InformedConfig, InformedDiffuser
from workbench.pretraining.critic import CriticPretrainConfig, pretrain_critic
from workbench.pretraining.prompt_dt import Pool

HORIZON, GAMMA = TOY.horizon, TOY_CRITIC.discount


@pytest.fixture
def critic(toy, model):
    """A critic with random weights that knows the toy family's statistics."""
    return build_other("critic").reading(build_other("informed"), model.normalizer)


@pytest.fixture
def code(draw):
    return torch.from_numpy(draw.normal(size=(3, TOY_CRITIC.code)).astype(np.float32))


def shortened(trajectory, rows):
    columns = ("observations", "actions", "rewards", "states")
    cut = {name: getattr(trajectory, name)[:rows] for name in columns}
    return dataclasses.replace(trajectory, **cut)


# ---- its parts ----


def test_it_is_small_for_every_size():
    assert Critic(CriticConfig(), TOY).n_parameters < 150_000


def test_values_follow_state_action_and_task(critic, code, contexts):
    q = critic(contexts.observations, contexts.actions, code)
    assert q.shape == (2, *contexts.mask.shape)
    assert not torch.allclose(q[0], q[1])
    for other in (
        critic(contexts.observations + 1, contexts.actions, code),
        critic(contexts.observations, contexts.actions + 1, code),
        critic(contexts.observations, contexts.actions, code + 1),
    ):
        assert (other - q).abs().max() > 1e-3
    one = critic(contexts.observations[:, 0], contexts.actions[:, 0], code)
    torch.testing.assert_close(one, q[:, :, 0])
    shared = critic(contexts.observations, contexts.actions, code[:1])
    torch.testing.assert_close(shared[:, 0], q[:, 0])


def test_the_code_is_that_of_the_informed_diffuser_and_is_not_trained(critic, model):
    informed, seen = build_other("informed"), torch.randn(2, 9, 5)
    y = torch.zeros(2, 3, 2)
    assert torch.equal(critic.code(seen), informed.with_task(y, seen)[:, 0, 2:])
    trained = {id(p) for p in critic.trainable()}
    frozen = {name for name, p in critic.named_parameters() if id(p) not in trained}
    assert {name.split(".")[0] for name in frozen} == {"encoder", "to_code"}
    assert not any(p.requires_grad for n, p in critic.named_parameters() if n in frozen)
    with torch.no_grad():
        critic.to_code.weight += 1
    assert not torch.equal(critic.to_code.weight, informed.to_code.weight)


def test_a_checkpoint_comes_back(critic, code, contexts, tmp_path):
    critic.save(tmp_path / "critic.safetensors")
    again = Critic.load(tmp_path / "critic.safetensors")
    assert again.config == critic.config
    arguments = contexts.observations, contexts.actions, code
    assert torch.equal(again(*arguments), critic(*arguments))
    assert torch.equal(again.unit, critic.unit)


@pytest.mark.parametrize("bad", [{"width": 0}, {"n_layers": 0}, {"discount": 1.0}, {"code": -1}])
def test_a_size_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        CriticConfig(**bad)


@pytest.mark.parametrize(
    "bad", [{"steps": 0}, {"batch_size": 0}, {"n_steps": 0}, {"expectile": 1.0}, {"average": 0.0}]
)
def test_an_impossible_training_is_refused(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        CriticPretrainConfig(**bad)


# ---- what it learns from ----


@pytest.mark.parametrize("n_steps", [1, 3, 5])
def test_targets_equal_a_loop(critic, n_steps):
    """Rows in the middle; before the time limit, after which V goes on; before a fall."""
    whole, fell = record(TOY.task(5), 1)[0], shortened(record(TOY.task(2), 1)[0], 7)
    data = Trajectories([whole, fell])
    index = np.array([0, 0, 0, 1, 1, 1])
    start = np.array([2, HORIZON - 2, HORIZON - 4, 0, 5, 3])
    code = torch.randn(6, TOY_CRITIC.code)
    segment = data.segments(index, start, n_steps + 1)
    got = n_step_targets(critic, segment, code, HORIZON)
    for row, (i, t) in enumerate(zip(index, start, strict=True)):
        episode, total, factor = data.items[i], 0.0, 1.0
        for _ in range(n_steps):
            if t == len(episode) - 1 and len(episode) == HORIZON:
                break  # what comes after the last row is not recorded
            total, factor, t = total + factor * episode.rewards[t], factor * GAMMA, t + 1
            if t == len(episode):
                factor = 0.0
                break
        if factor:
            after = torch.from_numpy(episode.observations[t][None])
            total += factor * critic.value(after, code[row : row + 1]).item()
        assert got[row].item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("expectile", [0.5, 0.9])
def test_the_loss_equals_a_plain_recomputation(critic, code, expectile, draw):
    target = build_other("critic").reading(build_other("informed"), critic.normalizer)
    with torch.no_grad():
        for p in target.parameters():
            p += 0.1
    segment = Trajectories(record(TOY.task(5), 3)).sample(draw, 3, 3, whole=True)
    loss = critic_loss(critic, target, segment, code, expectile, HORIZON)
    unit, total = critic.unit.item(), 0.0
    for i in range(3):
        s, a, c = segment.observations[i : i + 1, 0], segment.actions[i : i + 1, 0], code[i : i + 1]
        wanted = n_step_targets(critic, segment[i : i + 1], c, HORIZON).item()
        u = (min(q.item() for q in target(s, a, c)) - critic.value(s, c).item()) / unit
        total += (expectile if u > 0 else 1 - expectile) * u**2 / 3
        total += sum(((q.item() - wanted) / unit) ** 2 for q in critic(s, a, c)) / 3
    assert loss.item() == pytest.approx(total, rel=1e-4)


def test_only_the_own_qs_and_v_take_a_gradient(critic, code, draw):
    target = build_other("critic").reading(build_other("informed"), critic.normalizer)
    segment = Trajectories(record(TOY.task(5), 3)).sample(draw, 3, 3, whole=True)
    critic_loss(critic, target, segment, code, 0.7, HORIZON).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.trainable())
    assert all(p.grad is None for p in target.parameters())


def test_guidance_by_value_is_the_formula_over_real_rows(critic, code):
    data = Trajectories(record(TOY.task(2), 3))
    contexts = data.segments(np.arange(3), np.array([0, 3, 10]), 4)
    actions = torch.rand(3, 4, 1) * 2 - 1
    got, mean = value_loss(critic, code[:1], contexts, actions)
    values = ([], [])
    for i in range(3):
        for t in range(int(contexts.mask[i].sum())):
            row = contexts.observations[i, t][None], actions[i, t][None]
            for kept, q in zip(values, critic(*row, code[:1]), strict=True):
                kept.append(q.item())
    one, two = map(np.array, values)
    want = -(one.mean() / np.abs(two).mean() + two.mean() / np.abs(one).mean()) / 2
    assert got.item() == pytest.approx(want, rel=1e-4)
    assert mean.item() == pytest.approx((one.mean() + two.mean()) / 2, rel=1e-4)
    padded = actions.clone()
    padded[contexts.mask == 0] = 0.3
    assert (contexts.mask == 0).any()
    assert torch.equal(value_loss(critic, code[:1], contexts, padded)[0], got)


# ---- values that are known ----

# Two places, two pushes: a push up goes to place 1 and a push down to place 0. Task 0 pays for
# being in place 1, task 1 twice as much for being in place 0; pushing up costs a little in both.
PLACES, PUSHES = (0, 1), (-1.0, 1.0)


def reward(task, place, push):
    return (float(place == 1) if task == 0 else 2.0 * (place == 0)) - 0.2 * (push > 0)


def walk(task, episode):
    """Record random pushes in the two places."""
    draw = np.random.default_rng([task.index, episode])
    place, rows = int(draw.integers(2)), []
    for _ in range(HORIZON):
        push = PUSHES[draw.integers(2)]
        rows.append(([place, 0, 0], [push], reward(task.index, place, push)))
        place = int(push > 0)
    columns = [np.array(c, np.float32) for c in zip(*rows, strict=True)]
    return Trajectory(*columns, states=None, task=task)


def known_values(task, best):
    """Solve Q = r + γ V by iteration; V is the better action's Q, or the mean of both."""
    q = np.zeros((2, 2))
    for _ in range(200):
        v = q.max(1) if best else q.mean(1)
        q = np.array([[reward(task, p, a) + GAMMA * v[int(a > 0)] for a in PUSHES] for p in PLACES])
    return q


@pytest.mark.parametrize(
    ("expectile", "n_steps", "steps", "best"),
    [(0.5, 1, 800, False), (0.5, 3, 500, False), (0.98, 1, 1000, True)],
)
def test_it_finds_the_values_of_a_small_task(toy, expectile, n_steps, steps, best):
    """At τ = 0.5 those of the policy that recorded, 1 to 6; towards 1 those of the best one."""
    pool = Pool(
        ("random", [walk(task, episode) for episode in range(60)])
        for task in (toy.task(0), toy.task(1))
    )
    model = dataclasses.make_dataclass("Known", ["normalizer"])(
        Normalizer(3, 1, 10.0, HORIZON).fit(pool.trajectories)
    )
    torch.manual_seed(0)
    informed = InformedDiffuser(InformedConfig(prompt_length=3, n_transitions=48, code=4), toy)
    with torch.no_grad():
        informed.to_code.weight *= 60  # so that an untrained code tells the tasks apart
    config = CriticPretrainConfig(
        steps=steps, batch_size=64, n_steps=n_steps, expectile=expectile, lr=5e-3, average=0.95
    )
    sizes = CriticConfig(width=32, n_layers=2, discount=GAMMA)
    for step in pretrain_critic(pool, model, informed, config, sizes, 0):
        critic = step.critic
    for place, task in enumerate(pool.tasks):
        mine = [i for i, t in enumerate(pool.trajectories.items) if t.task.index == task]
        rows = pool.trajectories.transitions(np.repeat(mine, HORIZON), np.tile(range(HORIZON), 60))
        told = (rows - model.normalizer.mean) / model.normalizer.scale
        states = torch.tensor([[[p, 0.0, 0.0]] * 2 for p in PLACES])
        actions = torch.tensor([[[a] for a in PUSHES]] * 2)
        with torch.no_grad():
            q = critic(states, actions, critic.code(told[None])).mean(0).numpy()
        want = known_values(task, best)
        np.testing.assert_allclose(q, want, atol=0.3, err_msg=f"task {place}")
        assert (q.argmax(1) == want.argmax(1)).all()


def test_a_segment_knows_its_last_real_row():
    """What the targets rest on: timesteps of padding are not read."""
    data = Trajectories([shortened(record(TOY.task(2), 1)[0], 7)])
    segment: Segment = data.segments(np.array([0]), np.array([5]), 4)
    assert segment.mask.tolist() == [[1, 1, 0, 0]]
    assert segment.timesteps[0, 1].item() == 6
