"""What the player is given: the chains and the episodes that they led to."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tests.conftest import TOY_DIFFUSER, TOY_SIZES, build_model
from workbench.data.behaviour import UniformPolicy
from workbench.data.rollout import evaluate
from workbench.data.trajectory import Trajectories
from workbench.methods import NoTuning, PromptDiffusion, SoftPrompt
from workbench.tasks import FAMILIES, find
from workbench.tuning import loop
from workbench.tuning.loop import TuneStep, tune
from workbench.viewing.figures.runs import COLUMNS, TUNED
from workbench.viewing.player import component, from_runs
from workbench.viewing.player.contents import PlayerColumn
from workbench.viewing.player.from_runs import Shown
from workbench.viewing.scene import geometry


@pytest.fixture(scope="module")
def cheetah():
    """A tiny model of the real family and three runs of it, each evaluated in one episode."""
    family = find("cheetah-vel")
    task, model = family.task(15), build_model(family, TOY_SIZES)
    demos = evaluate(UniformPolicy(6), task, [1, 2]).trajectories
    model.normalizer.fit(Trajectories(demos))
    options = {"seed": 0, "episodes": 1}
    plain = tuple(tune(NoTuning(), model, demos, task, updates=0, eval_every=1, **options))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "TRACE_EVERY", 2)  # traces between the evaluations, in few updates
        method = PromptDiffusion(config=TOY_DIFFUSER, batch_size=4)
        tuned = tuple(tune(method, model, demos, task, updates=6, eval_every=3, **options))
    soft = tuple(
        tune(SoftPrompt(batch_size=4), model, demos, task, updates=1, eval_every=1, **options)
    )
    return model, task, demos, {"plain": plain, "tuned": tuned, "soft": soft}


def shown(cheetah, *names, **changes):
    _, _, demos, runs = cheetah
    return [
        Shown("ABCD"[i], name, COLUMNS[i], runs[name], demos, **changes)
        for i, name in enumerate(names)
    ]


def test_the_chain_is_that_of_the_prompt_which_the_shown_episode_follows(cheetah):
    model, _, _, runs = cheetah
    step = runs["tuned"][-1]
    (column,) = shown(cheetah, "tuned")
    chain = from_runs.chain_of(column, model)
    np.testing.assert_allclose(chain.x[-1], step.snapshot.trace.x[:, 0])
    statistics = model.normalizer
    raw = statistics.mean.numpy() + statistics.scale.numpy() * chain.x[-1, -1]
    prompt = step.snapshot.policy.prompt[:1]
    np.testing.assert_allclose(raw[:, :20], prompt.observations[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(raw[:, 20:26].clip(-1, 1), prompt.actions[0], atol=1e-4)
    np.testing.assert_allclose(raw[:, 26:], prompt.rewards[0], rtol=1e-4, atol=1e-4)
    again = evaluate(
        type(step.snapshot.policy)(model, prompt), step.evaluation.task, step.evaluation.seeds[:1]
    )
    np.testing.assert_allclose(again.returns[0], step.evaluation.returns[0], rtol=1e-3)


def test_every_moment_of_the_tuning_begins_at_the_same_noise(cheetah):
    model, *_ = cheetah
    (column,) = shown(cheetah, "tuned")
    chain = from_runs.chain_of(column, model)
    assert list(chain.updates) == [0, 2, 3, 4, 6]
    assert chain.x.shape == (5, 5, 3, 27)
    for moment in range(1, 5):
        np.testing.assert_array_equal(chain.x[moment, 0], chain.x[0, 0])
        assert np.abs(chain.x[moment, -1] - chain.x[0, -1]).max() > 1e-4
    runs = from_runs.column_of(column, model).episodes
    assert [run.update for run in runs] == [0, 3, 6]


def test_a_long_tuning_is_thinned_out_but_its_evaluations_stay(cheetah):
    model, *_, runs = cheetah
    first = runs["tuned"][0]
    between = [TuneStep(u, {}, 0.0, trace=first.trace) for u in range(1, 400) if u != 200]
    evaluated = [dataclasses.replace(first, update=u) for u in (0, 200, 400)]
    steps = sorted([*between, *evaluated], key=lambda step: step.update)
    chain = from_runs.chain_of(Shown("A", "a", TUNED, steps), model)
    assert len(chain.updates) == from_runs.MAX_MOMENTS
    assert {0, 200, 400} <= set(chain.updates)
    assert np.diff(chain.updates).max() < 80
    often = [dataclasses.replace(first, update=u) for u in range(40)]
    column = from_runs.column_of(Shown("A", "a", TUNED, often), model)
    assert [run.update for run in column.episodes][:: from_runs.MAX_EPISODES - 1] == [0, 39]
    assert len(column.episodes) == from_runs.MAX_EPISODES
    assert {run.update for run in column.episodes} <= set(column.chain.updates)


def test_a_prompt_that_nothing_denoised_is_shown_as_it_is(cheetah):
    model, *_, runs = cheetah
    plain, soft = (from_runs.chain_of(c, model) for c in shown(cheetah, "plain", "soft"))
    assert (plain.x.shape, plain.x0_hat.shape) == ((1, 1, 3, 27), (1, 0, 3, 27))
    prompt = runs["plain"][0].snapshot.policy.prompt
    expected = model.normalizer.pack(prompt)[0][0]
    np.testing.assert_allclose(plain.x[0, 0], expected, atol=1e-6)
    assert list(soft.updates) == [0, 1]
    assert np.abs(soft.x[1] - soft.x[0]).max() > 1e-6


def test_the_untuned_prompt_is_real_and_noise_is_not(cheetah):
    """Cut from the demonstrations, it is at distance 0 and does what the simulator does."""
    model, *_ = cheetah
    plain, tuned = (from_runs.chain_of(c, model) for c in shown(cheetah, "plain", "tuned"))
    assert plain.distance.max() < 1e-5
    assert plain.error.max() < 0.05
    assert tuned.distance[:, 0].min() > 0.5
    assert tuned.error[:, 0].min() > 0.5
    assert (tuned.guess_distance.shape, tuned.guess_error.shape) == ((5, 4), (5, 4))
    bare = from_runs.chain_of(dataclasses.replace(shown(cheetah, "tuned")[0], demos=()), model)
    assert (bare.distance, bare.error, list(bare.frames)) == (None, None, [])


def test_what_acts_without_a_prompt_has_no_chain(cheetah):
    model, _, _, runs = cheetah
    step = runs["plain"][0]
    policy = dataclasses.replace(
        step.snapshot.policy, prompt=step.snapshot.policy.prompt.empty(model.family)
    )
    step = dataclasses.replace(step, snapshot=dataclasses.replace(step.snapshot, policy=policy))
    column = from_runs.column_of(Shown("A", "a", TUNED, [step]), model)
    assert column.chain is None
    assert len(column.episodes) == 1


def test_before_its_first_evaluation_a_robot_stands_where_it_will_begin(cheetah):
    model, task, _, runs = cheetah
    first = runs["plain"][0]
    waits = Shown("A", "a", TUNED, [dataclasses.replace(first, evaluation=None)])
    assert from_runs.column_of(waits, model).episodes == []
    (stands,) = from_runs.column_of(waits, model, task).episodes
    assert stands.stands
    assert stands.ending == "not run yet"
    assert len(stands.poses) == find(task.family).horizon
    (acts,) = from_runs.column_of(Shown("A", "a", TUNED, [first]), model, task).episodes
    assert not acts.stands
    np.testing.assert_allclose(stands.poses[7], acts.poses[0], atol=1e-5)


def test_every_column_of_a_prompt_is_named(cheetah):
    model, *_ = cheetah
    named = from_runs.variables_of(model, shown(cheetah, "tuned"), 3)
    assert len(named.names) == len(named.units) == len(named.groups) == 27
    assert (named.names[8], named.units[8]) == ("forward velocity", "m/s")
    assert [named.groups.count(g) for g in ("observation", "action", "reward")] == [20, 6, 1]
    assert named.names[20] == "back thigh torque"
    assert (named.left_out, named.why_no_error) == (0, "")


def test_what_pads_an_observation_is_left_out():
    family = find("reach")
    model = build_model(family, TOY_SIZES)
    named = from_runs.variables_of(model, (), 0)
    assert named.left_out == 17
    assert len(named.names) == len(named.mean) == 39 + 4 + 1 - 17
    assert not any("unused" in name or "hidden" in name for name in named.names)
    assert "leave out" in named.why_no_error


def test_each_set_of_demonstrations_is_there_once(cheetah):
    model, task, demos, _ = cheetah
    other = evaluate(UniformPolicy(6), task, [7, 8]).trajectories
    a, b, c = shown(cheetah, "plain", "tuned", "soft")
    same = from_runs.variables_of(model, [a, dataclasses.replace(b, demos=list(demos)), c], 3).demos
    assert [list(d.columns) for d in same] == [["A", "B", "C"]]
    copies = [dataclasses.replace(demo) for demo in demos]
    assert (
        len(from_runs.variables_of(model, [a, dataclasses.replace(b, demos=copies)], 3).demos) == 1
    )
    two = from_runs.variables_of(model, [a, dataclasses.replace(b, demos=other), c], 3).demos
    assert [list(d.columns) for d in two] == [["A", "C"], ["B"]]
    assert [d.colour for d in two] == [a.colour, b.colour]
    assert all(len(d.points) > 100 and d.band.shape == (3, 3, 27) for d in two)


def test_the_payload_grows_with_what_is_known(cheetah):
    """The preview alone, then the untuned run beside it, then the tuned one."""
    model, task, demos, runs = cheetah
    start = TuneStep(0, {}, 0.0, runs["tuned"][0].snapshot)
    preview = Shown("B", "tuned", COLUMNS[1], [start], demos)
    (untuned,) = shown(cheetah, "plain")
    _, tuned = shown(cheetah, "plain", "tuned")
    nothing = dataclasses.replace(untuned, steps=())
    payloads = [
        from_runs.payload_of([nothing, preview], task, model),
        from_runs.payload_of([untuned, preview], task, model),
        from_runs.payload_of([untuned, tuned], task, model, autoplay=True, ghosts=True),
    ]
    counts = [[len(c["episodes"]) for c in p["columns"]] for p in payloads]
    assert counts == [[0], [1, 0], [1, 3]]
    assert (
        [p["autoplay"] for p in payloads] == [p["ghosts"] for p in payloads] == [False, False, True]
    )
    for payload in payloads:
        json.dumps(payload, allow_nan=False)
        assert payload["chart"]["target_label"] == "target 1.2 m/s"
        assert payload["actions"][0] == "back thigh torque"
    assert [c["colour"] for c in payloads[-1]["columns"]] == list(COLUMNS[:2])
    with pytest.raises(ValueError, match="nothing to show"):
        from_runs.payload_of([nothing], task, model)


def test_the_id_changes_with_the_runs_alone(cheetah):
    model, task, *_ = cheetah
    first = from_runs.payload_of(shown(cheetah, "tuned", key="one"), task, model)
    (column,) = shown(cheetah, "tuned", key="one")
    grown = dataclasses.replace(column, steps=column.steps[:4])
    assert from_runs.payload_of([grown], task, model)["id"] == first["id"]
    other = from_runs.payload_of(shown(cheetah, "tuned", key="two"), task, model)
    assert other["id"] != first["id"]
    assert from_runs.payload_of(shown(cheetah, "tuned", update=3), task, model)["update"] == 3


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_can_be_replayed(name):
    """Two random episodes, one of them cut short, make a payload of a bearable size."""
    family = find(name)
    task = family.tasks("test")[0]
    policy = UniformPolicy(len(family.actions))
    (episode,) = evaluate(policy, task, [1]).trajectories
    short = dataclasses.replace(
        episode,
        **{c: getattr(episode, c)[:7] for c in ("observations", "actions", "rewards", "states")},
    )
    runs = [from_runs.episode_of(short), from_runs.episode_of(episode, 50)]
    assert "after 7 steps" in runs[0].ending
    assert bool(runs[1].ending) == (len(episode) < family.horizon)
    columns = [
        PlayerColumn("AB"[i], "a", COLUMNS[i], [from_runs.episode_of(e)])
        for i, e in enumerate((short, episode))
    ]
    payload = component.payload(
        id=name, scene=geometry.scene(task), columns=columns, chart=from_runs.chart_of(task)
    )
    assert [c["episodes"][0]["steps"] for c in payload["columns"]] == [7, len(episode)]
    assert len(json.dumps(payload, allow_nan=False)) < 400_000
    assert payload["chart"]["title"][0].isupper()
    assert all(np.isfinite(run.measured).all() for run in runs)
    assert (runs[0].path is None) == (payload["scene"]["trail"] == "")


def test_a_replayed_episode_is_the_first_one(cheetah):
    *_, runs = cheetah
    episode = runs["tuned"][-1].evaluation.trajectories[0]
    run = from_runs.episode_of(episode, 6)
    np.testing.assert_array_equal(run.rewards, episode.rewards)
    assert run.poses.shape[0] == len(episode) == 200
    moved = run.poses[:, :, 0].max(0) - run.poses[:, :, 0].min(0)
    assert moved.max() > 0.01
    assert torch.isfinite(torch.from_numpy(np.ascontiguousarray(run.poses))).all()
    np.testing.assert_allclose(sum(run.terms.values()), episode.rewards, atol=1e-4)
    np.testing.assert_array_equal(run.actions, episode.actions)


def test_what_has_no_poses_is_shown_by_its_film(monkeypatch):
    pytest.importorskip("pygame")
    import base64
    import io

    from PIL import Image

    from workbench.data.behaviour import UniformPolicy
    from workbench.data.rollout import evaluate
    from workbench.tasks import FAMILIES, Family
    from workbench.viewing.player.component import payload
    from workbench.viewing.player.contents import PlayerColumn
    from workbench.viewing.player.from_runs import chart_of, episode_of, standing_robot
    from workbench.viewing.scene import geometry

    family = Family.from_gymnasium(
        "Pendulum-v1", name="filmed", goals=[0.8, 1.2], set_goal="m", test=(1,), horizon=20,
        target_return=0.0, return_scale=100.0,
    )  # fmt: skip
    monkeypatch.setitem(FAMILIES, "filmed", family)
    task = family.task(1)
    (acted,) = evaluate(UniformPolicy(1), task, (1,), filmed=1).trajectories
    shown = [episode_of(acted), standing_robot(task)]
    columns = [
        PlayerColumn(name, name, "#1f77b4", [e]) for name, e in zip("AB", shown, strict=True)
    ]
    scene = geometry.scene(task)
    sent = payload(id="x", scene=scene, columns=columns, chart=chart_of(task), actions=["torque"])
    assert sent["scene"]["filmed"]
    films = [column["episodes"][0]["film"] for column in sent["columns"]]
    assert [film["n"] for film in films] == [20, 1]
    sheet = Image.open(io.BytesIO(base64.b64decode(films[0]["sheet"])))
    assert sheet.size == (10 * 144, 2 * 144)
