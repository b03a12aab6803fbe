"""The hyper-network: what it reads, what it writes, and that it learns. Resuming: test_pretrain."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY, TOY_SIZES, build_model, build_other, record
from workbench.data.trajectory import Trajectories
from workbench.methods import METHODS
from workbench.networks.hyper_network import Adapted, HyperConfig, HyperNetwork
from workbench.networks.prompt_dt import ModelConfig, action_loss
from workbench.pretraining.hyper_network import HyperPretrainConfig, pretrain_hyper
from workbench.pretraining.prompt_dt import draw_batch
from workbench.tasks import FAMILIES, find


@pytest.fixture(autouse=True)
def known(toy):
    """The toy family by name."""


@pytest.fixture
def hyper():
    """A hyper-network whose adapters differ much from task to task."""
    network = build_other("hyper").requires_grad_(False)
    network.adapter.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(2))
    return network


def test_it_is_small_for_every_family():
    for family in FAMILIES.values():
        assert HyperNetwork(HyperConfig.of(ModelConfig()), family).n_parameters < 150_000


def test_it_reads_states_and_returns_but_no_actions(hyper, model, demos):
    base = hyper.weights(model.normalizer, demos)
    for column, seen in (("actions", False), ("observations", True), ("rewards", True)):
        changed = [dataclasses.replace(t, **{column: getattr(t, column) * 0.5}) for t in demos]
        other = hyper.weights(model.normalizer, changed)
        assert any(not torch.equal(base[n], other[n]) for n in base) is seen, column


def test_a_demonstration_may_have_any_length_and_padding_does_not_count(hyper, model, demos):
    half = dataclasses.replace(
        demos[1], **{c: getattr(demos[1], c)[:7] for c in ("observations", "actions", "rewards")},
        states=None,
    )  # fmt: skip
    together = Trajectories([demos[0], half]).segments(np.arange(2), np.zeros(2, int), 12)
    codes = hyper.codes(model.normalizer, together)
    for i, (t, length) in enumerate(((demos[0], 12), (half, 7))):
        alone = Trajectories([t]).segments(np.zeros(1, int), np.zeros(1, int), length)
        torch.testing.assert_close(codes[i : i + 1], hyper.codes(model.normalizer, alone))


def test_few_shot_adapters_are_of_the_mean_code(hyper, model, demos):
    one = [hyper.codes(model.normalizer, segment) for segment in map(whole, demos)]
    want = hyper(torch.cat(one).mean(0, keepdim=True))
    got = hyper.weights(model.normalizer, demos)
    assert got.keys() == want.keys()
    for name in got:
        torch.testing.assert_close(got[name], want[name][0])


def whole(demo):
    return Trajectories([demo]).segments(np.zeros(1, int), np.zeros(1, int), len(demo))


def test_a_new_network_writes_adapters_that_change_little(model, demos):
    written = build_other("hyper").weights(model.normalizer, demos)
    adapted = model.with_weights(written)
    prompt, context = rows(demos, 3), rows(demos, 4)
    with torch.no_grad():
        change = adapted(prompt, context) - model(prompt, context)
    assert 0 < change.abs().max() < 0.1
    blocks = [written[f"blocks.{i}.adapter.down.weight"] for i in range(2)]
    assert not torch.equal(*blocks), "the layer's index counts"


def rows(demos, length):
    return Trajectories(demos).segments(np.arange(len(demos)), np.zeros(len(demos), int), length)


@torch.no_grad()
@pytest.mark.parametrize(("precision", "off"), [("fp32", 1e-6), ("bf16", 0.02)])
def test_adapters_of_several_tasks_in_one_pass_are_those_of_each(
    hyper, model, demos, precision, off
):
    codes = torch.randn(3, 16, generator=torch.Generator().manual_seed(1))
    weights, model = hyper(codes), model.computing(precision)
    six = np.arange(6) % 3
    prompt, context = (Trajectories(demos).segments(six, np.arange(6), length) for length in (3, 4))
    together = Adapted(model.with_adapters(16).frozen(), weights)(prompt, context)
    for task in range(3):
        own = slice(2 * task, 2 * task + 2)
        alone = model.with_weights({name: w[task] for name, w in weights.items()})
        want = alone(prompt[own], context[own])
        torch.testing.assert_close(together[own].float(), want.float(), atol=off, rtol=0)
        assert not torch.allclose(want, model(prompt[own], context[own]), atol=0.1)


def test_training_it_teaches_a_model_without_the_prompts_tasks(pool):
    """Adapters written from demonstrations halve the loss of a frozen model that knows nothing."""
    frozen = build_model(TOY, weights=0.25)
    frozen.normalizer.fit(pool.trajectories)
    before = {n: p.clone() for n, p in frozen.state_dict().items()}
    config = HyperPretrainConfig(
        steps=150, n_tasks=4, batch_size=64, lr=1e-2, average=0.9, precision="fp32"
    )
    *_, last = pretrain_hyper(pool, frozen, config, 0)
    assert all(torch.equal(before[n], p) for n, p in frozen.state_dict().items())
    draw, losses = np.random.default_rng(9), []
    for number, index in enumerate(TOY.train_indices):
        batch = draw_batch(pool, config, TOY_SIZES, draw, np.full(200, number))
        written = last.hyper.weights(frozen.normalizer, record(TOY.task(index), 2, seed=8))
        with torch.no_grad():
            losses.append([action_loss(m, *batch) for m in (frozen, frozen.with_weights(written))])
    untuned, adapted = np.mean(losses, 0)
    assert adapted < 0.5 * untuned


def test_hdt_begins_at_what_the_network_writes(hyper, model, demos):
    method = METHODS["hdt"](hyper=hyper, lr=1e-3, batch_size=4)
    learner = method.start(model, demos, torch.Generator().manual_seed(0))
    start = learner.snapshot().weights
    want = hyper.weights(model.normalizer, demos)
    assert start.keys() == want.keys()
    assert all(torch.equal(start[n], want[n]) for n in want)
    assert learner.n_trainable == sum(w.numel() for w in want.values())
    learner.update()
    after = learner.snapshot().weights
    assert all(not torch.equal(after[n], start[n]) for n in want)
    again = hyper.weights(model.normalizer, demos)
    assert all(torch.equal(again[n], want[n]) for n in want), "the network stays as it is"


def test_hdt_without_a_network_says_how_to_make_one(model, demos):
    with pytest.raises(ValueError, match="python -m workbench hyper toy"):
        METHODS["hdt"]().start(model, demos, torch.Generator())


def test_a_network_of_another_model_is_refused(hyper, demos):
    wide = build_model(TOY, dataclasses.replace(TOY_SIZES, width=32))
    with pytest.raises(ValueError, match="do not fit this model"):
        METHODS["hdt"](hyper=hyper).start(wide, demos, torch.Generator())


def test_it_comes_back_bit_for_bit(hyper, model, demos, tmp_path):
    path = tmp_path / "h.safetensors"
    hyper.save(path)
    again = HyperNetwork.load(path)
    assert (again.config, again.family) == (hyper.config, find("toy"))
    one, other = (h.weights(model.normalizer, demos) for h in (hyper, again))
    assert all(torch.equal(one[n], other[n]) for n in one)
    model.save(path)
    with pytest.raises(ValueError, match=r"h\.safetensors is no checkpoint of a hyper-network"):
        HyperNetwork.load(path)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: HyperConfig(2, 16, code=0), "`code` must be at least 1: got 0"),
        (lambda: HyperPretrainConfig(n_tasks=3), "multiple of `n_tasks`.* got 64 and 3"),
        (lambda: HyperPretrainConfig(n_tasks=0), "got 64 and 0"),
    ],
)
def test_impossible_settings_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
