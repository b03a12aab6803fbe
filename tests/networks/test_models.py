"""What every model that can be prompted must keep to, and every method with each of them."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from tests.conftest import TOY_SIZES, build_named
from tests.test_all_methods import SMALL, digest
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Segment
from workbench.methods import METHODS
from workbench.networks.gato import Gato, GatoConfig, mu_law
from workbench.networks.models import MODELS, PAPERS, PROMPT_DT, model_named
from workbench.networks.prompt_dt import PromptedPolicy, action_loss
from workbench.pretraining.prompt_dt import PretrainConfig, pretrain
from workbench.shipped import assets
from workbench.shipped.networks import NETWORKS, load_model
from workbench.tasks import find
from workbench.tuning.loop import run, tune
from workbench.tuning.spec import RunSpec, acting_model, applies

every_model = pytest.mark.parametrize("name", MODELS)
other_models = pytest.mark.parametrize("name", [n for n in MODELS if n != PROMPT_DT])
with_gradient = [name for name, kind in MODELS.items() if kind.takes_gradient]
CONFIG = PretrainConfig(steps=6, batch_size=16, lr=3e-3, warmup=2, precision="fp32")


def sizes_of(name):
    return MODELS[name].sizes(**dataclasses.asdict(TOY_SIZES))


# ---- the contract ----


def test_every_model_is_named_with_its_paper():
    assert MODELS.keys() == PAPERS.keys() <= NETWORKS.keys()
    assert len({kind.kind for kind in MODELS.values()}) == len(MODELS)
    with pytest.raises(ValueError, match=r"no model 'harmo-dt'\. Did you mean"):
        model_named("harmo-dt")


@every_model
def test_actions_are_limited_and_follow_the_prompt(toy, prompts, contexts, name):
    model = build_named(name)
    actions = model(prompts, contexts)
    assert actions.shape == (3, TOY_SIZES.context_length, 1)
    assert actions.abs().max() <= 1
    other = dataclasses.replace(prompts, observations=prompts.observations + 1)
    assert (model(other, contexts) - actions).abs().max() > 1e-3


@pytest.mark.parametrize("name", with_gradient)
def test_a_gradient_reaches_every_number_of_the_prompt_that_is_read(toy, prompts, contexts, name):
    model = build_named(name)
    read = ("observations", "actions", "returns_to_go")
    asked = {n: getattr(prompts, n).clone().requires_grad_() for n in read}
    loss = action_loss(model, dataclasses.replace(prompts, **asked), contexts)
    for gradient in torch.autograd.grad(loss, list(asked.values())):
        assert (gradient.abs().flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize("name", [n for n in MODELS if n not in with_gradient])
def test_no_gradient_reaches_a_prompt_where_none_is_said_to(toy, prompts, contexts, name):
    asked = prompts.observations.clone().requires_grad_()
    model = build_named(name)
    assert not model(dataclasses.replace(prompts, observations=asked), contexts).requires_grad


@every_model
def test_an_action_does_not_see_itself_nor_what_comes_later(toy, prompts, contexts, name):
    model, row = build_named(name), 1
    seen = model(prompts, contexts)[:, : row + 1]
    changed = {n: getattr(contexts, n).clone() for n in ("observations", "actions")}
    changed["observations"][:, row + 1 :] += 1
    changed["actions"][:, row:] += 1
    other = model(prompts, dataclasses.replace(contexts, **changed))
    assert torch.equal(other[:, : row + 1], seen)
    assert not torch.equal(other[:, row + 1 :], model(prompts, contexts)[:, row + 1 :])


@every_model
def test_it_acts_alike_twice_and_in_halves(toy, demos, prompts, name):
    model, task = build_named(name).for_task(demos), toy.task(5)
    policy = PromptedPolicy(model, prompts[:2])
    whole = evaluate(policy, task, range(4)).returns
    assert np.array_equal(evaluate(policy, task, range(4)).returns, whole)
    half = PromptedPolicy(model, prompts[:1])
    assert np.allclose(evaluate(half, task, [0, 2]).returns, whole[[0, 2]], atol=1e-4)


@every_model
def test_a_file_holds_all_of_it(toy, demos, prompts, contexts, tmp_path, name):
    model = build_named(name)
    model.save(tmp_path / "model.safetensors")
    again = MODELS[name].load(tmp_path / "model.safetensors")
    assert torch.equal(again(prompts, contexts), model(prompts, contexts))
    chosen = [m.for_task(demos)(prompts, contexts) for m in (again, model)]
    assert torch.equal(*chosen)


@every_model
def test_the_few_shot_data_change_a_copy_alone(toy, demos, name):
    model = build_named(name)
    before = digest(model)
    assert not any(p.requires_grad for p in model.for_task(demos).parameters())
    assert digest(model) == before


# ---- with every method ----


@pytest.mark.parametrize("method", [m for m in METHODS if m != "mt-orl"])
@other_models
def test_every_method_tunes_every_model_that_it_applies_to(toy, demos, name, method):
    model, kind = build_named(name).for_task(demos), METHODS[method](**SMALL[method])
    before, run = digest(model), {"seed": 3, "eval_every": 0, "episodes": 2}
    if not applies(MODELS[name], kind, 2):
        assert name not in with_gradient
        with pytest.raises(ValueError, match="needs a gradient"):
            next(tune(kind, model, demos, toy.task(5), updates=2, **run))
        return
    steps = list(tune(kind, model, demos, toy.task(5), updates=2, **run))
    assert np.isfinite(steps[-1].evaluation.returns).all()
    assert digest(model) == before
    acts = steps[-1].snapshot.policy.model
    assert type(acts) is MODELS[name]


def test_what_applies_where_no_gradient_reaches_the_prompt(toy):
    kind = MODELS["gato"]
    assert not kind.takes_gradient
    found = {name for name, method in METHODS.items() if applies(kind, method, 2)}
    assert found == {"prompt-dt", "mt-orl", "prompt-tuning-dt", "prompt-bandit"}
    said = (
        r"Soft Prompt needs a gradient.* a Gato\. .*: prompt-dt, prompt-tuning-dt, prompt-bandit;"
    )
    with pytest.raises(ValueError, match=said):
        RunSpec("toy", 5, method="soft-prompt", model="gato")
    # what is made without any update descends nothing
    assert applies(kind, METHODS["informed-diffuser"], 0)
    assert RunSpec("toy", 5, method="informed-diffuser", updates=0, model="gato").updates == 0


# ---- pretraining ----


@every_model
def test_a_training_goes_on_as_if_it_had_never_stopped(pool, name):
    whole = list(pretrain(pool, CONFIG, sizes_of(name), 3, kind=MODELS[name]))
    begun = pretrain(pool, CONFIG, sizes_of(name), 3, kind=MODELS[name])
    state = [next(begun).state() for _ in range(3)][-1]
    rest = list(pretrain(pool, CONFIG, sizes_of(name), 3, state, kind=MODELS[name]))
    assert [s.loss for s in rest] == [s.loss for s in whole[3:]]
    assert digest(rest[-1].model) == digest(whole[-1].model)


@every_model
def test_the_losses_fall(pool, name):
    config = dataclasses.replace(CONFIG, steps=60, average=0.9)
    losses = [s.loss for s in pretrain(pool, config, sizes_of(name), 0, kind=MODELS[name])]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


@pytest.mark.parametrize("name", [n for n in with_gradient if n != PROMPT_DT])
def test_a_model_can_begin_with_the_weights_of_a_prompt_dt(pool, model, name):
    config = dataclasses.replace(CONFIG, steps=1, lr=0.0)
    step = next(pretrain(pool, config, sizes_of(name), 0, kind=MODELS[name], begin=model))
    begun = step.model.state_dict()
    for key, value in model.state_dict().items():
        if not key.startswith("normalizer"):  # of the data at hand
            assert torch.equal(begun[key], value), key
    other = next(pretrain(pool, config, sizes_of(name), 0, kind=MODELS[name]))
    assert other.state().made_from != step.state().made_from


# ---- runs ----


def test_one_that_reads_other_tokens_cannot(pool, model):
    with pytest.raises(ValueError, match="Leave out `--begin-with-prompt-dt`"):
        next(pretrain(pool, CONFIG, sizes_of("gato"), 0, kind=MODELS["gato"], begin=model))


@other_models
def test_a_run_says_which_model_and_reads_its_file(shipped, toy, name):
    how = {"method": "prompt-tuning-dt", "updates": 1}
    spec, plain = (RunSpec("toy", 5, **how, **kind) for kind in ({"model": name}, {}))
    assert "model" not in plain.canonical
    assert spec.canonical["model"] == name
    assert spec.files["model"] == assets.pretrained_path("toy", name)
    assert spec.id not in (plain.id, spec.untuned.id)
    assert spec.untuned.model == name
    assert f"--model {name}" in spec.command
    assert RunSpec.stored(json.loads(json.dumps(spec.canonical))).id == spec.id
    assert type(spec.resolved().model) is MODELS[name]
    *_, last = run(dataclasses.replace(spec, episodes=2))
    assert type(last.snapshot.policy.model) is MODELS[name]
    again = acting_model(spec)
    assert digest(again) == digest(last.snapshot.policy.model)
    assert load_model("toy", name=name).n_parameters > 0


def test_a_method_that_brings_its_own_model_takes_no_other(shipped):
    with pytest.raises(ValueError, match="brings a model of its own"):
        RunSpec("toy", 5, method="mt-orl", model="harmodt")
    with pytest.raises(ValueError, match=r"no model 'gatto'\. Did you mean 'gato'"):
        RunSpec("toy", 5, model="gatto")


# ---- multi-game DT ----


def test_the_return_asked_for_follows_from_the_prompt(toy, prompts):
    model = build_named("multi-game-dt")
    asked = model.asked_return(prompts)
    assert asked.shape == (3, 1)
    assert ((model.low < asked) & (asked < model.high)).all()
    other = dataclasses.replace(prompts, observations=prompts.observations + 1)
    assert not torch.equal(model.asked_return(other), asked)


def test_the_return_asked_for_lies_in_the_upper_tail(toy, prompts):
    """Beside the mean of the tilted distribution, in NumPy."""
    model, asked = build_named("multi-game-dt"), []
    logits = model.return_logits(prompts).detach().double().numpy()
    places = (np.arange(64) + 0.5) / 64
    for optimism in (0.0, 10.0, 1e3):
        model.config = dataclasses.replace(model.config, optimism=optimism)
        asked.append(model.asked_return(prompts))
        tilted = logits + optimism * places
        p = np.exp(tilted - tilted.max(1, keepdims=True))
        mean = (p / p.sum(1, keepdims=True)) @ places
        wanted = float(model.low) + float(model.high - model.low) * mean
        assert np.allclose(asked[-1][:, 0].detach(), wanted, rtol=1e-4)
    assert (asked[0] < asked[1]).all()
    assert (asked[1] < asked[2]).all()
    assert torch.allclose(asked[2], model.high, atol=float(model.high - model.low) / 64)


def test_returns_are_learned_where_a_context_begins_with_its_episode(toy, prompts, contexts):
    model, tasks = build_named("multi-game-dt"), torch.zeros(1, dtype=torch.long)
    assert contexts.timesteps[:2, 0].tolist() == [0, 3]
    prompt, later = prompts[1:2], contexts[1:2]
    assert model.loss(prompt, later, tasks) == action_loss(model, prompt, later)
    prompt, begun = prompts[:1], contexts[:1]
    place = (begun.returns_to_go[0, 0, 0] - model.low) / (model.high - model.low)
    surprise = -model.return_logits(prompt).log_softmax(-1)[0, int((place * 64).clamp(0, 63))]
    whole = action_loss(model, prompt, begun) + 0.2 * surprise
    assert torch.allclose(model.loss(prompt, begun, tasks), whole)


def test_no_target_return_is_asked_for(toy, prompts):
    model = build_named("multi-game-dt")
    policies = [PromptedPolicy(model, prompts, target_return=r) for r in (0.0, -50.0)]
    returns = [evaluate(policy, toy.task(5), range(3)).returns for policy in policies]
    assert np.array_equal(*returns)
    plain = build_named(PROMPT_DT)
    policies = [PromptedPolicy(plain, prompts, target_return=r) for r in (0.0, -50.0)]
    assert not np.array_equal(*[evaluate(p, toy.task(5), range(3)).returns for p in policies])


@pytest.mark.parametrize("bad", [{"n_bins": 1}, {"optimism": -1.0}])
def test_impossible_bins_are_refused(bad):
    with pytest.raises(ValueError, match="`n_bins` must be at least 2"):
        dataclasses.replace(sizes_of("multi-game-dt"), **bad)


# ---- HarmoDT ----


def test_sequences_of_different_tasks_share_a_batch(toy, prompts, contexts):
    model = build_named("harmodt")
    tasks = torch.tensor([2, 0, 3])
    with model.masked(tasks):
        together = model(prompts, contexts)
    for i, task in enumerate(tasks):
        alone = model.under(int(task))(prompts[i : i + 1], contexts[i : i + 1])
        assert torch.allclose(together[i], alone[0], atol=1e-6)
    assert not torch.allclose(model(prompts, contexts), together, atol=1e-3)


def test_a_mask_closes_its_share_and_keeps_it_in_every_exchange(toy):
    model = build_named("harmodt")
    closed = round(model.config.sparsity * 4 * TOY_SIZES.width)
    assert ((~model.masks).sum(-1) == closed).all()
    assert len(model.masks) == len(toy.train_indices)
    before = model.masks.clone()
    gradients = torch.randn(4, 2, TOY_SIZES.width, 4 * TOY_SIZES.width)
    model.exchange(gradients, 3)
    assert ((~model.masks).sum(-1) == closed).all()
    assert ((before ^ model.masks).sum(-1) == 6).all()
    model.exchange(gradients, 10**6)
    assert ((~model.masks).sum(-1) == closed).all(), "no more than are closed"


def test_what_agrees_least_is_closed_and_what_agrees_most_is_opened(toy):
    """Beside a loop over units, in NumPy."""
    model = build_named("harmodt")
    before = model.masks.numpy().copy()
    gradients = torch.randn(4, 2, TOY_SIZES.width, 4 * TOY_SIZES.width)
    model.exchange(gradients, 2)
    g = gradients.numpy()
    for task, layer in np.ndindex(4, 2):
        agreement = np.array([g[task, layer, :, u] @ g[:, layer, :, u].mean(0) for u in range(64)])
        score = agreement + np.array(
            [g[task, layer, :, u] @ g[task, layer, :, u] for u in range(64)]
        )
        wanted = before[task, layer].copy()
        is_open, is_closed = np.flatnonzero(wanted), np.flatnonzero(~wanted)
        wanted[is_open[np.argsort(score[is_open])[:2]]] = False
        wanted[is_closed[np.argsort(-agreement[is_closed])[:2]]] = True
        assert np.array_equal(model.masks[task, layer].numpy(), wanted)


def test_masks_are_revised_as_often_as_said_and_gates_left_open(pool):
    kind, sizes = MODELS["harmodt"], dataclasses.replace(sizes_of("harmodt"), revisions=3)
    config = dataclasses.replace(CONFIG, steps=12)
    steps = [
        (int(s.model.revised), s.model.masks.clone())
        for s in pretrain(pool, config, sizes, 0, kind=kind)
    ]
    assert [n for n, _ in steps] == [0] * 4 + [1] * 4 + [2] * 4
    assert not torch.equal(steps[3][1], steps[4][1])
    assert torch.equal(steps[4][1], steps[7][1])


def test_the_mask_of_an_unseen_task_is_the_one_with_the_least_loss(toy, demos, prompts, contexts):
    model = build_named("harmodt")
    losses = model.losses(demos)
    assert losses.shape == (4,)
    assert len(set(losses.tolist())) == 4
    chosen, best = model.for_task(demos), model.under(int(losses.argmin()))
    assert torch.equal(chosen(prompts, contexts), best(prompts, contexts))
    worst = model.under(int(losses.argmax()))
    assert not torch.equal(chosen(prompts, contexts), worst(prompts, contexts))


@pytest.mark.parametrize("bad", [{"sparsity": 0.0}, {"exchanged": 1.0}])
def test_an_impossible_mask_is_refused(bad):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\)"):
        dataclasses.replace(sizes_of("harmodt"), **bad)


# ---- Gato ----


@pytest.fixture
def gato():
    """A small Gato with random weights of a family whose actions have six scalars."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        sizes = GatoConfig(1, 1, 16, context_length=4, prompt_length=3, n_bins=32, code=4)
        model = Gato(sizes, find("cheetah-vel"))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.frozen()


@pytest.fixture
def rows(gato, draw):
    """Return rows(n): two segments of random rows."""

    def rows(n):
        shapes = {"observations": len(gato.family.observations), "actions": 6}
        wide = ("returns_to_go", "observations", "actions", "rewards")
        fields = {k: torch.from_numpy(draw.uniform(-1, 1, (2, n, shapes.get(k, 1)))) for k in wide}
        times = torch.arange(n).expand(2, -1)
        return Segment(**{k: v.float() for k, v in fields.items()}, timesteps=times,
                       mask=torch.ones(2, n))  # fmt: skip

    return rows


def test_values_are_put_into_bins_by_the_mu_law_and_back(gato):
    """Beside a loop in plain Python."""
    x = [-300.0, -2.5, -0.3, -1e-3, 0.0, 4e-3, 1.0, 256.0]
    for value, got in zip(x, mu_law(torch.tensor(x)).tolist(), strict=True):
        far = math.copysign(math.log(100 * abs(value) + 1) / math.log(100 * 256 + 1), value)
        assert got == pytest.approx(far, abs=1e-6)
    actions = torch.linspace(-1, 1, 999)
    bins = gato.bins(actions)
    assert (bins.min(), bins.max()) == (0, 31)
    assert (gato.values(bins) - actions).abs().max() <= 1 / 32 + 1e-6
    assert torch.equal(gato.bins(gato.values(bins)), bins)
    assert torch.equal(gato.bins(torch.tensor([-7.0, 7.0])), torch.tensor([0, 31]))


def test_a_scalar_of_an_action_knows_those_before_it_alone(gato, rows):
    x = gato.encoded(rows(3), rows(4), slice(6, None, 2))
    assert x.shape == (2, 4, 16)
    bins = gato.bins(rows(4).actions)
    scores = gato.logits(x, bins)
    for scalar in range(6):
        other = bins.clone()
        other[..., scalar] = (other[..., scalar] + 9) % 32
        changed = (gato.logits(x, other) - scores).abs().amax((0, 1, 3))
        assert (changed[: scalar + 1] == 0).all()
        assert (changed[scalar + 1 :] > 1e-3).all()


def test_the_loss_is_the_likelihood_of_actions_scalar_by_scalar(gato, rows):
    prompt, context = rows(3), rows(4)
    context = dataclasses.replace(context, mask=torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]]))
    bins, x = gato.bins(context.actions), gato.encoded(prompt, context, slice(6, None, 2))
    surprise = []
    for b, row in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)):
        for scalar in range(6):
            known = torch.zeros(1, 1, 6, dtype=torch.long)
            known[..., :scalar] = bins[b, row, :scalar]
            scores = gato.logits(x[b : b + 1, row : row + 1], known)[0, 0, scalar]
            surprise.append(-scores.log_softmax(-1)[bins[b, row, scalar]].item())
    loss = gato.loss(prompt, context, torch.zeros(2, dtype=torch.long))
    assert loss.item() == pytest.approx(np.mean(surprise), rel=1e-4)


def test_the_mean_over_the_bins_of_every_scalar_acts(gato, rows):
    prompt, context = rows(3), rows(4)
    actions = gato(prompt, context)
    scores = gato.logits(gato.encoded(prompt, context, slice(6, None, 2)), gato.bins(actions))
    middles = np.linspace(-1 + 1 / 32, 1 - 1 / 32, 32)
    assert np.allclose(actions, scores.softmax(-1).numpy() @ middles, atol=1e-6)
    act = gato.next_actions(prompt, "exact", 4)
    assert torch.allclose(act(context, 0, 3), actions[:, -1])
    assert torch.allclose(act(context, 0, 1), gato(prompt, context[:, :2])[:, -1])


def test_no_return_is_read(gato, rows, toy, prompts):
    prompt, context = rows(3), rows(4)
    asked = (dataclasses.replace(s, returns_to_go=s.returns_to_go + 5) for s in (prompt, context))
    assert torch.equal(gato(*asked), gato(prompt, context))
    model = build_named("gato")
    policies = [PromptedPolicy(model, prompts, target_return=r) for r in (0.0, -50.0)]
    returns = [evaluate(policy, toy.task(5), range(3)).returns for policy in policies]
    assert np.array_equal(*returns)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_told_no_return_imitates_what_prompts_show_alone(pool, monkeypatch, name):
    seen, plain = [], pool.draw
    monkeypatch.setattr(pool, "draw", lambda r, t, q: seen.append(tuple(q)) or plain(r, t, q))
    next(pretrain(pool, CONFIG, sizes_of(name), 0, kind=MODELS[name]))
    prompts, contexts = seen[-2:]
    assert prompts == ("expert",)
    assert contexts == (pool.qualities if MODELS[name].reads_returns else ("expert",))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"n_bins": 1}, "`n_bins` must be at least 2"),
        ({"code": 0}, "`code` at least 1"),
        ({"attention": "banded"}, "no banded attention"),
    ],
)
def test_an_impossible_gato_is_refused(bad, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(sizes_of("gato"), **bad)
