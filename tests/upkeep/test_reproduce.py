"""Making assets again: what is due, in which order, and what is said of what comes out."""

import dataclasses
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import workbench.__main__ as command
from tests.conftest import TOY
from workbench.commands import upkeep
from workbench.data.behaviour import BehaviourPolicy
from workbench.data.qualities import QUALITIES
from workbench.pretraining.resumable import Checkpoint
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tuning.presets import SHIPPED_SPECS
from workbench.tuning.spec import RunSpec
from workbench.upkeep import making, recipes
from workbench.upkeep.recipes import (
    NETWORKS,
    OPTIONAL,
    OTHER_MODELS,
    READERS,
    VERBS,
    flag,
    recipe,
    steps_of,
)
from workbench.upkeep.reproduce import Compared, Outcome, Place, Reproduction, Step

HOW = "python -m workbench "
SMALL = "--n-layers 2 --n-heads 2 --width 16 --context-length 4 --prompt-length 3"
COMMANDS = {
    "behaviour": "behaviour toy --env-steps 96",
    "collect": "collect toy",
    "demos": "demos toy --seed 4",
    "pretrain": f"pretrain toy {SMALL} --steps 3 --batch-size 4",
    "mt-orl": f"pretrain toy {SMALL.replace('length 3', 'length 0')} --steps 2 --batch-size 4",
    "diffuser": "diffuser toy --prompt-length 3 --n-diffusion-steps 4 --width 24 --steps 3",
    "vae": "vae toy --prompt-length 3 --width 8 --steps 3",
    "record": "record toy",
}
STEPS = list(COMMANDS)
"""What the toy family ships: two of the optional networks."""


def step_of(words):
    if flag(words, "--prompt-length", "") == "0":
        return "mt-orl"
    return flag(words, "--model", words[0])


@pytest.fixture
def place(shipped, tmp_path, monkeypatch):
    """Toy assets as their commands made them, and a folder to work in."""
    spec = RunSpec("toy", 5, updates=1, episodes=1)
    monkeypatch.setitem(SHIPPED_SPECS, "toy", (spec,))
    monkeypatch.setattr(assets, "commit", lambda: "0" * 12)
    here = Place(tmp_path / "work", assets.ROOT)
    here.work.mkdir()
    for name in OPTIONAL:
        assets.pretrained_path("toy", name).unlink(missing_ok=True)
    for verb in STEPS:
        assert Runner(here)(tuple(shlex.split(COMMANDS[verb]))) == 0
    return here


class Runner:
    """Runs verbs in this process as `_run` does in its own; PPO is played by a fixed policy.

    Attributes:
        ran: The verbs so far.
        push: What the behaviour policies are made of.
        broken: The verb that fails, or stops us.
    """

    def __init__(self, place, push=4.0, broken=None, how=3):
        self.place, self.push, self.broken, self.how, self.ran = place, push, broken, how, []

    def __call__(self, words):
        step = step_of(words)
        self.ran.append(step)
        with pytest.MonkeyPatch.context() as m:
            m.setattr(assets, "ROOT", self.place.root)
            m.setattr(assets, "MANIFEST", self.place.root / "manifest.json")
            m.setattr(sys, "argv", ["workbench", *words])
            m.chdir(self.place.work)
            if step == self.broken:
                if self.how is KeyboardInterrupt:
                    raise KeyboardInterrupt
                return self.how
            if words[0] == "behaviour":
                self.behave()
                return 0
            threads = torch.get_num_threads()
            try:
                command.main()
            except SystemExit as end:
                if end.code == 130:
                    raise
                return end.code or 0
            finally:
                torch.set_num_threads(threads)
        return 0

    def behave(self):
        for number, quality in enumerate(QUALITIES):
            gain = torch.tensor([[-self.push], [0.0], [0.0], [self.push]]).numpy()
            layers = ((gain * (1 - number / 2), torch.zeros(1).numpy()),)
            zeros, ones = torch.zeros(4).numpy(), torch.ones(4).numpy()
            policy = BehaviourPolicy(layers, zeros, ones, torch.tensor([0.2]).numpy())
            path = assets.policy_path("toy", quality)
            policy.save(path)
            made_by = "python -m workbench " + COMMANDS["behaviour"]
            assets.record(path, command=made_by, seed=0, return_test_tasks=-self.push, seconds=9.5)


def go(place, runner=None, only=(), again=False):
    """Drain a reproduction; return its items and the verbs that ran."""
    runner = runner or Runner(place)
    items = list(Reproduction(["toy"], only, place, again=again).steps(runner))
    return items, runner.ran


def due(place, only=(), again=False):
    plan = Reproduction(["toy"], only, place, again=again).plan()
    return [step.recipe.verb for step in plan if step.due]


def snapshot(folder):
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


# ---- recipes ----


def test_a_recipe_is_what_the_manifest_records(place, toy):
    entries = assets.manifest()
    assert list(steps_of(toy, entries)) == STEPS
    for verb in STEPS:
        made = recipe(toy, verb, entries)
        assert made.commands == (tuple(shlex.split(COMMANDS[verb])),)
        assert made.from_manifest == (verb != "collect")
    listed = [n for verb in STEPS for n in recipe(toy, verb, entries).files]
    assert sorted(listed) == sorted(entries), "every file belongs to one step"


def test_without_a_record_a_recipe_is_the_verbs_default(toy):
    for verb in VERBS:
        made = recipe(toy, verb, {})
        assert (made.from_manifest, made.timed) == (False, False)
        want = {"mt-orl": "pretrain toy --prompt-length 0"}.get(verb, f"{verb} toy")
        if verb in OTHER_MODELS:
            want = f"pretrain toy --model {verb}"
        assert made.commands == (tuple(want.split()),)
        assert 0 < made.seconds < 3600


def test_json_and_order_do_not_make_another_command(place, toy):
    entries = assets.manifest()
    first, *_ = recipe(toy, "demos", entries).files
    entries[first]["command"] += " --json"
    assert len(recipe(toy, "demos", entries).commands) == 1
    entries[first]["command"] = HOW + "demos toy --seed 9"
    assert recipe(toy, "demos", entries).commands == (
        ("demos", "toy", "--seed", "9"), ("demos", "toy", "--seed", "4"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    ["rm -rf /", HOW + "demos toy", HOW + "pretrain other", HOW + "pretrain 'toy", "", HOW,
     "python -m workbench.evil pretrain toy", "python -c pretrain toy"],
)  # fmt: skip
def test_a_command_that_is_not_the_steps_own_is_refused(place, toy, said):
    entries = assets.manifest()
    entries["toy/prompt-dt.safetensors"]["command"] = said
    with pytest.raises(ValueError, match=r"toy/prompt-dt.safetensors was made by .*mend the entry"):
        recipe(toy, "pretrain", entries)


def test_time_is_the_recorded_one_or_a_rough_one_of_the_flags(place, toy):
    entries = assets.manifest()
    assert recipe(toy, "behaviour", entries).seconds == 9.5
    assert recipe(toy, "behaviour", entries).timed
    model = entries["toy/prompt-dt.safetensors"]
    assert recipe(toy, "pretrain", entries).seconds == model["measured"]["seconds"]
    model["measured"] = {"seconds_on_a_shared_core": 2247}
    assert recipe(toy, "pretrain", entries).seconds == 2247
    model["measured"] = {}
    short = recipe(toy, "pretrain", entries)
    model["command"] = HOW + "pretrain toy --steps=3000"
    long = recipe(toy, "pretrain", entries)
    assert not long.timed
    small = 3 * (4 / 64) * (2 / 3) * (16 / 128)  # its steps, in steps of the default size
    extra = (3000 - small) * recipes.ROUGH["pretrain"]
    assert long.seconds - short.seconds == pytest.approx(extra)


@pytest.mark.parametrize(
    ("words", "want"),
    [("a --data x b", "x"), ("a --data=x", "x"), ("a", "d"), ("", "d"), ("a --data", "")],
)
def test_flags_are_read_as_tyro_reads_them(words, want):
    assert flag(tuple(words.split()), "--data", "d") == want


def test_the_readers_of_a_step_come_after_it():
    for verb, readers in READERS.items():
        assert all(VERBS.index(verb) < VERBS.index(reader) for reader in readers)


def test_an_optional_network_that_does_not_ship_is_no_step(place, toy):
    """But for those who ask for it by name."""
    entries = assets.manifest()
    others = {"informed", "critic", "gan", "hyper", *OTHER_MODELS}
    assert set(NETWORKS) - set(STEPS) == others == {*OPTIONAL} - set(STEPS)
    del entries["toy/vae.safetensors"]
    assert "vae" in steps_of(toy, entries), "it is there, if not entered"
    assets.pretrained_path("toy", "vae").unlink()
    assert "vae" not in steps_of(toy, entries)
    assert "vae" in steps_of(toy, assets.manifest()), "it is entered, so it is missing"
    assert due(place) == ["vae"]
    assets.MANIFEST.write_text(json.dumps(entries))
    assert due(place) == []
    assert "vae" not in due(place, again=True)
    assert due(place, ["vae"]) == ["vae"]


def test_where_a_network_was_written_is_left_out_of_its_command(toy):
    """It may have been recorded with the very file that is the default; a check has its own."""
    said = HOW + "pretrain toy --prompt-length 0 --out assets/toy/mt-orl.safetensors --json"
    for words in (said, said.replace("--out a", "--out=/x/a")):
        made = recipe(toy, "mt-orl", {"toy/mt-orl.safetensors": {"command": words}})
        assert made.commands == (("pretrain", "toy", "--prompt-length", "0"),)
    with pytest.raises(ValueError, match="which is no `pretrain toy --prompt-length 0`"):
        recipe(toy, "mt-orl", {"toy/mt-orl.safetensors": {"command": HOW + "pretrain toy"}})


# ---- what is due ----


def test_nothing_is_due_when_all_is_there(place):
    before = snapshot(place.root)
    items, ran = go(place)
    assert ran == []
    assert [i.recipe.verb for i in items] == STEPS
    assert snapshot(place.root) == before


def test_a_fresh_clone_needs_no_training_data(place, toy):
    for path in (place.work / "data" / "toy").iterdir():
        path.unlink()
    assert due(place) == []
    assert due(place, ["collect"]) == ["collect"]
    assets.model_path("toy").unlink()
    assert due(place) == ["collect", "pretrain", "record"], "MT-ORL and the VAE are there"
    assert due(place, ["pretrain"]) == ["collect", "pretrain"], "what it reads comes with it"


@pytest.mark.parametrize("harm", ["missing", "changed", "not entered"])
def test_a_file_that_is_not_as_recorded_is_made_again(place, toy, harm):
    path = assets.demos_path(toy.task(2), "random")
    want = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "changed":
        path.write_bytes(want[:-1] + b"?")
    else:
        entries = assets.manifest()
        del entries["toy/demos/2-random.safetensors"]
        assets.MANIFEST.write_text(json.dumps(entries))
    assert due(place) == ["demos"]
    items, ran = go(place)
    assert ran == ["demos"]
    assert path.read_bytes() == want
    (outcome,) = [i for i in items if isinstance(i, Outcome)]
    assert outcome.status == 0
    same = {f.file: f.same for f in outcome.files}
    assert list(same.values()) == [True] * 6, "compared with what was recorded"


def test_unknown_families_are_refused(place):
    with pytest.raises(ValueError, match="Did you mean 'toy'"):
        Reproduction(["tpy"], (), place, again=False)


def test_a_plan_touches_nothing(place):
    before = snapshot(place.work), snapshot(place.root)
    for again in (False, True):
        for where in (place, Place(place.work / "build" / "check", place.work / "x")):
            Reproduction(["toy"], (), where, again=again).plan()
    assert (snapshot(place.work), snapshot(place.root)) == before
    assert not (place.work / "build" / "check").exists()


# ---- all of it again ----


def test_everything_again_comes_out_the_same(place):
    """The recorded commands, flags and all, give every file again; wall times are left out."""
    before, manifest = snapshot(place.root), assets.manifest()
    assert due(place, again=True) == STEPS
    items, ran = go(place, again=True)
    assert ran == STEPS
    outcomes = [i for i in items if isinstance(i, Outcome)]
    assert all(f.same for o in outcomes for f in o.files)
    assert sum(len(o.files) for o in outcomes) == len(manifest), "the data was deleted before"
    after = snapshot(place.root)
    assert before.keys() == after.keys()
    assert {n for n in before if before[n] != after[n]} <= {
        n for n in before if n.endswith(("steps.jsonl", "result.json", "manifest.json"))
    }
    assert [e["command"] for e in assets.manifest().values()] == [
        e["command"] for e in manifest.values()
    ]
    assert due(place) == []


def test_what_reads_a_file_that_came_out_different_is_made_again(place, toy):
    old = assets.manifest()
    data = making.data_path(place.work / "data", toy.task(0), "expert")
    collected = data.read_bytes()
    assets.policy_path("toy", "expert").unlink()
    assert due(place) == ["behaviour"]
    items, ran = go(place, Runner(place, push=2.0))
    assert ran == STEPS
    first = next(i for i in items if isinstance(i, Outcome))
    changes = {f.file: f.change for f in first.files}
    assert changes["toy/behaviour-medium.safetensors"] == "return_test_tasks -4.0 → -2.0"
    assert data.read_bytes() != collected, "the old policies' data is gone"
    new = assets.manifest()
    assert all(new[n]["sha256"] != old[n]["sha256"] for n in new if n in old and "random" not in n)
    assert due(place) == []


def test_only_some_steps_and_the_rest_stays_due(place):
    (place.root / "toy" / "behaviour-expert.safetensors").unlink()
    _, ran = go(place, Runner(place, push=2.0), only=["behaviour"])
    assert ran == ["behaviour"]
    assert due(place) == ["collect", "demos", "pretrain", "mt-orl", "diffuser", "vae", "record"]
    _, ran = go(place, only=["demos"])
    assert ran == ["demos"]
    _, ran = go(place)
    assert ran == ["collect", "pretrain", "mt-orl", "diffuser", "vae", "record"]
    assert due(place) == []


# ---- stopped and gone on with ----


@pytest.mark.parametrize("how", [3, KeyboardInterrupt])
def test_a_stopped_reproduction_goes_on_where_it_was(place, how):
    runner = Runner(place, broken="pretrain", how=how)
    job = Reproduction(["toy"], (), place, again=True)
    if how is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            list(job.steps(runner))
    else:
        *_, last = job.steps(runner)
        assert (last.step.recipe.verb, last.status) == ("pretrain", 3)
    assert runner.ran == ["behaviour", "collect", "demos", "pretrain"]
    plan = Reproduction(["toy"], (), place, again=False).plan()
    assert {s.recipe.verb: s.why for s in plan if s.due} == {
        "pretrain": "was not finished",
        **dict.fromkeys(("mt-orl", "diffuser", "vae", "record"), "asked for"),
    }
    data = snapshot(place.work / "data")
    items, ran = go(place)
    assert ran == ["pretrain", "mt-orl", "diffuser", "vae", "record"]
    assert all(f.same for i in items if isinstance(i, Outcome) for f in i.files)
    assert snapshot(place.work / "data") == data
    assert due(place) == []


@pytest.mark.parametrize("verb", ["pretrain", "vae"])
def test_a_killed_training_goes_on_to_the_very_same_file(place, monkeypatch, verb):
    monkeypatch.setattr(Checkpoint.keep, "__defaults__", (0.0,))
    name = recipe(TOY, verb, assets.manifest()).files[0]
    want, measured = (place.root / name).read_bytes(), assets.manifest()[name]["measured"]
    step, calls = torch.optim.AdamW.step, []

    def killed(*words, **values):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*words, **values)

    with monkeypatch.context() as m:
        m.setattr(torch.optim.AdamW, "step", killed)
        with pytest.raises(SystemExit, match="130"):
            Runner(place)(tuple(shlex.split(COMMANDS[verb])))
    (kept,) = (place.work / "build" / "pretrain").iterdir()
    assert kept.name.startswith("toy-")
    calls.clear()
    with monkeypatch.context() as m:
        m.setattr(torch.optim.AdamW, "step", lambda *w, **v: calls.append(0) or step(*w, **v))
        go(place, only=[verb], runner=(runner := Runner(place)))
        assert runner.ran == [], "the old file is still there, as recorded"
        assert Runner(place)(tuple(shlex.split(COMMANDS[verb]))) == 0
    assert len(calls) == 1, "two of the three steps were kept"
    assert (place.root / name).read_bytes() == want
    figures = assets.manifest()[name]["measured"]
    assert figures["loss_last_tenth"] == measured["loss_last_tenth"], "over all steps"
    assert not list((place.work / "build" / "pretrain").iterdir())


def test_a_kill_half_way_through_a_step_is_not_taken_for_done(place, toy):
    """Every file is as recorded, but half of them are new ones: the manifest cannot tell."""

    class HalfWay(Runner):
        def behave(self):
            super().behave()
            raise KeyboardInterrupt

    assets.policy_path("toy", "expert").unlink()
    with pytest.raises(KeyboardInterrupt):
        go(place, HalfWay(place, push=2.0))
    assert due(place) == ["behaviour"]
    items, ran = go(place, Runner(place, push=2.0))
    first = next(i for i in items if isinstance(i, Outcome))
    was = {f.file: f.was for f in first.files}
    assert was["toy/behaviour-medium.safetensors"]["return_test_tasks"] == -4.0, "what there was"
    assert ran == STEPS, "compared with what there was before the kill"


def test_again_deletes_only_what_the_steps_keep(place):
    kept = {
        "data/other/0-expert.safetensors", "data/toy/mine.npz", "build/behaviour/toy-1/x",
        "build/behaviour/toys-0/x", "build/pretrain/toys-0123456789ab.safetensors",
    }  # fmt: skip
    gone = {"build/behaviour/toy-0/checkpoint.zip", "build/pretrain/toy-0123456789ab.safetensors"}
    for name in kept | gone:
        path = place.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    go(place, again=True)
    assert kept <= snapshot(place.work).keys()
    assert not gone & snapshot(place.work).keys()


def test_damaged_notes_say_what_to_do(place):
    (place.work / "build").mkdir(exist_ok=True)
    (place.work / "build" / "reproduce.json").write_text("{")
    with pytest.raises(ValueError, match=r"reproduce.json cannot be read .*delete it"):
        due(place)


# ---- beside what ships ----


@pytest.fixture
def apart(place):
    work = place.work / "build" / "check"
    return Place(work, work / "assets")


def test_a_check_leaves_what_ships_alone(place, apart):
    before = snapshot(place.root)
    assert due(apart) == STEPS
    items, ran = go(apart, Runner(apart))
    assert ran == STEPS
    files = [f for i in items if isinstance(i, Outcome) for f in i.files]
    assert len(files) == len(assets.manifest())
    assert all(f.same for f in files)
    assert snapshot(place.root) == before
    assert due(apart) == []
    said = {s.recipe.verb: s.why for s in Reproduction(["toy"], (), apart, again=False).plan()}
    assert said["demos"] == "6 of 6 files came out the same"


def test_a_check_sees_what_differs_and_what_is_not_made(place, apart):
    before = snapshot(place.root)
    items, _ = go(apart, Runner(apart, push=3.0), only=["behaviour"])
    outcome = items[-1]
    assert [f.change for f in outcome.files][:2] == ["return_test_tasks -4.0 → -3.0"] * 2

    class Idle(Runner):
        def __call__(self, words):
            return 0

    items, _ = go(apart, Idle(apart), only=["behaviour"], again=True)
    assert [f.change for f in items[-1].files] == ["not made"] * 3
    assert snapshot(place.root) == before


def test_a_stopped_check_goes_on_and_a_change_of_what_ships_starts_it_anew(place, apart):
    go(apart, Runner(apart, broken="diffuser"))
    assert due(apart) == ["diffuser", "vae", "record"]
    _, ran = go(apart, Runner(apart))
    assert ran == ["diffuser", "vae", "record"]
    assert due(apart) == []
    assets.record(assets.model_path("toy"), command=HOW + COMMANDS["pretrain"], seed=1)
    assert due(apart) == STEPS


# ---- what is said of a file ----


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ({"return": -1.5, "seconds": 3}, {"return": -1.25, "seconds": 4}, "return -1.5 → -1.25"),
        ({"a": 1, "peak_memory_mb": 3}, {"a": 1, "peak_memory_mb": 4}, "other bytes"),
        ({"a": 1, "table": {"2": 1}}, {"a": 2, "table": {"2": 2}}, "a 1 → 2"),
        (None, {}, "new"),
        ({}, None, "not made"),
    ],
)
def test_a_change_is_told_by_its_figures(was, now, said):
    assert Compared("f", False, was, now).change.startswith(said)


# ---- the verb ----


@pytest.fixture
def verb(place, monkeypatch, capsys):
    """Run the verb with a runner of our own; return status, stdout and stderr."""

    def call(*words, runner=None, **options):
        monkeypatch.setattr(sys, "argv", ["workbench", "reproduce-assets", *words])
        own = runner or Runner(place)
        monkeypatch.setattr(upkeep, "_run", lambda where, words: own(words))
        capsys.readouterr()
        try:
            upkeep.reproduce_assets(("toy",), work=place.work, **options)
            status = 0
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_a_dry_run_says_commands_and_times(verb, place):
    assets.model_path("toy").unlink()
    before = snapshot(place.root), snapshot(place.work)
    status, out, _ = verb(dry_run=True)
    assert status == 0
    assert HOW + COMMANDS["pretrain"] in out
    assert HOW + COMMANDS["demos"] not in out
    assert "(measured)" in out
    assert "(rough)" in out
    assert "In all about" in out
    said = json.loads(verb(dry_run=True, as_json=True)[1])
    assert [s["step"] for s in said["steps"] if s["due"]] == ["pretrain", "record"]
    assert said["seconds"] == pytest.approx(
        sum(s["seconds"] for s in said["steps"] if s["due"]), abs=0.2
    )
    assert (snapshot(place.root), snapshot(place.work)) == before


def test_the_verb_makes_what_is_missing_and_says_so(verb, place):
    assets.model_path("toy").unlink()
    runner = Runner(place)
    status, out, err = verb(runner=runner, as_json=True)
    assert status == 0
    assert runner.ran == ["pretrain"], "record's runs are those of the very same model"
    said = json.loads(out.splitlines()[-1])
    assert said["failed"] is False
    rows = {row["step"]: row for row in said["steps"]}
    assert rows["pretrain"]["status"] == 0
    assert (rows["pretrain"]["same"], rows["pretrain"]["different"]) == (1, {})
    assert rows["demos"]["status"] is None
    assert "toy pretrain: about" in err


def test_what_was_never_there_is_new_and_no_difference(verb, place):
    entries = json.loads((place.root / "manifest.json").read_text())
    for name in [n for n in entries if n.startswith("toy/demos/")]:
        (place.root / name).unlink()
        del entries[name]
    (place.root / "manifest.json").write_text(json.dumps(entries))
    status, out, err = verb(only=["demos"], runner=Runner(place), as_json=True)
    assert status == 0
    rows = {row["step"]: row for row in json.loads(out.splitlines()[-1])["steps"]}
    assert (rows["demos"]["new"], rows["demos"]["same"], rows["demos"]["different"]) == (6, 0, {})
    assert "6 new files" in err
    assert "came out different" not in err + out


def test_a_failure_says_how_to_go_on(verb, place):
    status, _, err = verb("toy", "--force", runner=Runner(place, broken="demos"), force=True)
    assert status == 1
    assert "toy demos: failed with exit status 3" in err
    assert err.splitlines()[-1] == "Go on with: python -m workbench reproduce-assets toy"


def test_an_interrupt_says_how_to_go_on(verb, place, capsys):
    with pytest.raises(KeyboardInterrupt):
        verb("toy", runner=Runner(place, broken="demos", how=KeyboardInterrupt), force=True)
    assert "Go on with: python -m workbench reproduce-assets toy" in capsys.readouterr().err


def test_nothing_to_do_is_said(verb):
    assert "Nothing to make" in verb(dry_run=True)[1]


# ---- a process of its own ----


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """An interpreter that writes down how it was called, then does what it is told."""

    def make_python(then):
        path = tmp_path / "python"
        path.write_text(
            f'#!/bin/sh\necho "$@|$PWD|$WORKBENCH_ASSETS|$$" > {tmp_path}/said\n{then}\n'
        )
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return tmp_path / "said"

    return make_python


def test_a_verb_runs_in_its_place(fake, tmp_path):
    said = fake("exit 7")
    where = Place(tmp_path, tmp_path / "elsewhere")
    assert upkeep._run(where, ("demos", "toy", "--seed", "4; touch x")) == 7
    words, folder, root, _ = said.read_text().strip().split("|")
    assert words == "-m workbench demos toy --seed 4; touch x"
    assert (folder, root) == (str(tmp_path), str(where.root))
    assert not (tmp_path / "x").exists(), "no shell reads the words"


def test_ending_us_ends_the_child(fake, tmp_path, monkeypatch):
    said = fake("exec sleep 60")
    monkeypatch.setattr(upkeep, "_PATIENCE", 0.1)
    handler = signal.getsignal(signal.SIGTERM)

    def kill():
        while not said.exists() or not said.read_text().strip():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        upkeep._run(Place(tmp_path, tmp_path), ("behaviour", "toy"))
    child = int(said.read_text().strip().split("|")[-1])
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert signal.getsignal(signal.SIGTERM) == handler


def test_what_ships_can_be_reproduced_as_recorded():
    """Every command of the real manifest is a recipe; read only, whatever is being made now."""
    from workbench.tasks import FAMILIES

    entries = assets.manifest()
    for family in FAMILIES.values():
        for name in VERBS:
            made = recipe(family, name, entries)
            assert step_of(made.commands[0]) == name
            assert isinstance(dataclasses.asdict(made)["seconds"], int | float)


def test_a_step_is_told_before_it_is_made(place):
    assets.model_path("toy").unlink()
    seen = []
    job = Reproduction(["toy"], ["pretrain"], place, again=False)
    for item in job.steps(lambda words: seen.append("ran") or Runner(place)(words)):
        seen.append(type(item))
    assert seen == [Step, Step, "ran", Outcome]
    assert Path(place.work / "build" / "reproduce.json").exists()
    assert set(RunStore(place.root / "runs").ids())
