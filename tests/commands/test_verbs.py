"""Every verb teaches with `--help` and says one JSON value with `--json`."""

import importlib
import json
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench.__main__ as command
from workbench.commands import replay
from workbench.runs.store import RunStore
from workbench.shipped import assets
from workbench.tasks import find
from workbench.tuning.loop import run
from workbench.tuning.spec import RunSpec

SHIPPED = assets.ROOT
TINY = ("--steps", 2, "--batch-size", 4)
NETWORK = ("--prompt-length", 3, "--width", 16, *TINY)
WORDS = {
    "tasks": ("toy",),
    "methods": ("--family", "toy"),
    "tune": ("toy", 5, "--updates", 1, "--episodes", 2),
    "runs": (),
    "evaluate": ("toy", 5, "--episodes", 3),
    "render": ("RUN", "--out", "film.mp4"),
    "prompts": ("toy", "--episodes", 1, "--n-prompts", 2),
    "sampler": ("toy",),
    "values": ("toy",),
    "sweep": ("--family", "toy", "--task", 5, "--updates", 1, "--episodes", 2),
    "table": ("1", "--families", "toy"),
    "findings": (),
    "import": ("demos.safetensors", "--family", "toy", "--task", 5),
    "export": ("toy", 5, "--out", "mine-v0"),
    "app": ("--port", "PORT"),
    "doctor": (),
    "check": ("toy", "soft-prompt"),
    "behaviour": ("toy", "--env-steps", 32, "--n-envs", 2, "--n-steps", 8, "--batch-size", 8,
                  "--n-epochs", 1, "--width", 6, "--snapshots", 3),
    "collect": ("toy", "--episodes", 2),
    "demos": ("toy",),
    "pretrain": ("toy", "--n-layers", 1, "--context-length", 4, *NETWORK),
    "diffuser": ("toy", "--n-diffusion-steps", 4, *NETWORK),
    "informed": ("toy", "--n-diffusion-steps", 4, "--n-transitions", 4, "--code", 3, *NETWORK),
    "critic": ("toy", "--width", 16, "--n-layers", 2, *TINY),
    "vae": ("toy", "--latent", 4, *NETWORK),
    "gan": ("toy", *NETWORK),
    "hyper": ("toy", "--steps", 2, "--n-tasks", 2, "--batch-size", 4),
    "record": ("cheetah-dir",),
    "reproduce-assets": ("toy", "--dry-run"),
    "results": ("--files", "README.md"),
}  # fmt: skip
ELSEWHERE = ("notebooks", "lessons")
"""Whole notebooks: too much for this walk, they have tests of their own."""


@pytest.fixture
def call(monkeypatch, capfd, tmp_path):
    """Run one verb in this process; return exit status, stdout and stderr."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)

    def run_verb(*words):
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, words)])
        capfd.readouterr()
        try:
            command.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        out, err = capfd.readouterr()
        return status, out, err

    yield run_verb
    torch.set_num_threads(threads)


def test_the_walk_knows_every_verb():
    assert {*WORDS, *ELSEWHERE} == set(command.VERBS)


@pytest.mark.parametrize("verb", command.VERBS)
def test_help_teaches(call, verb):
    status, out, _ = call(verb, "--help")
    assert status == 0
    assert "--json" in out
    assert len(out) > 200


def test_the_overview_names_every_verb_and_the_exit_statuses(call):
    status, out, _ = call("--help")
    assert status == 0
    for verb in command.VERBS:
        assert f"  {verb} " in out
    for said in ("0 all is well", "1 something failed", "2 the input is bad", "130"):
        assert said in out.replace("\n", " ")
    status, out, err = call()
    assert (status, out) == (2, "")
    assert "usage" in err


@pytest.fixture
def recorded(shipped, tmp_path):
    """The id of a stored run of the toy family."""
    spec = RunSpec("toy", 5, settings={"batch_size": 4}, updates=2, eval_every=1, episodes=3)
    list(RunStore(tmp_path / "runs").record(spec, run(spec)))
    return spec.id


@pytest.fixture
def drawn(monkeypatch):
    """Replace the drawing, which knows no toy robot, by three grey pictures as an mp4."""
    seen = []

    def video(task, states, progress=None, **sizes):
        seen.append((task, states, sizes))
        progress(1.0)
        return small_film()

    monkeypatch.setattr(replay.render, "video", video)
    return seen


def small_film():
    import imageio.v2 as imageio

    pictures = [np.full((32, 32, 3), 60 * i, np.uint8) for i in range(4)]
    return imageio.mimwrite("<bytes>", pictures, format="mp4", fps=50, macro_block_size=2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_json_is_one_value_of_every_verb(call, recorded, drawn, toy, tmp_path, monkeypatch):
    making = importlib.import_module("workbench.upkeep.making")
    monkeypatch.setattr(making, "MEDIUM", (-1e9, 1e9))
    monkeypatch.setattr(os, "execv", lambda *_: None)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr("workbench.commands.record.SHIPPED_SPECS", {})
    (tmp_path / "README.md").write_text("Nothing is measured here.\n")
    demos = assets.demos_path(toy.task(5), "expert")
    (tmp_path / "demos.safetensors").write_bytes(demos.read_bytes())
    swap = {"RUN": recorded, "PORT": free_port()}
    order = ["behaviour", "collect", "demos", *WORDS]  # each needs what these make
    for verb in dict.fromkeys(order):
        words = [swap.get(word, word) for word in WORDS[verb]]
        with monkeypatch.context() as patched:
            if verb == "findings":  # judges what ships
                patched.setattr(assets, "ROOT", SHIPPED)
                patched.setattr(assets, "MANIFEST", SHIPPED / "manifest.json")
            status, out, err = call(verb, *words, "--json")
        assert status == (1 if verb == "doctor" else 0), (verb, err)
        assert out.count("\n") == 1, (verb, out)
        json.loads(out)
        people = call(verb, *words)[1] if verb in ("tasks", "runs", "methods") else "text"
        assert people.strip(), verb


def test_tasks_says_what_there_is(call, shipped):
    (found,) = json.loads(call("tasks", "toy", "--json")[1])
    assert [t["task"] for t in found["tasks"]] == list(range(6))
    assert found["tasks"][5] == {
        "task": 5, "goal": [1.25], "splits": ["test"], "few_shot": ["expert", "medium", "random"],
    }  # fmt: skip
    assert found["tasks"][0]["few_shot"] == []
    assert "prompt-dt" in found["networks"]
    assert "1.25" in call("tasks", "toy")[1]
    assert "toy" in call("tasks")[1]
    both = json.loads(call("tasks", "cheetah-dir", "--json")[1])[0]["tasks"]
    assert [t["splits"] for t in both] == [["train", "test"]] * 2
    assert call("tasks", "toi")[0] == 2


def test_evaluate_repeats_a_stored_run(call, recorded):
    found = json.loads(call("evaluate", "--run", recorded[:8], "--episodes", 3, "--json")[1])
    store = RunStore(Path("runs"))
    assert (found["run"], found["update"]) == (recorded, 2)
    assert found["returns"] == pytest.approx(store.returns(recorded)[-1], abs=1e-2)
    before = json.loads(
        call("evaluate", "--run", recorded, "--update", 0, "--episodes", 3, "--json")[1]
    )
    assert before["returns"] == pytest.approx(store.returns(recorded)[0], abs=1e-2)
    other = json.loads(call("evaluate", "toy", 2, "--run", recorded, "--json")[1])
    assert (other["task"], other["episodes"]) == (2, 20)


def test_evaluate_gives_the_same_starts_to_all(call, shipped):
    words = ("--episodes", 7, "--n-prompts", 2, "--first", 30, "--json")
    expert = json.loads(call("evaluate", "toy", 5, "--prompt", "expert", *words)[1])
    again = json.loads(call("evaluate", "toy", 5, "--prompt", "expert", *words)[1])
    none = json.loads(call("evaluate", "toy", 5, "--prompt", "none", *words)[1])
    assert expert == again
    assert expert["returns"] != none["returns"]
    assert expert["return_mean"] == pytest.approx(np.mean(expert["returns"]), abs=1e-3)
    assert (expert["first_seed"], expert["goal"]) == (30, [1.25])


def test_long_evaluations_run_in_parts_with_the_same_numbers(call, shipped, monkeypatch):
    words = ("evaluate", "toy", 5, "--episodes", 12, "--n-prompts", 3, "--json")
    whole = json.loads(call(*words)[1])
    monkeypatch.setattr(replay, "_AT_ONCE", 6)
    assert json.loads(call(*words)[1])["returns"] == pytest.approx(whole["returns"], abs=1e-3)


def test_render_draws_the_first_episode(call, recorded, drawn, tmp_path):
    made = json.loads(call("render", recorded[:6], "--update", 1, "--every", 2, "--json")[1])
    assert made["file"] == f"{recorded}-1.mp4"
    ((task, states, sizes),) = drawn
    assert task == find("toy").task(5)
    assert states.shape == (12, 2)
    assert sizes["every"] == 2
    assert (tmp_path / made["file"]).read_bytes() == small_film()
    status, _, err = call("render", recorded, "--out", "a.gif")
    assert status == 0, err
    assert (tmp_path / "a.gif").read_bytes()[:4] == b"GIF8"
    assert sorted(p.name for p in tmp_path.glob("*.partial")) == []


def test_app_serves_where_it_says(call, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "execv", lambda path, words: seen.append(words))
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    port = free_port()
    answer = json.loads(call("app", "--port", port, "--json")[1])
    assert answer == {"url": f"http://127.0.0.1:{port}"}
    (words,) = seen
    assert words[1:4] == ["-m", "streamlit", "run"]
    assert Path(words[4]).name == "app.py"
    assert words[words.index("--server.port") + 1] == str(port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, out, err = call("app", "--port", taken.getsockname()[1])
    assert (status, out) == (2, "")
    assert "Choose another --port" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("evaluate",), "Name a family"),
        (("evaluate", "toy"), "Name a family"),
        (("evaluate", "toy", 5, "--prompt", "good"), "good"),
        (("evaluate", "toy", 5, "--episodes", 0), "episodes"),
        (("evaluate", "cheetah-vel", 2, "--run", "RUN"), "cannot act"),
        (("evaluate", "--run", "zzz"), "no run begins"),
        (("evaluate", "--run", "RUN", "--update", 9), "[0, 1, 2]"),
        (("evaluate", "toy", 0), "few-shot"),
        (("render", "zzz"), "no run begins"),
        (("render", "RUN", "--out", "film.avi"), ".mp4 or .gif"),
        (("render", "RUN", "--out", "nowhere/film.mp4"), "no folder"),
        (("app", "--port", 0), "port"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_status_2(call, recorded, words, hint):
    status, out, err = call(*[recorded if word == "RUN" else word for word in words])
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    assert hint in err


def test_what_fails_on_the_way_is_status_1(call, monkeypatch, shipped):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunStore, "record", full)
    status, out, err = call("tune", "toy", 5)
    assert (status, out) == (1, "")
    assert "No space left on device" in err
    assert "Traceback" not in err
