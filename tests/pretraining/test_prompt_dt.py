"""Pretraining over the training tasks. Its losses: test_equations.py."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import torch

from tests.conftest import (
    TOY_CRITIC,
    TOY_DIFFUSER,
    TOY_GAN,
    TOY_INFORMED,
    TOY_SIZES,
    TOY_VAE,
    build_model,
    build_other,
    record,
)
from workbench.data.qualities import QUALITIES
from workbench.data.trajectory import Normalizer
from workbench.networks.fast.processor import has_bf16
from workbench.networks.hyper_network import HyperConfig
from workbench.pretraining.critic import CriticPretrainConfig, pretrain_critic
from workbench.pretraining.generators import GeneratorPretrainConfig, pretrain_generator
from workbench.pretraining.hyper_network import HyperPretrainConfig, pretrain_hyper
from workbench.pretraining.prompt_dt import (
    Pool,
    PretrainConfig,
    draw_batch,
    draw_prompts,
    identity,
    pretrain,
)
from workbench.pretraining.resumable import Checkpoint
from workbench.tasks import find

CONFIG = PretrainConfig(steps=5, batch_size=16, lr=3e-3, warmup=2, precision="fp32")
GENERATOR_CONFIG = GeneratorPretrainConfig(
    steps=5, guided_share=0.6, batch_size=16, guided_batch_size=8, lr=3e-3, precision="fp32"
)
CRITIC_CONFIG = CriticPretrainConfig(steps=5, batch_size=8, n_steps=2, lr=3e-3)
HYPER_CONFIG = HyperPretrainConfig(steps=5, n_tasks=2, batch_size=8, lr=3e-3)
GENERATORS = {"diffuser": TOY_DIFFUSER, "vae": TOY_VAE, "gan": TOY_GAN, "informed": TOY_INFORMED}
STREAMS = ("model", *GENERATORS, "hyper", "critic")


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


def test_banded_attention_is_trained_on_two_bands_of_rows(pool):
    rng = np.random.default_rng(0)
    banded = dataclasses.replace(TOY_SIZES, attention="banded")
    for sizes, rows in ((TOY_SIZES, TOY_SIZES.context_length), (banded, 2 * banded.context_length)):
        prompt, context = draw_batch(pool, CONFIG, sizes, rng)
        assert prompt.length == sizes.prompt_length
        assert context.length == rows
    losses = [step.loss for step in pretrain(pool, CONFIG, banded, 0)]
    assert len(losses) == 5
    assert np.isfinite(losses).all()


def test_a_training_begins_with_the_weights_of_another_model(toy, real_pool):
    begin = build_model(toy)
    still = dataclasses.replace(CONFIG, steps=1, lr=0.0, weight_decay=0.0)
    banded = dataclasses.replace(TOY_SIZES, attention="banded")
    (step,) = pretrain(real_pool, still, banded, 0, begin=begin)
    for name, parameter in step.model.named_parameters():
        torch.testing.assert_close(parameter, dict(begin.named_parameters())[name])
    ids = [identity(real_pool, still, banded, 0, model=m) for m in (None, begin)]
    assert ids[0] != ids[1]
    with pytest.raises(ValueError, match="weights of its own size"):
        next(pretrain(real_pool, still, dataclasses.replace(TOY_SIZES, width=32), 0, begin=begin))


def test_what_was_added_later_is_not_named_where_it_is_as_before(pool):
    assert "attention" not in identity(pool, CONFIG, TOY_SIZES, 0)["sizes"]
    banded = dataclasses.replace(TOY_SIZES, attention="banded")
    assert identity(pool, CONFIG, banded, 0)["sizes"]["attention"] == "banded"


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
    assert set(data.prompt_starts(draw, np.arange(9), 3, "published")) == {8}
    anywhere = data.prompt_starts(draw, np.zeros(500, int), 3, "any")
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
    # a processor that is not fast at it computes in fp32
    assert (losses["bf16"] != losses["fp32"]) == has_bf16()


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
    stream = pretrain_generator("vae", pool, toy_model(pool), GENERATOR_CONFIG, TOY_VAE, 0)
    with pytest.raises(ValueError, match=r"no \['expert', 'medium'\] trajectories"):
        next(stream)


def test_an_unknown_generator_is_refused(pool):
    with pytest.raises(ValueError, match=r"no generator 'difuser'. Did you mean 'diffuser'?"):
        next(
            pretrain_generator("difuser", pool, toy_model(pool), GENERATOR_CONFIG, TOY_DIFFUSER, 0)
        )


def each(pool, seed=0):
    """Return every stream, to begin anew each time."""
    return {
        name: functools.partial(stream, seed) for name, (stream, _) in begun(pool, CONFIG).items()
    }


def toy_model(pool):
    """A frozen Prompt-DT of the toy family that knows the statistics of ``pool``."""
    frozen = build_model(find("toy"))
    frozen.normalizer.fit(pool.trajectories)
    return frozen


def begun(pool, config, sizes=TOY_SIZES, steps=5):
    """Return each stream as a function of its seed and the state to resume, and its identity."""
    configs = GENERATOR_CONFIG, HYPER_CONFIG, CRITIC_CONFIG
    other, hyper, critic = (dataclasses.replace(c, steps=steps) for c in configs)
    frozen, informed = toy_model(pool), build_other("informed")
    streams = {
        "model": (
            lambda seed, state=None: pretrain(pool, config, sizes, seed, state),
            lambda seed: identity(pool, config, sizes, seed),
        ),
        "hyper": (
            lambda seed, state=None: pretrain_hyper(pool, frozen, hyper, seed, state),
            lambda seed: identity(pool, hyper, HyperConfig.of(TOY_SIZES), seed, model=frozen),
        ),
        "critic": (
            lambda seed, state=None: pretrain_critic(
                pool, frozen, informed, critic, TOY_CRITIC, seed, state
            ),
            lambda seed: identity(pool, critic, TOY_CRITIC, seed, frozen.normalizer, informed),
        ),
    }
    for kind, size in GENERATORS.items():
        streams[kind] = (
            lambda seed, state=None, kind=kind, size=size: pretrain_generator(
                kind, pool, frozen, other, size, seed, state
            ),
            lambda seed, size=size: identity(pool, other, size, seed, model=frozen),
        )
    return streams


def network(step, name):
    return getattr(step, "generator" if name in GENERATORS else name)


every_stream = pytest.mark.parametrize("name", STREAMS)


@every_stream
def test_a_stream_leaves_no_mode_behind(real_pool, name):
    """Nor the seed: the design's rule for every stream."""
    torch.manual_seed(123)
    before = torch.get_rng_state()
    for step in each(real_pool)[name]():
        assert torch.is_grad_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(torch.get_rng_state(), before)
        assert not network(step, name).training, "acting with it would drop out"


@every_stream
def test_interleaving_changes_nothing(real_pool, name):
    """Dropout draws from the global generator."""
    alone = [s.loss for s in each(real_pool)[name]()]
    woven = []
    for step, _ in zip(each(real_pool)[name](), each(real_pool, 1)["model"](), strict=True):
        torch.rand(3)
        woven.append(step.loss)
    assert woven == alone


@pytest.mark.parametrize("kind", ["diffuser", "vae"])
def test_pretraining_a_generator_lowers_its_loss(real_pool, kind):
    """A GAN's loss says nothing: its critic learns as well. What it learns: test_generators.py."""
    config = dataclasses.replace(GENERATOR_CONFIG, steps=300, batch_size=64, guided_share=0)
    steps = pretrain_generator(kind, real_pool, toy_model(real_pool), config, GENERATORS[kind], 0)
    losses, generators = zip(*((step.loss, step.generator) for step in steps), strict=True)
    assert np.mean(losses[-30:]) < 0.75 * np.mean(losses[:30])
    assert generators[-1].config == GENERATORS[kind]


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_can_begin_as_a_trained_one(real_pool, kind):
    """Without a step of its own it is the same; another beginning is another training."""
    frozen, size, trained = toy_model(real_pool), GENERATORS[kind], build_other(kind)
    config = dataclasses.replace(GENERATOR_CONFIG, steps=1, lr=0.0)
    args = kind, real_pool, frozen, config, size, 7
    (step,) = pretrain_generator(*args, begin=trained)
    ours, begun = dict(step.generator.named_parameters()), dict(trained.named_parameters())
    kept = [name for name in ours if not name.startswith("critic.")]  # a GAN's learns by itself
    assert_same({n: ours[n] for n in kept}, {n: begun[n] for n in kept})
    with pytest.raises(ValueError, match="its begin differ"):
        next(pretrain_generator(*args, resume=step.state()))
    larger = dataclasses.replace(size, width=size.width + 2)
    with pytest.raises(ValueError, match="its own size"):
        next(pretrain_generator(*args[:4], larger, 7, begin=trained))


@every_stream
def test_every_stream_repeats_with_its_seed(real_pool, name):
    first, again = ([s.loss for s in each(real_pool)[name]()] for _ in range(2))
    assert first == again
    assert first != [s.loss for s in each(real_pool, 1)[name]()]


# ---- a training that was stopped goes on as if it never had been ----

# bfloat16, dropout, prompts of every quality: whatever could be forgotten.
RESUMED = dataclasses.replace(
    CONFIG, steps=7, warmup=3, precision="bf16", prompt_qualities=("expert", "random")
)
DROPPING = dataclasses.replace(TOY_SIZES, dropout=0.3)


def streams(pool, **changes):
    """Return each stream as a function of the state to resume, and its identity."""
    config = dataclasses.replace(RESUMED, **changes)
    return {
        name: (functools.partial(stream, 3), of(3))
        for name, (stream, of) in begun(pool, config, DROPPING, steps=7).items()
    }


def weights(step, name):
    return {k: v.clone() for k, v in network(step, name).state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@every_stream
@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_resumed_training_takes_the_very_same_steps(real_pool, name, at):
    stream, _ = streams(real_pool)[name]
    whole = [(s.step, s.loss, weights(s, name)) for s in stream()]
    state = next(s.state() for s in stream() if s.step == at)
    torch.rand(5)  # whatever happens in between
    rest = [(s.step, s.loss, weights(s, name)) for s in stream(state)]
    assert [r[:2] for r in rest] == [w[:2] for w in whole[at:]]
    for got, want in zip(rest, whole[at:], strict=True):
        assert_same(got[2], want[2])


@every_stream
def test_taking_states_changes_nothing_and_a_state_is_a_copy(real_pool, name):
    stream, _ = streams(real_pool)[name]
    alone = [s.loss for s in stream()]
    states, losses = [], []
    for step in stream():
        losses.append(step.loss)
        states.append(step.state())
    assert losses == alone
    for twice in range(2):  # resuming does not use a state up
        assert [s.loss for s in stream(states[2])] == alone[3:], twice
    assert [s.step for s in states] == [1, 2, 3, 4, 5, 6, 7]
    assert list(stream(states[-1])) == [], "nothing is left to do"


@every_stream
def test_a_resumed_training_can_be_stopped_again(real_pool, name):
    stream, _ = streams(real_pool)[name]
    *_, whole = stream()
    state = None
    while state is None or state.step < 7:
        state = (step := next(stream(state))).state()
    assert step.loss == whole.loss
    assert_same(weights(step, name), weights(whole, name))


@every_stream
def test_a_killed_training_goes_on_from_its_file(real_pool, name, tmp_path):
    stream, made_from = streams(real_pool)[name]
    whole = [(s.loss, weights(s, name)) for s in stream()]
    kept = Checkpoint(tmp_path, made_from)
    assert (kept.state, kept.losses) == (None, [])
    for step in kept.keep(stream(kept.state), 7, every=0):
        if step.step == 5:
            break  # as a kill: nothing after this runs
    again = Checkpoint(tmp_path, made_from)
    assert again.state.step == 5
    *_, last = again.keep(stream(again.state), 7, every=0)
    assert again.losses == [loss for loss, _ in whole]
    assert_same(weights(last, name), whole[-1][1])
    assert again.seconds > kept.seconds > 0


@every_stream
def test_a_kill_in_the_middle_of_a_step_loses_that_step_only(
    real_pool, name, tmp_path, monkeypatch
):
    stream, made_from = streams(real_pool)[name]
    whole = [s.loss for s in stream()]
    descend, calls = torch.optim.AdamW.step, []

    def killed(self, *words, **values):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return descend(self, *words, **values)

    monkeypatch.setattr(torch.optim.AdamW, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        list(Checkpoint(tmp_path, made_from).keep(stream(), 7, every=0))
    again = Checkpoint(tmp_path, made_from)
    assert again.state.step == 3
    assert [s.loss for s in again.keep(stream(again.state), 7)] == whole[3:]


@every_stream
def test_the_state_of_another_training_is_refused(real_pool, pool, name):
    state = next(streams(real_pool)[name][0]()).state()
    with pytest.raises(ValueError, match=r"another training: its data.* differ"):
        next(streams(pool)[name][0](state))
    if name == "model":
        with pytest.raises(ValueError, match="its settings differ"):
            next(streams(real_pool, lr=1e-4)[name][0](state))
    else:
        with pytest.raises(ValueError, match=r"settings, sizes, data|settings, sizes"):
            next(streams(real_pool)["model"][0](state))


def test_the_identity_of_a_training_is_all_that_it_depends_on(real_pool, pool):
    base = identity(real_pool, CONFIG, TOY_SIZES, 0)
    others = [
        identity(real_pool, dataclasses.replace(CONFIG, clip=2.0), TOY_SIZES, 0),
        identity(real_pool, CONFIG, DROPPING, 0),
        identity(real_pool, CONFIG, TOY_SIZES, 1),
        identity(pool, CONFIG, TOY_SIZES, 0),
        identity(real_pool, CONFIG, TOY_SIZES, 0, Normalizer(3, 1, 10.0, 12)),
    ]
    assert identity(real_pool, CONFIG, TOY_SIZES, 0) == base
    texts = [json.dumps(i, sort_keys=True) for i in (base, *others)]
    assert len(set(texts)) == len(texts)


def test_the_fingerprint_of_data_sees_a_single_number_and_the_order(toy):
    items = record(toy.task(0), 3)
    base = Pool([("expert", items)]).fingerprint
    changed = items[1].rewards.copy()
    changed[4] = np.nextafter(changed[4], np.float32(9))
    touched = (items[0], dataclasses.replace(items[1], rewards=changed), items[2])
    others = [
        ("expert", touched),
        ("expert", items[::-1]),
        ("expert", items[:2]),
        ("medium", items),
    ]
    assert len({base, *(Pool([other]).fingerprint for other in others)}) == 5
    assert Pool([("expert", record(toy.task(0), 3))]).fingerprint == base
