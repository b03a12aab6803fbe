"""Pretraining over the training tasks. Its losses: test_equations.py."""

import dataclasses

import numpy as np
import pytest
import torch
from conftest import TOY_DIFFUSER, TOY_SIZES, record

from workbench.behaviour import QUALITIES
from workbench.pretrain import (
    DiffuserPretrainConfig,
    Pool,
    PretrainConfig,
    draw_batch,
    draw_prompts,
    pretrain,
    pretrain_diffuser,
    prompt_starts,
)
from workbench.trajectory import Normalizer

CONFIG = PretrainConfig(steps=5, batch_size=16, lr=3e-3, warmup=2, precision="fp32")
DIFFUSER_CONFIG = DiffuserPretrainConfig(steps=5, batch_size=16, lr=3e-3)


@pytest.fixture
def pool(toy):
    """Training tasks 0, 1, 3, 4 in three qualities; every reward tells task and quality."""
    return Pool(
        (quality, [
            dataclasses.replace(t, rewards=np.full(12, 10 * i + q, np.float32))
            for t in record(toy.task(i), 2 + (i == 3), seed=q, skill=1 - q / 2)
        ])
        for q, quality in enumerate(QUALITIES)
        for i in toy.train_indices
    )  # fmt: skip


@pytest.fixture
def real_pool(toy):
    """The same with the rewards as they were earned."""
    return Pool(
        (quality, record(toy.task(i), 4, seed=q, skill=1 - q / 2))
        for q, quality in enumerate(QUALITIES)
        for i in toy.train_indices
    )


def labels(segment):
    """Return task and quality of each row of a batch from the tell-tale rewards."""
    tell = segment.rewards[:, 0, 0].numpy().astype(int)
    return tell // 10, tell % 10


def test_a_pool_knows_its_tasks_and_qualities(pool):
    assert pool.tasks == (0, 1, 3, 4)
    assert pool.qualities == QUALITIES
    assert len(pool.trajectories) == 3 * (2 * 3 + 3)


def test_a_missing_group_is_refused(toy):
    with pytest.raises(ValueError, match="1 of 4 groups are empty"):
        Pool([
            ("expert", record(toy.task(0), 1)),
            ("random", record(toy.task(0), 1)),
            ("expert", record(toy.task(1), 1)),
        ])  # fmt: skip


@pytest.mark.parametrize("qualities", [("expert",), ("medium", "random"), QUALITIES])
def test_drawing_keeps_to_the_tasks_and_qualities_asked_for(pool, draw, qualities):
    tasks = draw.integers(4, size=4000)
    index = pool.draw(draw, tasks, qualities)
    segment = pool.trajectories.segments(index, np.zeros(4000, int), 1)
    task, quality = labels(segment)
    np.testing.assert_array_equal(task, np.array(pool.tasks)[tasks])
    want = [QUALITIES.index(q) for q in qualities]
    seen, counts = np.unique(quality, return_counts=True)
    assert seen.tolist() == want
    np.testing.assert_allclose(counts / 4000, 1 / len(want), atol=0.05)
    third = index[tasks == 2]  # every trajectory of a group, also of the larger one
    assert len(np.unique(third)) == 3 * len(want)


def test_prompts_and_contexts_of_a_batch_are_of_one_task(pool, draw):
    config = dataclasses.replace(CONFIG, batch_size=500)
    prompt, context = draw_batch(pool, config, TOY_SIZES, draw)
    (task, quality), (own, every) = labels(prompt), labels(context)
    np.testing.assert_array_equal(task, own)
    assert set(task) == {0, 1, 3, 4}
    assert set(quality) == {0}, "published: prompts are expert ones"
    assert set(every) == {0, 1, 2}
    assert (prompt.length, context.length) == (3, 4)
    assert prompt.mask.eq(1).all()


def test_published_prompts_are_the_rows_before_the_last(pool, draw):
    """Steps 194 to 198 of 200."""
    config = dataclasses.replace(CONFIG, prompt_positions="published")
    prompt = draw_prompts(pool, config, 3, draw, np.zeros(20, int))
    assert (prompt.timesteps == torch.tensor([8, 9, 10])).all()
    data = pool.trajectories
    assert set(prompt_starts(data, draw, np.arange(9), 3, "published")) == {8}
    anywhere = prompt_starts(data, draw, np.zeros(500, int), 3, "any")
    assert set(anywhere) == set(range(10))


def test_pretraining_counts_its_steps_and_fits_the_normaliser_on_the_pool(real_pool):
    steps = list(pretrain(real_pool, CONFIG, TOY_SIZES, 0))
    assert [s.step for s in steps] == [1, 2, 3, 4, 5]
    want = Normalizer(3, 1, 10.0, 12).fit(real_pool.trajectories)
    for name, value in want.state_dict().items():
        assert torch.equal(steps[-1].model.normalizer.state_dict()[name], value)
    assert steps[-1].model.config == TOY_SIZES


def test_the_loss_of_pretraining_falls_below_a_guess_without_the_task(real_pool):
    """The averaged model is better on held-out draws than the mean action."""
    config = dataclasses.replace(CONFIG, steps=250, average=0.9, warmup=20)
    *_, last = pretrain(real_pool, config, dataclasses.replace(TOY_SIZES, dropout=0.0), 0)
    big = dataclasses.replace(config, batch_size=1000)
    prompt, context = draw_batch(real_pool, big, TOY_SIZES, np.random.default_rng(99))
    real = context.mask.bool()
    with torch.no_grad():
        error = (last.model.frozen()(prompt, context) - context.actions)[real].square().mean()
    assert error < 0.6 * context.actions[real].var()


def test_pretraining_repeats_with_its_seed(real_pool):
    first, again, other = (
        [s.loss for s in pretrain(real_pool, CONFIG, TOY_SIZES, seed)] for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_bfloat16_follows_single_precision(real_pool):
    losses = {}
    for precision in ("fp32", "bf16"):
        config = dataclasses.replace(CONFIG, precision=precision)
        sizes = dataclasses.replace(TOY_SIZES, dropout=0.0)
        steps = list(pretrain(real_pool, config, sizes, 0))
        losses[precision] = [s.loss for s in steps]
        assert all(p.dtype == torch.float32 for p in steps[-1].model.parameters())
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)
    assert losses["bf16"] != losses["fp32"]


def test_the_average_lags_behind(real_pool):
    """The same weights at the first step; a slower average stays nearer to them."""
    distance = []
    for average in (0.0, 0.5, 0.99):
        config = dataclasses.replace(CONFIG, average=average)
        weights = [
            s.model.head.weight.detach().clone() for s in pretrain(real_pool, config, TOY_SIZES, 0)
        ]
        distance.append((weights[-1] - weights[0]).norm().item())
    assert distance[0] > distance[1] > distance[2] > 0


def test_a_missing_prompt_quality_is_refused(toy):
    pool = Pool([("random", record(toy.task(0), 1))])
    with pytest.raises(ValueError, match=r"no \['expert'\] trajectories"):
        next(pretrain(pool, CONFIG, TOY_SIZES, 0))
    with pytest.raises(ValueError, match=r"no \['expert', 'medium'\] trajectories"):
        next(pretrain_diffuser(pool, Normalizer(3, 1, 10.0, 12), DIFFUSER_CONFIG, TOY_DIFFUSER, 0))


def both(pool, seed=0):
    normalizer = Normalizer(3, 1, 10.0, 12).fit(pool.trajectories)
    return {
        "model": lambda: pretrain(pool, CONFIG, TOY_SIZES, seed),
        "diffuser": lambda: pretrain_diffuser(
            pool, normalizer, DIFFUSER_CONFIG, TOY_DIFFUSER, seed
        ),
    }


every_stream = pytest.mark.parametrize("name", ["model", "diffuser"])


@every_stream
def test_a_stream_leaves_no_mode_behind(real_pool, name):
    """Nor the seed: the design's rule for every stream."""
    torch.manual_seed(123)
    before = torch.get_rng_state()
    for step in both(real_pool)[name]():
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(torch.get_rng_state(), before)
        assert not getattr(step, name).training, "acting with it would drop out"


@every_stream
def test_interleaving_changes_nothing(real_pool, name):
    """Dropout draws from the global generator."""
    alone = [s.loss for s in both(real_pool)[name]()]
    woven = []
    for step, _ in zip(both(real_pool)[name](), both(real_pool, 1)["model"](), strict=True):
        torch.rand(3)
        woven.append(step.loss)
    assert woven == alone


def test_pretraining_a_diffuser_lowers_its_loss(real_pool):
    normalizer = Normalizer(3, 1, 10.0, 12).fit(real_pool.trajectories)
    config = dataclasses.replace(DIFFUSER_CONFIG, steps=300, batch_size=64)
    losses, diffusers = [], []
    for step in pretrain_diffuser(real_pool, normalizer, config, TOY_DIFFUSER, 0):
        losses.append(step.loss)
        diffusers.append(step.diffuser)
    assert np.mean(losses[-30:]) < 0.75 * np.mean(losses[:30])
    assert diffusers[-1].config == TOY_DIFFUSER


def test_pretraining_a_diffuser_repeats_with_its_seed(real_pool):
    first, again = ([s.loss for s in both(real_pool)["diffuser"]()] for _ in range(2))
    assert first == again
    assert first != [s.loss for s in both(real_pool, 1)["diffuser"]()]
