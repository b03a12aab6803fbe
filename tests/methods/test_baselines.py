"""The baselines beside Prompt Diffuser; what every method keeps to is in test_all_methods.py."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import TOY_SIZES, build_model, record
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectories
from workbench.methods import METHODS, N_PROMPTS
from workbench.methods.adapter import AdapterTuning
from workbench.methods.fine_tuning import FineTuning, FullFineTuning
from workbench.methods.prompt_tuning import (
    FRACTIONS,
    SEEDS,
    ActionError,
    EpisodeReturn,
    PromptTuning,
    ranking_direction,
)
from workbench.methods.soft_prompt import PromptNumbers, SoftPrompt
from workbench.networks.fast.processor import has_bf16
from workbench.networks.prompt_dt import ModelConfig, PromptDT, action_loss
from workbench.tasks import find
from workbench.tuning.loop import EVALUATION_SEED, tune
from workbench.tuning.presets import CHOSEN
from workbench.tuning.spec import RunSpec

OF_WEIGHTS = ("adapter", "prompt-dt-ft", "prompt-dt-ft-full")
OF_THE_PROMPT = ("soft-prompt", "prompt-tuning-dt")
of_weights = pytest.mark.parametrize("name", OF_WEIGHTS)
of_the_prompt = pytest.mark.parametrize("name", OF_THE_PROMPT)
TRAINED = ("observations", "actions", "returns_to_go")


def small(name, **settings):
    return METHODS[name](**{"batch_size": 8, **settings})


@pytest.fixture
def begin(model, demos):
    """Begin learning on toy task 5."""

    def begin(method, demos=demos, prompts=None, seed=3, model=model):
        rng = torch.Generator().manual_seed(seed)
        return method.start(model, demos, rng, prompts=prompts)

    return begin


@pytest.fixture
def untuned(begin):
    """The snapshot that every baseline begins with."""
    return begin(METHODS["prompt-dt"]()).snapshot()


def actions(policy, toy):
    result = evaluate(policy, toy.task(5), [1, 2, 3, 4, 5])
    return np.stack([t.actions for t in result.trajectories])


# ---- what they share ----


@pytest.mark.parametrize("name", [*OF_WEIGHTS, *OF_THE_PROMPT])
def test_a_baseline_begins_exactly_at_the_untuned_prompt(begin, untuned, toy, name):
    snapshot = begin(small(name)).snapshot()
    for field, value in vars(untuned.policy.prompt).items():
        assert torch.equal(getattr(snapshot.policy.prompt, field), value), field
    np.testing.assert_array_equal(actions(snapshot.policy, toy), actions(untuned.policy, toy))


@pytest.mark.parametrize("name", [*OF_WEIGHTS, *OF_THE_PROMPT])
def test_the_initial_prompt_is_cut_from_prompts_and_learning_is_from_demos(begin, toy, name):
    others = record(toy.task(2), 3, seed=8)
    want = begin(METHODS["prompt-dt"](), others).snapshot().policy.prompt
    learners = [begin(small(name), d, others) for d in (record(toy.task(5), 3), others)]
    for learner in learners:
        assert torch.equal(learner.snapshot().policy.prompt.observations, want.observations)
        learner.update()
    ends = [learner.snapshot().policy for learner in learners]
    assert not np.array_equal(*(actions(policy, toy) for policy in ends))


@pytest.mark.parametrize("name", [*OF_WEIGHTS, *OF_THE_PROMPT])
def test_the_loss_falls(toy, model, demos, name):
    """Over some updates on the toy task, on the same contexts before and after."""
    settings = {"prompt-dt-ft": {"lr": 1e-3}, "prompt-dt-ft-full": {"lr": 1e-3}}.get(name, {})
    fields = {"updates": 60, "seed": 3, "eval_every": 60, "episodes": 1}
    steps = list(tune(small(name, **settings), model, demos, toy.task(5), **fields))
    data = Trajectories(demos)
    context = data.sample(np.random.default_rng(0), 60, TOY_SIZES.context_length, whole=False)
    which = torch.arange(60) % N_PROMPTS
    with torch.no_grad():
        before, after = (
            float(action_loss(s.snapshot.policy.model, s.snapshot.policy.prompt[which], context))
            for s in (steps[0], steps[-1])
        )
    assert after < 0.97 * before
    assert all(step.metrics.keys() == {"loss_dt"} for step in steps[1:])


@of_weights
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_weights_are_float32_and_are_computed_with_in_the_models_precision(
    begin, model, name, precision
):
    learner = begin(small(name), model=model.computing(precision))
    assert learner.model.precision == precision
    dtypes = []
    hook = learner.model.head.register_forward_hook(lambda *a: dtypes.append(a[-1].dtype))
    learner.update()
    hook.remove()
    half = precision == "bf16" and has_bf16()
    assert set(dtypes) == {torch.bfloat16 if half else torch.float32}
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in learner.parameters)
    snapshot = learner.snapshot()
    assert all(w.dtype == torch.float32 for w in snapshot.weights.values())
    assert snapshot.policy.model.precision == precision
    assert model.precision == "fp32"


# ---- weights ----


@of_weights
def test_the_snapshots_weights_make_the_same_model_again(begin, model, toy, name):
    learner = begin(small(name, lr=1e-2))
    for _ in range(3):
        learner.update()
    snapshot = learner.snapshot()
    again = dataclasses.replace(snapshot.policy, model=model.with_weights(snapshot.weights))
    np.testing.assert_array_equal(actions(again, toy), actions(snapshot.policy, toy))
    without = dataclasses.replace(snapshot.policy, model=model)
    assert not np.array_equal(actions(without, toy), actions(snapshot.policy, toy))


@of_weights
def test_as_many_weights_change_as_are_said_to_be_trained(begin, model, name):
    learner = begin(small(name, lr=1e-2, batch_size=64))
    before = {n: p.clone() for n, p in learner.model.state_dict().items()}
    for _ in range(5):
        learner.update()
    after = learner.snapshot()
    changed = {n: (p != before[n]).sum() for n, p in after.policy.model.state_dict().items()}
    assert sum(changed.values()) == learner.n_trainable
    assert {n for n, count in changed.items() if count} == after.weights.keys()
    if name == "adapter":
        assert all(".adapter." in n for n in after.weights)
    else:
        assert learner.n_trainable == model.n_parameters
        assert after.weights.keys() == dict(model.named_parameters()).keys()


@of_weights
def test_a_snapshot_of_weights_does_not_follow_later_updates(begin, toy, name):
    learner = begin(small(name, lr=1e-2))
    learner.update()
    snapshot = learner.snapshot()
    before = {n: w.clone() for n, w in snapshot.weights.items()}, actions(snapshot.policy, toy)
    for _ in range(3):
        learner.update()
    assert all(torch.equal(w, before[0][n]) for n, w in snapshot.weights.items())
    np.testing.assert_array_equal(actions(snapshot.policy, toy), before[1])
    assert not snapshot.policy.model.training
    assert not any(p.requires_grad for p in snapshot.policy.model.parameters())


def test_a_first_fine_tuning_step_is_adams(begin, model, demos):
    """AdamW's first step moves a weight by lr against the sign of its gradient, after decay."""
    method = FineTuning(lr=1e-3, batch_size=16, weight_decay=0.1)
    learner = begin(method)
    learner.update()
    for name, now in learner.model.named_parameters():
        was = dict(model.named_parameters())[name] * (1 - 1e-3 * 0.1)
        clear = now.grad.abs() > 1e-5
        want = was - 1e-3 * now.grad.sign()
        torch.testing.assert_close(now[clear], want[clear], rtol=0, atol=2e-5)


def test_adapters_of_the_published_size_have_13_488_numbers(demos, toy):
    model = PromptDT(ModelConfig(), find("cheetah-vel"))
    adapted = model.with_adapters(AdapterTuning().bottleneck)
    counted = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert counted == 3 * (2 * 128 * 16 + 16 + 128 + 2 * 128) == 13_488


def test_fine_tuning_is_published_but_for_where_prompts_are_cut():
    few, full = METHODS["prompt-dt-ft"](), METHODS["prompt-dt-ft-full"]()
    assert (few.data, full.data) == ("few-shot", "full")
    published = {"lr": 1e-4, "batch_size": 256, "weight_decay": 1e-4, "contexts": "prompt"}
    ours = {"prompt_positions": "any", "lr_half": 0, "average": 0.0}
    assert dataclasses.asdict(few) == {**published, **ours}
    assert CHOSEN["prompt-dt-ft"] == ({}, 10)


@pytest.mark.parametrize("contexts", ["prompt", "model"])
def test_contexts_of_fine_tuning_are_as_long_as_it_says(begin, model, monkeypatch, contexts):
    seen = []

    def loss(model, prompt, context, *more):
        seen.append(context.actions.shape)
        return action_loss(model, prompt, context, *more)

    monkeypatch.setattr("workbench.methods.tuned_weights.action_loss", loss)
    begin(FineTuning(batch_size=4, contexts=contexts)).update()
    rows = {"prompt": model.config.prompt_length, "model": model.config.context_length}
    assert [shape[:2] for shape in seen] == [(4, rows[contexts])]


def test_full_fine_tuning_learns_nothing_from_what_it_holds_out(model, demos):
    """Every tenth trajectory: its loss is reported, and changes nothing that is learned."""
    method, rng = FullFineTuning(batch_size=4), torch.Generator()
    many = [*demos, *demos, *demos, *demos][:11]
    first, last = (dataclasses.replace(many[i], actions=-many[i].actions) for i in (0, 10))
    strange = [first, *many[1:10], last]
    found = []
    for data in (many, strange):
        learner = method.start(model, data, rng.manual_seed(3), prompts=demos)
        losses = [learner.update().metrics for _ in range(2)]
        found.append((losses, learner.snapshot().weights))
    (usual, learned), (odd, same) = found
    assert [a["loss_dt"] for a in usual] == [a["loss_dt"] for a in odd]
    assert all(torch.equal(learned[name], same[name]) for name in learned)
    assert usual[0]["loss_held_out"] != odd[0]["loss_held_out"]


def test_what_acts_after_full_fine_tuning_is_the_average_of_the_weights(model, demos):
    learner = FullFineTuning(batch_size=4, average=0.9).start(
        model, demos, torch.Generator().manual_seed(3)
    )
    for _ in range(3):
        learner.update()
    acts = learner.snapshot().weights
    present = dict(learner.model.named_parameters())
    assert not all(torch.equal(acts[name], present[name]) for name in acts)
    for mean, name in zip(learner.descent.mean, learner.names, strict=True):
        assert torch.equal(acts[name], mean)


# ---- the prompt's numbers ----


@of_the_prompt
def test_tuning_the_prompt_changes_what_the_model_reads_and_nothing_else(begin, untuned, name):
    learner = begin(small(name))
    for _ in range(5):
        learner.update()
    before, after = untuned.policy.prompt, learner.snapshot().policy.prompt
    for field in ("timesteps", "rewards", "mask"):
        assert torch.equal(getattr(after, field), getattr(before, field)), field
    for i in range(N_PROMPTS):
        changed = sum(int((getattr(after, f)[i] != getattr(before, f)[i]).sum()) for f in TRAINED)
        # an action at its bound may stay there
        at_bounds = int((before.actions[i].abs() == 1).sum())
        assert learner.n_trainable - at_bounds <= changed <= learner.n_trainable
    assert learner.n_trainable == 3 * (3 + 1 + 1)
    assert after.actions.abs().max() <= 1


def test_no_change_gives_back_the_prompt_bit_for_bit(model, demos):
    segment = Trajectories(demos).segments(np.arange(3), np.arange(3), 4)
    numbers = PromptNumbers(model.normalizer, segment)
    built = numbers.build(torch.zeros(numbers.shape))
    for field, value in vars(segment).items():
        assert torch.equal(getattr(built, field), value), field
    assert numbers.n_each == 4 * 5


def test_numbers_are_normalised_as_a_packed_prompt_is(model, demos):
    segment = Trajectories(demos).segments(np.arange(2), np.arange(2), 4)
    numbers = PromptNumbers(model.normalizer, segment)
    change = 0.01 * torch.randn(numbers.shape, generator=torch.Generator().manual_seed(0))
    change[..., 3] = -change[..., 3].abs() * segment.actions[..., 0].sign()  # inwards
    x, y = model.normalizer.pack(numbers.build(change))
    x0, y0 = model.normalizer.pack(segment)
    torch.testing.assert_close((x - x0)[..., :4], change[..., :4], rtol=0, atol=1e-5)
    torch.testing.assert_close((y - y0)[..., :1], change[..., 4:], rtol=0, atol=1e-5)
    chosen = numbers.build(change.flip(0), torch.tensor([1, 0]))
    torch.testing.assert_close(
        chosen.observations.flip(0), numbers.build(change).observations, rtol=0, atol=0
    )


def test_actions_stay_within_their_bounds_and_can_leave_them_again(model, demos):
    segment = Trajectories(demos).segments(np.arange(3), np.zeros(3, int), 4)
    segment = dataclasses.replace(segment, actions=segment.actions.clamp(-0.9, 0.9))
    numbers = PromptNumbers(model.normalizer, segment)
    far = torch.full(numbers.shape, 9.0, requires_grad=True)
    built = numbers.build(far)
    assert torch.equal(built.actions, torch.ones_like(built.actions))
    (gradient,) = torch.autograd.grad(built.actions.sum(), far)
    assert gradient[..., 3].min() > 0, "a plain clamp would give zero"
    limited = numbers.within(far.detach())
    assert torch.equal(limited[..., :3], far[..., :3].detach())
    raw = segment.actions + limited[..., 3:4] * numbers.scale[3]
    torch.testing.assert_close(raw, torch.ones_like(raw))


def test_a_first_soft_prompt_step_goes_down_the_gradient_of_every_prompt(begin, model, demos):
    """Against finite differences of L_DT, in the number of each prompt that matters most."""
    learner = begin(SoftPrompt(lr=1e-3, batch_size=40))
    drawn = []
    sample = learner.data.sample
    learner.data.sample = lambda *a, **k: drawn.append(sample(*a, **k)) or drawn[-1]
    learner.update()
    (context,), which = drawn, torch.arange(40) % N_PROMPTS

    @torch.no_grad()
    def loss(change):
        return float(action_loss(model, learner.numbers.build(change)[which], context))

    for prompt, gradient in enumerate(learner.change.grad):
        at = (prompt, *np.unravel_index(int(gradient.abs().argmax()), gradient.shape))
        step = torch.zeros(learner.numbers.shape)
        step[at] = 1e-2
        slope = (loss(step) - loss(-step)) / 2e-2
        assert float(gradient[at[1:]]) == pytest.approx(slope, rel=0.05)
        assert float(learner.change[at].detach()) * slope < 0


def test_soft_prompts_are_tuned_apart(begin):
    """A batch of one context changes one prompt; the next one the next."""
    learner = begin(SoftPrompt(batch_size=1))
    for prompt in range(N_PROMPTS):
        learner.update()
        moved = learner.change.grad.abs().amax((1, 2)) > 0
        assert moved.nonzero().flatten().tolist() == [prompt]


# ---- ranking ----


def test_the_direction_is_the_one_of_a_plain_loop():
    draw = np.random.default_rng(0)
    xi, costs = draw.normal(size=(4, 7, 3, 5)), draw.integers(0, 5, size=(4, 7)).astype(float)
    want = np.zeros((4, 3, 5))
    for b in range(4):
        pairs = 0
        for i in range(7):
            for j in range(i):
                pairs += 1
                if costs[b, i] < costs[b, j]:
                    want[b] += xi[b, i] - xi[b, j]
                elif costs[b, j] < costs[b, i]:
                    want[b] += xi[b, j] - xi[b, i]
        want[b] /= pairs
    got = ranking_direction(torch.from_numpy(xi), torch.from_numpy(costs))
    np.testing.assert_allclose(got, want, atol=1e-12)
    monotone = ranking_direction(torch.from_numpy(xi), torch.from_numpy(costs).exp())
    assert torch.equal(monotone, got), "only the order matters"
    assert ranking_direction(torch.from_numpy(xi), torch.ones(4, 7)).abs().max() == 0


def test_the_direction_descends_a_quadratic():
    rng = torch.Generator().manual_seed(0)
    x, aim = torch.zeros(5, 3, 5), torch.randn(5, 3, 5, generator=rng)

    def cost(x):
        return (x - aim.reshape(5, *[1] * (x.ndim - 3), 3, 5)).square().flatten(-2).sum(-1)

    first = cost(x)
    for _ in range(300):
        xi = torch.randn(5, 15, 3, 5, generator=rng)
        x = x + 0.2 * ranking_direction(xi, cost(x[:, None] + 0.1 * xi))
    assert (cost(x) < 0.2 * first).all()


def test_candidates_are_scored_as_one_at_a_time(begin, model, demos):
    data = Trajectories(demos)
    scorer = ActionError(model, data, 50, np.random.default_rng(0))
    scorer.begin()
    prompts = data.sample(np.random.default_rng(1), 7, 3, whole=True)
    want = [
        float(action_loss(model, prompts[torch.full((50,), i)], scorer.context)) for i in range(7)
    ]
    np.testing.assert_allclose(scorer.costs(prompts), want, rtol=1e-5)


def test_an_action_error_does_not_count_padding(model, toy):
    short = [
        dataclasses.replace(
            t, **{n: v[:3] for n, v in vars(t).items() if isinstance(v, np.ndarray)}
        )
        for t in record(toy.task(5), 2)
    ]
    scorer = ActionError(model, Trajectories(short), 6, np.random.default_rng(0))
    scorer.begin()
    assert scorer.context.mask.min() == 0
    prompts = Trajectories(short).sample(np.random.default_rng(1), 2, 3, whole=True)
    want = [float(action_loss(model, prompts[torch.full((6,), i)], scorer.context)) for i in (0, 1)]
    np.testing.assert_allclose(scorer.costs(prompts), want, rtol=1e-5)


def test_online_scores_are_the_returns_of_each_prompt(begin, model, toy, demos):
    scorer = EpisodeReturn(model, toy.task(5), 2, np.random.default_rng(0))
    scorer.begin()
    policy = begin(METHODS["prompt-dt"]()).snapshot().policy
    costs = scorer.costs(policy.prompt)
    for i in range(N_PROMPTS):
        alone = dataclasses.replace(policy, prompt=policy.prompt[i : i + 1])
        want = evaluate(alone, toy.task(5), scorer.seeds).returns.mean()
        assert float(costs[i]) == pytest.approx(-want, abs=1e-3)
    assert scorer.env_steps == N_PROMPTS * 2 * toy.horizon


def test_the_online_scorer_counts_its_steps_and_keeps_away_from_evaluation_seeds(
    begin, toy, monkeypatch
):
    seen = []
    reset = toy.build.reset
    monkeypatch.setattr(
        toy.build, "reset", lambda self, *, seed, **k: seen.append(seed) or reset(self, seed=seed)
    )
    learner = begin(PromptTuning("online", n_candidates=4, ranking_episodes=2))
    for round_ in (1, 2, 3):
        metrics = learner.update().metrics
        assert metrics.keys() == {"return_mean", "env_steps"}
        assert metrics["env_steps"] == round_ * 5 * 4 * 2 * toy.horizon
    assert len(seen) == 3 * 5 * 4 * 2
    assert all(seed in SEEDS for seed in seen)
    assert EVALUATION_SEED + 1_000 not in SEEDS
    rounds = [set(seen[i * 40 : (i + 1) * 40]) for i in range(3)]
    assert [len(seeds) for seeds in rounds] == [2, 2, 2], "the same for all of a round"
    assert not set.intersection(*rounds)


def test_online_steps_of_episodes_that_ended_are_not_counted(fenced, demos):
    model = build_model(fenced)
    scorer = EpisodeReturn(model, fenced.task(5), 3, np.random.default_rng(0))
    scorer.begin()
    prompts = Trajectories(demos).segments(np.arange(3), np.zeros(3, int), 3)
    scorer.costs(prompts)
    assert 0 < scorer.env_steps < 9 * fenced.horizon


def test_ranking_online_raises_the_return(begin, toy):
    learner = begin(PromptTuning("online", n_candidates=8, lr=1.0, mu=0.3, ranking_episodes=4))
    before = evaluate(learner.snapshot().policy, toy.task(5), range(100, 120)).returns.mean()
    for _ in range(15):
        learner.update()
    after = evaluate(learner.snapshot().policy, toy.task(5), range(100, 120)).returns.mean()
    assert after > before


@pytest.mark.parametrize("scorer", ["offline", "online"])
def test_a_line_search_takes_the_best_of_its_fractions(begin, scorer):
    method = PromptTuning(scorer, n_candidates=4, lr=50.0, batch_size=8, line_search=True)
    plain, searching = begin(dataclasses.replace(method, line_search=False)), begin(method)
    plain.update()
    metrics = searching.update().metrics
    whole = plain.change
    numbers, judge = searching.numbers, searching.scorer
    if scorer == "online":
        assert metrics["env_steps"] == 5 * (4 + len(FRACTIONS)) * 12
    for i in range(N_PROMPTS):
        tried = torch.stack([numbers.build(f * whole).observations[i] for f in FRACTIONS])
        got = numbers.build(searching.change).observations[i]
        assert (tried - got).abs().amax((1, 2)).min() < 1e-3
    start = judge.costs(numbers.build(0 * whole))
    assert (judge.costs(numbers.build(searching.change)) <= start + 1e-6).all()


def test_without_noise_in_the_scores_prompts_are_tuned_apart(begin):
    """Prompt i of a tuning of five does not depend on what the others are."""
    learner, other = (begin(PromptTuning(batch_size=8, n_candidates=4)) for _ in range(2))
    with torch.no_grad():
        other.change[1:] += 0.3
    for each in (learner, other):
        each.update()
    torch.testing.assert_close(learner.change[0], other.change[0], rtol=0, atol=1e-6)


# ---- settings ----

OUT_OF_RANGE = [
    ("soft-prompt", "lr", -1e-3),
    ("soft-prompt", "batch_size", 0),
    ("adapter", "bottleneck", 0),
    ("adapter", "lr", float("nan")),
    ("adapter", "batch_size", 0),
    ("prompt-dt-ft", "lr", -1.0),
    ("prompt-dt-ft", "batch_size", 0),
    ("prompt-dt-ft-full", "weight_decay", -1e-4),
    ("prompt-tuning-dt", "scorer", "onlin"),
    ("prompt-tuning-dt", "n_candidates", 1),
    ("prompt-tuning-dt", "mu", 0.0),
    ("prompt-tuning-dt", "mu", float("nan")),
    ("prompt-tuning-dt", "lr", -0.1),
    ("prompt-tuning-dt", "batch_size", 0),
    ("prompt-tuning-dt", "ranking_episodes", 0),
]


@pytest.mark.parametrize(("name", "setting", "value"), OUT_OF_RANGE)
def test_a_setting_out_of_range_is_refused_when_it_is_given(name, setting, value):
    with pytest.raises(ValueError, match=f"`{setting}`"):
        METHODS[name](**{setting: value})
    with pytest.raises(ValueError, match=f"`{setting}`"):
        RunSpec("cheetah-vel", 2, method=name, settings={setting: value})


def test_a_model_without_prompt_must_be_there(model, demos):
    with pytest.raises(ValueError, match="needs a `network`"):
        METHODS["mt-orl"]().start(model, demos, torch.Generator())


@pytest.mark.parametrize("name", METHODS)
def test_what_is_said_to_be_published_is_a_setting(name):
    assert set(METHODS[name].published) <= {f.name for f in dataclasses.fields(METHODS[name])}
