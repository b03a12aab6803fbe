"""What every way of adapting must keep to. A new method is tested here by being in METHODS."""

import copy
import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch

from tests.conftest import (
    NO_PROMPT,
    TOY,
    TOY_DIFFUSER,
    TOY_GAN,
    TOY_INFORMED,
    TOY_VAE,
    build_model,
    build_other,
    record,
)
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectories
from workbench.methods import METHODS, N_PROMPTS, PromptDiffusion
from workbench.methods.projection import MODES
from workbench.networks.prompt_dt import action_loss
from workbench.shipped import assets
from workbench.tasks import find
from workbench.tuning.loop import EVALUATION_SEED, tune
from workbench.tuning.spec import RunSpec

COLUMNS = ("observations", "actions", "rewards", "states")
SMALL = {
    "prompt-dt": {},
    "mt-orl": {"network": build_model(TOY, NO_PROMPT, seed=1)},
    "soft-prompt": {"batch_size": 8},
    "adapter": {"batch_size": 8, "bottleneck": 4},
    "hdt": {"batch_size": 8, "hyper": build_other("hyper")},
    "prompt-tuning-dt": {"batch_size": 8, "n_candidates": 6},
    "prompt-bandit": {"n_arms": 6, "n_pulls": 7},
    "prompt-dt-ft": {"batch_size": 8},
    "prompt-dt-ft-full": {"batch_size": 8},
    "prompt-diffuser": {"batch_size": 8, "lr": 3e-3, "config": TOY_DIFFUSER},
    "informed-diffuser": {"batch_size": 8, "lr": 3e-3, "config": TOY_INFORMED},
    "prompt-vae": {"batch_size": 8, "lr": 3e-3, "config": TOY_VAE},
    "prompt-gan": {"batch_size": 8, "lr": 3e-3, "config": TOY_GAN},
}
OF_WEIGHTS = ("adapter", "hdt", "prompt-dt-ft", "prompt-dt-ft-full")
OF_THE_PROMPT = ("soft-prompt", "prompt-tuning-dt")
WITHOUT_PROMPT = ("mt-orl",)
RUN = {"updates": 4, "seed": 3, "eval_every": 2, "episodes": 3}
every_method = pytest.mark.parametrize("name", METHODS)
of_weights = pytest.mark.parametrize("name", OF_WEIGHTS)
of_the_prompt = pytest.mark.parametrize("name", OF_THE_PROMPT)


def method_of(name, **settings):
    return METHODS[name](**{**SMALL[name], **settings})


@pytest.fixture
def stream(toy, model, demos):
    """Begin a short run of a method on toy task 5."""

    def begin(name, settings=(), **run):
        method = method_of(name, **dict(settings))
        return tune(method, model, demos, toy.task(5), **{**RUN, **run})

    return begin


def facts(step):
    """Everything a step says, but the time it took, as plain values to compare bit for bit."""
    out = [step.update, dict(step.metrics), step.gradients]
    if step.evaluation is not None:
        out += [step.evaluation.returns.tobytes(), step.evaluation.seeds]
        out += [t.states.tobytes() for t in step.evaluation.trajectories]
        out += [v.numpy().tobytes() for v in vars(step.snapshot.policy.prompt).values()]
        out += [w.numpy().tobytes() for w in step.snapshot.weights.values()]
    if step.snapshot is not None and step.snapshot.trace is not None:
        out += [v.numpy().tobytes() for v in vars(step.snapshot.trace).values()]
    return out


def digest(module):
    text = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        text.update(name.encode() + value.numpy().tobytes())
    return text.hexdigest()


def test_every_method_has_small_settings_here():
    assert SMALL.keys() == METHODS.keys()


@every_method
def test_a_method_is_a_frozen_value_with_the_papers_name(name):
    method = METHODS[name]()
    assert method == METHODS[name]()
    assert method.label
    for field in dataclasses.fields(method):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, field.name, 1)


@every_method
def test_the_same_seed_gives_the_same_stream(stream, name):
    first, second = ([facts(s) for s in stream(name)] for _ in range(2))
    assert first == second
    other = [facts(s) for s in stream(name, seed=4)]
    assert (other[0] != first[0]) is (name not in WITHOUT_PROMPT), "nothing random is in it"


@every_method
def test_updates_and_evaluations_come_when_asked(stream, name):
    steps = list(stream(name, updates=5, eval_every=2))
    assert [s.update for s in steps] == [0, 1, 2, 3, 4, 5]
    assert [s.update for s in steps if s.evaluation is not None] == [0, 2, 4, 5]
    assert all((s.snapshot is None) == (s.evaluation is None) for s in steps)
    assert (steps[0].metrics, steps[0].gradients) == ({}, None)
    assert all(s.seconds >= 0 for s in steps)
    assert [s.update for s in stream(name, updates=0)] == [0]


@every_method
def test_evaluations_are_paired_by_their_seeds(stream, name):
    wanted = tuple(range(EVALUATION_SEED, EVALUATION_SEED + 3))
    starts = set()
    for step in stream(name):
        if step.evaluation is not None:
            assert step.evaluation.seeds == wanted
            starts.add(b"".join(t.states[0].tobytes() for t in step.evaluation.trajectories))
    assert len(starts) == 1


@every_method
@pytest.mark.parametrize("other", METHODS)
def test_interleaving_two_learners_changes_nothing(stream, name, other):
    alone = [facts(s) for s in stream(name)]
    woven = []
    for step, _ in zip(stream(name), stream(other, seed=9, updates=9), strict=False):
        woven.append(facts(step))
    assert woven == alone


@every_method
def test_other_use_of_the_global_generators_changes_nothing(stream, name):
    torch.manual_seed(77)
    alone = [facts(s) for s in stream(name)]
    torch.manual_seed(78)
    woven = []
    for i, step in enumerate(stream(name)):
        torch.manual_seed(i)
        np.random.seed(i)
        torch.rand(7)
        woven.append(facts(step))
    assert woven == alone


@every_method
def test_the_global_generators_are_left_alone(stream, name):
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for _ in stream(name):
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@every_method
def test_the_frozen_model_is_never_changed(stream, model, name):
    before = digest(model)
    for _ in stream(name):
        assert digest(model) == before
        assert not any(p.requires_grad or p.grad is not None for p in model.parameters())


def test_hashing_sees_a_changed_weight(model):
    before = digest(model)
    with torch.no_grad():
        model.head.weight[0, 0] += 1e-4
    assert digest(model) != before


@every_method
def test_no_mode_is_left_behind_at_a_yield(stream, model, name):
    for _ in stream(name):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not model.training
        assert torch.get_default_dtype() == torch.float32


@every_method
def test_the_consumers_grad_mode_does_not_matter(stream, name):
    alone = [facts(s) for s in stream(name)]
    with torch.no_grad():
        assert [facts(s) for s in stream(name)] == alone
        assert not torch.is_grad_enabled()


@every_method
def test_a_snapshot_never_changes_afterwards(toy, model, demos, name):
    learner = method_of(name).start(model, demos, torch.Generator().manual_seed(0))
    snapshot = learner.snapshot()
    before = facts_of(snapshot, toy)
    for _ in range(5):
        learner.update()
    assert facts_of(snapshot, toy) == before
    tensors = [*vars(snapshot.policy.prompt).values(), *snapshot.weights.values()]
    tensors += snapshot.policy.model.parameters()
    if snapshot.trace is not None:
        tensors += [*vars(snapshot.trace).values()]
    assert not any(t.requires_grad for t in tensors)
    if learner.update().metrics:
        assert facts_of(learner.snapshot(), toy) != before


def facts_of(snapshot, toy):
    result = evaluate(snapshot.policy, toy.task(5), [1, 2])
    return [t.actions.tobytes() for t in result.trajectories] + [
        v.numpy().tobytes() for v in vars(snapshot.policy.prompt).values()
    ]


@every_method
def test_taking_a_snapshot_changes_nothing(toy, model, demos, name):
    results = []
    for snapshots in (0, 3):
        learner = method_of(name).start(model, demos, torch.Generator().manual_seed(0))
        for _ in range(3):
            learner.update()
            for _ in range(snapshots):
                learner.snapshot()
        results.append(facts_of(learner.snapshot(), toy))
    assert results[0] == results[1]


@every_method
def test_a_policy_has_the_agreed_number_of_prompts(stream, model, name):
    policy = next(stream(name)).snapshot.policy
    assert len(policy.prompt) == N_PROMPTS
    assert policy.prompt.length == (0 if name in WITHOUT_PROMPT else model.config.prompt_length)
    if name in WITHOUT_PROMPT:
        assert policy.model is SMALL[name]["network"]
    else:
        assert (policy.model is model) is (name not in OF_WEIGHTS)


@pytest.mark.parametrize("name", [n for n in METHODS if n not in WITHOUT_PROMPT])
def test_demonstrations_shorter_than_a_prompt_are_refused(toy, model, name):
    short = [
        dataclasses.replace(t, **{c: getattr(t, c)[:2] for c in COLUMNS})
        for t in record(toy.task(5), 2)
    ]
    with pytest.raises(ValueError, match=r"`prompt_length` .* got 3 and 2"):
        method_of(name).start(model, short, torch.Generator())


# ---- no tuning ----


def test_untuned_prompts_are_rows_of_the_demonstrations(stream, demos):
    prompt = next(stream("prompt-dt")).snapshot.policy.prompt
    for i in range(N_PROMPTS):
        demo, rows = demos[i % 3], prompt.timesteps[i].numpy()
        np.testing.assert_array_equal(np.diff(rows), 1)
        np.testing.assert_array_equal(prompt.observations[i], demo.observations[rows])
        np.testing.assert_array_equal(prompt.actions[i], demo.actions[rows])
        to_go = [[demo.rewards[t:].sum()] for t in rows]
        np.testing.assert_allclose(prompt.returns_to_go[i], to_go, rtol=1e-5)
    assert prompt.mask.eq(1).all()


def test_no_tuning_measures_nothing_and_keeps_its_policy(stream):
    steps = list(stream("prompt-dt"))
    assert [(s.metrics, s.gradients) for s in steps] == [({}, None)] * 5
    assert len({s.evaluation.returns.tobytes() for s in steps if s.evaluation}) == 1


# ---- prompt diffuser ----


@pytest.mark.parametrize("lam", [1.0, 10.0])
def test_the_losses_fall(stream, model, demos, lam):
    """Over 150 updates on the toy task: L_DM where it weighs as published, L_DT where it leads."""
    settings = {"lr_half": 1_000, "lam": lam, "projection": "vector"}
    steps = list(stream("prompt-diffuser", settings, updates=150, eval_every=150))
    if lam == 1:
        series = [s.metrics["loss_dm"] for s in steps[1:]]
        assert np.mean(series[-30:]) < 0.8 * np.mean(series[:30])
        return
    # L_DT of an update is of one noisy prompt each: that of the prompts that act, on all contexts
    data = Trajectories(demos)
    index, start = np.divmod(np.arange(27), 9)
    contexts = data.segments(index, start, model.config.context_length)

    def loss_dt(step):
        prompts = step.snapshot.policy.prompt
        each = (action_loss(model, prompts[torch.full((27,), i)], contexts) for i in range(5))
        return sum(each).item() / 5

    assert loss_dt(steps[-1]) < 0.7 * loss_dt(steps[0])


def test_what_an_update_measures(stream, diffuser):
    for step in list(stream("prompt-diffuser"))[1:]:
        seen = step.gradients
        assert step.metrics.keys() == {"loss_dm", "loss_dt"}
        assert list(seen.tensors) == [n for n, _ in diffuser.named_parameters()]
        numbers = [*step.metrics.values(), seen.cosine, seen.removed]
        for of_one in (seen.plane, *seen.tensors.values()):
            rounded = list(vars(of_one).values())
            assert rounded == [float(f"{v:.4g}") for v in rounded], "four digits are drawn"
            numbers += rounded
        assert len(numbers) == 4 + 6 + 4 * len(seen.tensors)
        assert all(isinstance(v, float) and np.isfinite(v) for v in numbers)
        assert -1 <= seen.cosine <= 1
        assert seen.conflict is (seen.cosine < 0)


def test_the_pretrained_diffuser_passed_in_is_not_changed(stream, diffuser):
    diffuser.eval().requires_grad_(False)
    before = digest(diffuser)
    prompts = []
    for step in stream("prompt-diffuser", {"diffuser": diffuser}):
        assert digest(diffuser) == before
        assert not diffuser.training
        assert not any(p.requires_grad for p in diffuser.parameters())
        if step.snapshot:
            prompts.append(step.snapshot.trace.x[-1])
    assert not torch.equal(prompts[0], prompts[-1])


def test_tuning_begins_at_the_pretrained_diffuser(model, demos, diffuser):
    """Replays the first chain by hand, from its noise, without variance."""
    method = method_of("prompt-diffuser", diffuser=diffuser, temperature=0.0)
    trace = method.start(model, demos, torch.Generator().manual_seed(0)).snapshot().trace
    with torch.no_grad():
        chain = diffuser.chain(trace.x[0], trace.y, torch.Generator(), 0.0)
        for i, step in enumerate(chain):
            assert torch.equal(trace.x[i + 1], step.x)
            assert torch.equal(trace.x0_hat[i], step.x0_hat)
    assert i + 2 == len(trace.x) == TOY_DIFFUSER.n_diffusion_steps + 1


def test_every_snapshot_denoises_the_same_noise_under_conditions_of_the_demonstrations(
    stream, model, demos
):
    traces = [s.snapshot.trace for s in stream("prompt-diffuser") if s.snapshot]
    assert len(traces) == 3
    for trace in traces[1:]:
        assert torch.equal(trace.x[0], traces[0].x[0])
        assert torch.equal(trace.y, traces[0].y)
        assert not torch.equal(trace.x[-1], traces[0].x[-1])
    known = Trajectories(demos)
    possible = known.segments(np.repeat([0, 1, 2], 10), np.tile(np.arange(10), 3), 3)
    conditions = model.normalizer.pack(possible)[1]
    for y in traces[0].y:
        assert (conditions - y).abs().amax((1, 2)).min() < 1e-6


def test_the_prompt_is_the_end_of_the_chain_in_raw_units(stream, model):
    snapshot = next(stream("prompt-diffuser")).snapshot
    want = model.normalizer.unpack(snapshot.trace.x[-1], snapshot.trace.y)
    for name, value in vars(snapshot.policy.prompt).items():
        assert torch.equal(value, getattr(want, name)), name


@pytest.mark.parametrize("mode", MODES)
def test_every_projection_tunes(stream, mode):
    steps = list(stream("prompt-diffuser", {"projection": mode}))
    assert len(steps) == 5
    removed = [s.gradients.removed for s in steps[1:]]
    assert max(removed) == 0 if mode == "none" else max(removed) <= 1


def test_lambda_zero_does_not_depend_on_the_downstream_loss(toy, stream, model, demos):
    """With lam 0 the frozen model's weights cannot matter to the prompts; with lam 1 they do."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.weight *= -1
    for lam, same in ((0.0, True), (1.0, False)):
        ends = []
        for frozen in (model, other):
            method = method_of("prompt-diffuser", lam=lam, projection="none")
            steps = list(tune(method, frozen, demos, toy.task(5), **RUN))
            ends.append(steps[-1].snapshot.trace.x[-1])
        assert torch.equal(*ends) is same


def test_a_larger_learning_rate_moves_further(stream):
    moved = []
    for lr in (1e-5, 1e-2):
        ends = [s.snapshot.trace.x[-1] for s in stream("prompt-diffuser", {"lr": lr}) if s.snapshot]
        moved.append((ends[-1] - ends[0]).norm())
    assert moved[1] > 10 * moved[0]


# ---- settings and names ----

OUT_OF_RANGE = [
    ("lam", -1.0),
    ("lam", float("nan")),
    ("lam", float("inf")),
    ("lr", -1e-3),
    ("batch_size", 0),
    ("clip", 0.0),
    ("temperature", -0.1),
    ("temperature", 1.5),
    ("temperature", float("nan")),
    ("energy", 0.0),
    ("energy", 1.1),
    ("memory", 0),
    ("refresh", 0),
    ("projection", "vectr"),
    ("guidance", "q"),
    ("eta", -0.1),
    ("eta", float("nan")),
    ("eta", float("inf")),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_a_setting_out_of_range_is_refused_when_it_is_given(name, value):
    """At once, not after the untuned prompt has been evaluated."""
    with pytest.raises(ValueError, match=f"`{name}`"):
        PromptDiffusion(**{name: value})
    with pytest.raises(ValueError, match=f"`{name}`"):
        RunSpec("cheetah-vel", 2, settings={name: value})


SPECS = [
    {"family": "toy", "task": 5},
    {"family": "toy", "task": 2, "quality": "random", "method": "prompt-dt", "updates": 0},
    {"family": "toy", "task": 5, "settings": {"lam": 0.3, "projection": "vector", "lr": 1e-4}},
]


@pytest.mark.parametrize("fields", SPECS)
def test_a_spec_round_trips_through_json(shipped, fields):
    spec = RunSpec(**fields)
    plain = json.loads(json.dumps(dataclasses.asdict(spec)))
    assert RunSpec(**plain) == spec
    assert RunSpec(**plain).id == spec.id
    canonical = json.loads(json.dumps(spec.canonical))
    assert RunSpec.stored(canonical).id == spec.id


@pytest.mark.parametrize(
    "same",
    [
        {"settings": {"lam": 1.0}},
        {"settings": {"lam": 1}},
        {"settings": {"projection": "published", "lam": 1.0}},
        {"updates": 100},
    ],
)
def test_equal_specs_have_equal_ids(shipped, same):
    assert RunSpec("toy", 5, **same).id == RunSpec("toy", 5).id


@pytest.mark.parametrize(
    "change",
    [
        {"task": 2},
        {"quality": "expert"},
        {"method": "prompt-dt"},
        {"updates": 7},
        {"seed": 1},
        {"eval_every": 7},
        {"episodes": 7},
        {"settings": {"lam": 0.5}},
        {"settings": {"projection": "vector"}},
        {"settings": {"temperature": 0.0}},
        {"settings": {"prompt_positions": "start"}},
        {"settings": {"trust": 0.1}},
        {"settings": {"dm_data": "few-shot"}},
        {"settings": {"lr_half": 50}},
        {"settings": {"average": 0.9}},
        {"settings": {"guidance": "q-regularised"}},
        {"settings": {"guidance": "diffusion-ql"}},
        {"settings": {"eta": 0.5}},
        {"settings": {"training_temperature": 0.9}},
    ],
    ids=str,
)
def test_a_different_spec_has_a_different_id(shipped, change):
    assert RunSpec(**{"family": "toy", "task": 5, **change}).id != RunSpec("toy", 5).id


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lam", (np.float64(0.5), np.float64(0.25))),
        ("lam", (np.float32(0.5), np.float32(0.25))),
        ("batch_size", (np.int64(4), np.int64(8))),
    ],
    ids=str,
)
def test_numpy_numbers_do_not_fall_out_of_the_id(shipped, name, values):
    first, second = (_id_or_refusal({name: value}) for value in values)
    assert first != second or first == "refused"


def _id_or_refusal(settings):
    try:
        return RunSpec("toy", 5, settings=settings).id
    except ValueError:
        return "refused"


@pytest.mark.parametrize("changed", ["model", "diffuser", "demos"])
def test_other_assets_give_another_id(shipped, changed):
    toy = find("toy")
    path = {
        "model": assets.model_path("toy"),
        "diffuser": assets.diffuser_path("toy"),
        "demos": assets.demos_path(toy.task(5), "medium"),
    }[changed]
    spec, elsewhere = RunSpec("toy", 5), RunSpec("toy", 5, "random")
    before = spec.id, elsewhere.id, spec.untuned.id
    path.write_bytes(path.read_bytes() + b"\0")
    assert spec.id != before[0]
    assert (elsewhere.id == before[1]) is (changed == "demos")
    assert (spec.untuned.id == before[2]) is (changed == "diffuser")


def test_a_run_on_all_data_is_named_after_the_policies_that_collect_it(shipped):
    full, few = (RunSpec("toy", 5, method=name) for name in ("prompt-dt-ft-full", "prompt-dt-ft"))
    before = full.id, few.id
    path = assets.policy_path("toy", "medium")
    path.write_bytes(path.read_bytes() + b" ")
    assert full.id != before[0]
    assert few.id == before[1]


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"method": "prompt-difuser"}, "Did you mean 'prompt-diffuser'?"),
        ({"settings": {"lamb": 1.0}}, "Did you mean 'lam'?"),
        ({"settings": {"temprature": 1.0}}, "Did you mean 'temperature'?"),
        ({"family": "cheetah-vell"}, "Did you mean 'cheetah-vel'?"),
        ({"quality": "expertt"}, "expert, medium, random"),
        ({"task": 99}, "got 99"),
        ({"task": -1}, "got -1"),
        ({"updates": -1}, "`updates` .* got -1"),
        ({"updates": 1.5}, "`updates` .* got 1.5"),
        ({"eval_every": -1}, "`eval_every` .* got -1"),
        ({"episodes": 0}, "`episodes` .* got 0"),
        ({"seed": -1}, "`seed` .* got -1"),
        ({"method": "prompt-dt", "settings": {"lam": 1.0}}, "prompt-dt has no setting 'lam'"),
    ],
    ids=str,
)
def test_a_misspelt_or_impossible_spec_is_a_helpful_error(fields, hint):
    with pytest.raises(ValueError, match=hint.replace("?", r"\?")):
        RunSpec(**{"family": "cheetah-vel", "task": 2, **fields})


@pytest.mark.parametrize("setting", ["diffuser", "config"])
def test_what_has_no_plain_name_is_no_setting_of_a_spec(toy, diffuser, setting):
    """It would not enter the id: different runs would share one."""
    value = {"diffuser": diffuser, "config": TOY_DIFFUSER}[setting]
    with pytest.raises(ValueError, match=setting):
        RunSpec("toy", 5, settings={setting: value})
